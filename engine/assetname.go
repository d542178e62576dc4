package engine

import (
	"fmt"
	"maps"
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// An AssetName is how people call an asset and how many decimals they write it with. It is for display only.
type AssetName struct {
	Symbol   string
	Decimals int
	Floor    int64 // about a cent, in smallest units: what strangers send to be seen is smaller. 0 if no such amount is set
}

// contracts are well-known token contracts by their address. A token is named here and nowhere else: the symbol which a
// contract gives itself can be forged. Source: the issuers' own documentation and the verified contracts.
var contracts = map[string]AssetName{
	"eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48": {"USDC", 6, 10_000},
	"eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7": {"USDT", 6, 10_000},
	"eip155:1/erc20:0x6B175474E89094C44Da98b954EedeAC495271d0F": {"DAI", 18, 1e16},
	"eip155:1/erc20:0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2": {"WETH", 18, 1e13},
	"eip155:1/erc20:0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599": {"WBTC", 8, 10},
	"eip155:1/erc20:0xEB4C2781e4ebA804CE9a9803C67d0893436bB27D": {"renBTC", 8, 10},
	"eip155:1/erc20:0xf0358e8c3CD5Fa238a29301d0bEa3D63A17bEdBE": {"fUSDC", 6, 10_000},
	"eip155:1/erc20:0x053c80eA73Dc6941F518a68E2FC52Ac45BDE7c9C": {"fUSDT", 6, 10_000},
	"tron:0x2b6653dc/trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t":  {"USDT", 6, 10_000},
}

// coins are the native coins of chains, by SLIP-44 number.
var coins = map[string]AssetName{
	"slip44:60": {"ETH", 18, 1e13}, "slip44:0": {"BTC", 8, 0}, "slip44:195": {"TRX", 6, 100_000}, "slip44:714": {"BNB", 18, 1e13},
	"slip44:966": {"POL", 18, 1e16}, "slip44:9005": {"AVAX", 18, 1e15},
}

// NameOf is how an asset is called; for one that is not known its CAIP-19 name, in smallest units.
func NameOf(a flow.Asset) AssetName {
	if n, ok := contracts[a.String()]; ok {
		return n
	}
	if n, ok := coins[a.Name()]; ok && a.IsNative() {
		return n
	}
	if a.IsNative() && a.Chain().IsEVM() { // every EVM counts its coin in 18 decimals
		return AssetName{"coins of " + a.Chain().String(), 18, 1e13}
	}
	if a.Chain().Namespace() == "text" { // invented: its names are all there is
		return AssetName{Symbol: strings.TrimPrefix(a.Name(), "token:")}
	}
	return AssetName{Symbol: a.Name()}
}

// floors adds to dust the floors of the well-known assets of some chains, where none is given. A floor keeps what anybody
// can send to anybody out of the books: see trace.Options.Dust.
func floors(dust map[flow.Asset]flow.Amount, chains []flow.Chain) (map[flow.Asset]flow.Amount, error) {
	all := map[flow.Asset]flow.Amount{}
	for _, c := range chains {
		if !c.IsEVM() {
			continue
		}
		known := []flow.Asset{c.Native()}
		for name := range contracts {
			if !strings.HasPrefix(name, c.String()+"/") {
				continue
			}
			a, err := flow.ParseAsset(name)
			if err != nil {
				return nil, fmt.Errorf("well-known asset %s: %w", name, err)
			}
			known = append(known, a)
		}
		for _, a := range known {
			if n := NameOf(a); n.Floor > 0 {
				all[a] = flow.NewAmount(uint64(n.Floor))
			}
		}
	}
	maps.Copy(all, dust)
	return all, nil
}

// Format writes an amount of the asset for people, exactly.
func (n AssetName) Format(v flow.Amount) string { return v.Decimal(n.Decimals) + " " + n.Symbol }
