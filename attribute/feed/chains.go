package feed

import (
	"strings"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

// A family is the chains that a ticker may speak of, by namespace or whole identifier.
type family []string

func (f family) admits(c flow.Chain) bool {
	for _, id := range f {
		if c.Namespace() == id || c.String() == id {
			return true
		}
	}
	return false
}

const (
	bitcoin = "bip122:000000000019d6689c085ae165831e93"
	cash    = "bip122:000000000000000000651ef99cb9fcbe"
)

// tickers are what the tickers of coins say of the chain. Those of tokens that live on many chains say nothing. Forks of
// Bitcoin share the form of its old addresses.
var tickers = map[string]family{
	"XBT": {bitcoin}, "BTC": {bitcoin}, "BSV": {bitcoin}, "BCH": {bitcoin, cash}, "BTG": {bitcoin, "slip44:156"},
	"ETH": {"eip155"}, "ETC": {"eip155"}, "BSC": {"eip155"}, "BNB": {"eip155"}, "ARB": {"eip155"}, "MATIC": {"eip155"}, "AVAX": {"eip155"},
	"TRX": {"tron"}, "XMR": {"monero"}, "XRP": {"xrpl"}, "SOL": {"solana"}, "ZEC": {"bip122:00040fe8ec8471911baa1db1266ea15d"},
	"LTC": {"bip122:12a765e31ffd4059bada1e25190f6e98", bitcoin}, "DASH": {"bip122:00000ffd590b1485b3caadc19b22e637"},
	"DOGE": {"bip122:1a91e3dace36e2be3bf030a65679fe82"}, "XVG": {"bip122:verge"},
}

func chainOfTicker(ticker string) (family, bool) {
	f, ok := tickers[strings.ToUpper(strings.TrimSpace(ticker))]
	return f, ok
}

// explorers are the EVM chains by what lists call them.
var explorers = map[string]flow.Chain{
	"etherscan": flow.Ethereum, "ethereum": flow.Ethereum, "eth": flow.Ethereum, "1": flow.Ethereum,
	"bscscan": flow.EVMChain(56), "bnb": flow.EVMChain(56), "bsc": flow.EVMChain(56), "56": flow.EVMChain(56),
	"polygonscan": flow.EVMChain(137), "polygon": flow.EVMChain(137), "137": flow.EVMChain(137),
	"optimism": flow.EVMChain(10), "optimistic": flow.EVMChain(10), "10": flow.EVMChain(10),
	"arbiscan": flow.EVMChain(42161), "arbitrum": flow.EVMChain(42161), "42161": flow.EVMChain(42161),
	"ftmscan": flow.EVMChain(250), "fantom": flow.EVMChain(250), "250": flow.EVMChain(250),
	"avalanche": flow.EVMChain(43114), "snowtrace": flow.EVMChain(43114), "avalanche_c": flow.EVMChain(43114), "43114": flow.EVMChain(43114),
	"basescan": flow.EVMChain(8453), "base": flow.EVMChain(8453), "8453": flow.EVMChain(8453),
	"gnosisscan": flow.EVMChain(100), "gnosis": flow.EVMChain(100), "100": flow.EVMChain(100),
	"celoscan": flow.EVMChain(42220), "celo": flow.EVMChain(42220), "42220": flow.EVMChain(42220),
}

// chainNamed is the EVM chain that an explorer or network name means; zero where it names none.
func chainNamed(s string) flow.Chain {
	s = strings.ToLower(strings.TrimSpace(s))
	if c, ok := explorers[s]; ok {
		return c
	}
	if c, err := flow.ParseChain(s); err == nil && c.IsEVM() {
		return c
	}
	return flow.Chain{}
}

// day reads a date, with or without a time, in the forms that lists use; ok is false for others. Empty text is 0.
func day(s string) (seconds int64, ok bool) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, true
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339, "2006-01-02T15:04:05", time.DateTime, "2006-01-02 15:04:05-07:00", "01/02/2006"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1970 && t.Year() < 3000 {
			return t.Unix(), true
		}
	}
	return 0, false
}

// warnings are the addresses that nobody is to call bad: to burn coins and to use these contracts is what everybody does.
var warnings = map[string]string{
	"0x000000000000000000000000000000000000dead": "a burn address",
	"0xdead000000000000000042069420694206942069": "a burn address",
	"0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2": "the wrapped ether contract",
	"0xdac17f958d2ee523a2206206994597c13d831ec7": "the USDT contract",
	"0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48": "the USDC contract",
	"0x6b175474e89094c44da98b954eedeac495271d0f": "the DAI contract",
	"0x2260fac5e5542a773aa44fbcfedf7c193bc2c599": "the WBTC contract",
	"0x7a250d5630b4cf539739df2c5dacb4c659f2488d": "the Uniswap V2 router",
	"0xe592427a0aece92de3edee1f18e0157c05861564": "the Uniswap V3 router",
	"0x68b3465833fb72a70ecdf485e0e4c7bd8665fc45": "the Uniswap V3 router 2",
	"0x000000000022d473030f116ddee9f6b43ac78ba3": "the Permit2 contract",
	"0xca11bde05977b3631167028862be2a173976ca11": "the Multicall3 contract",
	"0x00000000219ab540356cbb839cbe05303d7705fa": "the beacon deposit contract",
	"0x00000000000000adc04c56bf30ac9d3c0aaf14dc": "the Seaport contract",
	"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa":         "the address of the genesis block",
	"1BitcoinEaterAddressDontSendf59kuE":         "a burn address",
	"1CounterpartyXXXXXXXXXXXXXXXUWLpVr":         "a burn address",
	"1111111111111111111114oLvT2":                "a burn address",
	"T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb":         "the zero address",
}

// busyHosts are domains, with all below them unless people rent those, where so many honest people are that a list which
// names the domain as a whole is wrong.
var busyHosts = map[string]bool{
	"x.com": true, "twitter.com": true, "google.com": true, "docs.google.com": true, "github.com": true, "github.io": true, "t.me": true,
	"telegram.org": true, "discord.com": true, "discord.gg": true, "youtube.com": true, "medium.com": true, "calendly.com": true,
	"printify.com": true, "r2.dev": true, "pages.dev": true, "workers.dev": true, "netlify.app": true, "vercel.app": true, "web.app": true,
	"notion.site": true, "linktr.ee": true, "opensea.io": true, "etherscan.io": true, "metamask.io": true, "uniswap.org": true,
}

// warned says why nobody is to call a subject bad; ok is false for all others.
func warned(s attribute.Subject) (why string, ok bool) {
	if s.Kind() == attribute.KindDomain && busyHosts[strings.TrimPrefix(strings.TrimPrefix(s.String(), "domain:"), "www.")] {
		return "a host of many honest people", true
	}
	a, isAccount := s.Account()
	if !isAccount {
		return "", false
	}
	if b, isEVM := a.EVMAddress(); isEVM {
		small := true
		for _, x := range b[:18] {
			small = small && x == 0
		}
		if small && b[18] == 0 {
			return "the zero address or a precompiled contract", true
		}
		why, ok = warnings[strings.ToLower(a.Address())]
		return why, ok
	}
	why, ok = warnings[a.Address()]
	return why, ok
}
