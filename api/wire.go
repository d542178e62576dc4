package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

// A word is a category as our taxonomy and the vendors write it.
type word struct{ ours, chainalysis, trm, mist string }

// words are the categories that vendors have words of their own for; see docs/formats/api.md.
var words = []word{
	{string(attribute.Sanction), "sanctions", "Sanctions", "sanctioned_entity"},
	{string(attribute.BlackList), "special measures", "Seized Funds", "illicit_activity"},
	{string(attribute.Mixing), "mixing", "Mixer", "mixer"},
	{string(attribute.CoinJoin), "mixing", "Mixer", "mixer"},
	{"x:tornado_cash", "mixing", "Mixer", "mixer"},
	{string(attribute.Exchange), "exchange", "Exchange", "risk_exchange"},
	{string(attribute.Bridge), "bridge", "Bridge", "bridge"},
	{"gambling", "gambling", "Gambling", "gambling"},
	{string(attribute.Hack), "stolen funds", "Hacked or Stolen Funds", "illicit_activity"},
	{"account_hack", "stolen funds", "Hacked or Stolen Funds", "illicit_activity"},
	{"hacking", "stolen funds", "Hacked or Stolen Funds", "illicit_activity"},
	{string(attribute.Exploit), "stolen funds", "Hacked or Stolen Funds", "illicit_activity"},
	{"x:stolen_funds", "stolen funds", "Hacked or Stolen Funds", "illicit_activity"},
	{string(attribute.Drainer), "stolen funds", "Hacked or Stolen Funds", "illicit_activity"},
	{string(attribute.Phishing), "scam", "Scam", "illicit_activity"},
	{string(attribute.Scam), "scam", "Scam", "illicit_activity"},
	{string(attribute.Ransomware), "ransomware", "Ransomware", "illicit_activity"},
	{string(attribute.Terrorism), "terrorist financing", "Terrorist Financing", "illicit_activity"},
	{string(attribute.ChildAbuse), "child abuse material", "Child Sexual Abuse Material (CSAM)", "illicit_activity"},
	{"market", "darknet market", "Darknet Marketplace", "illicit_activity"},
	{"dark_web", "darknet market", "Darknet Marketplace", "illicit_activity"},
}

// wordOf is a category in the vendors' words. What they have no word for keeps ours, made readable.
func wordOf[T ~string](category T) word {
	for _, w := range words {
		if w.ours == string(category) {
			return w
		}
	}
	plain := strings.ReplaceAll(strings.TrimPrefix(string(category), "x:"), "_", " ")
	if plain == "" {
		plain = "unknown"
	}
	return word{string(category), plain, strings.ToUpper(plain[:1]) + plain[1:], "illicit_activity"}
}

// percent is a share in billionths as a percentage, exactly.
func percent(ppb int64) json.Number {
	s := fmt.Sprintf("%d.%07d", ppb/1e7, ppb%1e7)
	return json.Number(strings.TrimSuffix(strings.TrimRight(s, "0"), "."))
}

// ofSubject reports whether a reason speaks of the subject itself and not of its dealings.
func ofSubject(r *screen.Reason) bool {
	return r.Hops == 0 && r.Counterparty.IsZero() && r.Via.IsZero()
}

// entityOf is who a label says that the subject is.
func entityOf(l *attribute.Label) string {
	if l.Actor != "" {
		return l.Actor
	}
	return l.Name
}

// asserted are the labels of the subject that claim something.
func asserted(v *screen.Verdict) []attribute.Label {
	return slices.DeleteFunc(slices.Clone(v.Labels), func(l attribute.Label) bool { return l.Stance != attribute.Asserts })
}

// nobodyKnows is what an unknown subject is called where a dialect has a text for it.
const nobodyKnows = "unknown: nobody says whose address this is; unknown is not clean"

// why is the sentence of the strictest reason, or what is to be said where there is none.
func why(v *screen.Verdict) string {
	for _, r := range v.Reasons {
		if r.Sentence != "" && r.Decision > screen.Allow {
			return r.Sentence
		}
	}
	switch {
	case v.Unknown:
		return nobodyKnows
	case v.Decision > screen.Allow:
		return "the policy says " + v.Decision.String()
	case v.Partial:
		return "partial: not everything could be looked at"
	}
	return ""
}

// chainsOf are the chains as vendors write them, TRM's words first; in lower case.
var chainsOf = map[string]string{
	"bitcoin": "bitcoin", "btc": "bitcoin", "ethereum": "ethereum", "eth": "ethereum", "polygon": "polygon", "matic": "polygon",
	"pol": "polygon", "avalanche_c_chain": "avalanche", "avax": "avalanche", "avalanche": "avalanche", "binance_smart_chain": "bsc",
	"bsc": "bsc", "bnb": "bsc", "bep20": "bsc", "tron": "tron", "trx": "tron", "trc20": "tron", "erc20": "ethereum",
	"arbitrum": "arbitrum", "optimism": "optimism", "base": "base", "op": "optimism",
	"fantom": "eip155:250", "celo": "eip155:42220", "blast": "eip155:81457", "linea": "eip155:59144", "zksync": "eip155:324",
	"solana": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "sol": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
}

// vendorChain reads the name of a chain, or a coin with its chain behind a dash ("USDT-TRC20", "ETH-Arbitrum").
func vendorChain(s string) (flow.Chain, bool) {
	s = strings.ToLower(s)
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		s = s[i+1:]
	}
	name, ok := chainsOf[s]
	if !ok {
		return flow.Chain{}, false
	}
	c, err := flow.ParseChain(name)
	return c, err == nil
}

// accountOn reads an address that comes with the name of a chain. The form of the address decides where the chain
// contradicts it: a list must not be missed because a ticker is wrong.
func accountOn(c flow.Chain, s string) (flow.Account, error) {
	a, err := flow.ParseAccountOn(c, strings.TrimSpace(s))
	if err == nil {
		return a, nil
	}
	b, errForm := flow.ParseAccount(s)
	if errForm != nil {
		return flow.Account{}, errForm
	}
	if on, err := b.On(c); err == nil {
		return on, nil
	}
	return b, nil
}

// millis is a moment as JavaScript counts it.
func millis(seconds int64) int64 { return seconds * 1000 }

// message is a fault in one text.
func message(f *fault) string {
	s := f.title
	if f.detail != "" {
		s += ": " + f.detail
	}
	return s + " (" + strconv.Itoa(f.status) + ")"
}
