package attribute

import "strings"

// A Category is what a subject is or does: an id of the GraphSense concepts, which extend the INTERPOL taxonomies, or an
// extension that begins with "x:". The empty category says nothing.
type Category string

// Categories that Spoor itself decides by.
const (
	Sanction    Category = "sanction"
	BlackList   Category = "x:black_list" // an issuer refuses to move the token for the account
	Mixing      Category = "mixing_service"
	CoinJoin    Category = "coinjoin"
	Exchange    Category = "exchange"
	Bridge      Category = "defi_bridge"
	Hack        Category = "service_hack"
	Exploit     Category = "exploit"
	Phishing    Category = "phishing"
	Scam        Category = "scam"
	Ransomware  Category = "ransomware"
	Terrorism   Category = "terrorism_financing"
	ChildAbuse  Category = "child_sexual_abuse"
	Perpetrator Category = "perpetrator"
	Drainer     Category = "x:drainer"
	Burn        Category = "x:burn"
)

// concepts are the ids of graphsense-tagpack-tool, concepts.yaml (MIT).
var concepts = set("concept unknown behaviour source mention website_mention forum_mention abuse white_usage sexual_abuse " +
	"child_sexual_abuse violence human_trafficking murder torture scam financial_crime investment_fraud ponzi_scheme " +
	"pyramid_scheme money_laundering extortion sextortion phishing hacking service_hack account_hack exploit data_breach " +
	"social_engineering malware drugs weapons payment_card_fraud ransomware sanction counterfeit extremism terrorism " +
	"terrorism_financing dark_web entity organization user service victim perpetrator donation exchange wallet_service " +
	"escrow_wallet ico_wallet cold_wallet hot_wallet warm_wallet filesharing index market messaging_service mixing_service " +
	"coinjoin miner mining_service gambling search_engine shop faucet payment_processor atm hosting vpn nameservice defi " +
	"defi_token defi_lending defi_dex defi_derivative defi_bridge defi_dao defi_staking defi_custody item collectible")

// services are the concepts of which each holds the money of many.
var services = set("service exchange wallet_service escrow_wallet market mixing_service coinjoin mining_service gambling " +
	"payment_processor atm hot_wallet cold_wallet warm_wallet defi_bridge defi_custody defi_lending defi_staking " +
	"x:tornado_cash x:otc x:custodian x:institution")

// illicit are the concepts that speak of a crime, or of a measure against one.
var illicit = set("abuse sexual_abuse child_sexual_abuse violence human_trafficking murder torture scam financial_crime " +
	"investment_fraud ponzi_scheme pyramid_scheme money_laundering extortion sextortion phishing hacking service_hack " +
	"account_hack exploit data_breach social_engineering malware drugs weapons payment_card_fraud ransomware sanction " +
	"counterfeit extremism terrorism terrorism_financing dark_web perpetrator x:black_list x:drainer x:stolen_funds")

// aliases are the names that other lists use.
var aliases = map[string]Category{
	"mixer": Mixing, "tumbler": Mixing, "tornado-cash": Mixing, "tornado_cash": Mixing, "bridge": Bridge, "bridges": Bridge,
	"cross_chain_bridge": Bridge, "cex": Exchange, "dex": "defi_dex", "hack": Hack, "heist": Hack, "hackers": Hack, "hacker": Hack,
	"phish-hack": Phishing, "phish_hack": Phishing, "sanctions": Sanction, "sanctioned": Sanction, "ofac": Sanction,
	"ofac_sanction": Sanction, "ofac-sanctions-lists": Sanction, "blocked": BlackList, "black_list": BlackList, "blacklist": BlackList,
	"token_blacklist": BlackList, "defi_lending_protocol": "defi_lending", "mining": "mining_service", "mining_pool": "mining_service",
	"wallet": "wallet_service", "drainer": Drainer, "burn": Burn, "terrorist_financing": Terrorism, "csam": ChildAbuse,
	"dark_market": "market", "darknet_market": "market", "stolen": "x:stolen_funds", "stolen_funds": "x:stolen_funds",
}

// ParseCategory reads a category as lists write it: an id of the taxonomy in any case, a known other name of one, or else
// an extension, "x:" and the text with everything but letters and digits as "_", cut after 60 bytes.
func ParseCategory(s string) Category {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" {
		return ""
	}
	id, extension := strings.CutPrefix(s, "x:")
	if c, ok := aliases[id]; ok {
		return c
	}
	slug := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, id)
	slug = slug[:min(len(slug), 60)]
	if c, ok := aliases[slug]; ok {
		return c
	}
	if concepts[slug] && !extension {
		return Category(slug)
	}
	return Category("x:" + slug)
}

// IsService reports whether who is in this category usually holds the money of many, so that a trace ends there.
func (c Category) IsService() bool { return services[string(c)] }

// IsIllicit reports whether the category speaks of a crime, or of a measure against one.
func (c Category) IsIllicit() bool { return illicit[string(c)] }

// IsMixer reports whether the category is of services that hide where money goes.
func (c Category) IsMixer() bool { return c == Mixing || c == CoinJoin }

// IsBridge reports whether the category is of services that carry value to other chains.
func (c Category) IsBridge() bool { return c == Bridge }

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}
