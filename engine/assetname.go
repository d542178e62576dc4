package engine

import (
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// An AssetName is how people call an asset and how many decimals they write it with. It is for display only.
type AssetName struct {
	Symbol   string
	Decimals int
}

// contracts are well-known token contracts by their address. A token is named here and nowhere else: the symbol which a
// contract gives itself can be forged. Source: the issuers' own documentation and the verified contracts.
var contracts = map[string]AssetName{
	"eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48": {"USDC", 6},
	"eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7": {"USDT", 6},
	"eip155:1/erc20:0x6B175474E89094C44Da98b954EedeAC495271d0F": {"DAI", 18},
	"eip155:1/erc20:0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2": {"WETH", 18},
	"eip155:1/erc20:0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599": {"WBTC", 8},
	"eip155:1/erc20:0xEB4C2781e4ebA804CE9a9803C67d0893436bB27D": {"renBTC", 8},
	"eip155:1/erc20:0xf0358e8c3CD5Fa238a29301d0bEa3D63A17bEdBE": {"fUSDC", 6},
	"eip155:1/erc20:0x053c80eA73Dc6941F518a68E2FC52Ac45BDE7c9C": {"fUSDT", 6},
	"tron:0x2b6653dc/trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t":  {"USDT", 6},
}

// coins are the native coins of chains, by SLIP-44 number.
var coins = map[string]AssetName{
	"slip44:60": {"ETH", 18}, "slip44:0": {"BTC", 8}, "slip44:195": {"TRX", 6}, "slip44:714": {"BNB", 18},
	"slip44:966": {"POL", 18}, "slip44:9005": {"AVAX", 18},
}

// NameOf is how an asset is called; for one that is not known its CAIP-19 name, in smallest units.
func NameOf(a flow.Asset) AssetName {
	if n, ok := contracts[a.String()]; ok {
		return n
	}
	if n, ok := coins[a.Name()]; ok && a.IsNative() {
		return n
	}
	if a.Chain().Namespace() == "text" { // invented: its names are all there is
		return AssetName{strings.TrimPrefix(a.Name(), "token:"), 0}
	}
	return AssetName{a.Name(), 0}
}

// Format writes an amount of the asset for people, exactly.
func (n AssetName) Format(v flow.Amount) string { return v.Decimal(n.Decimals) + " " + n.Symbol }
