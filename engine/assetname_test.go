package engine

import (
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

// Every contract of the table is written with its right checksum, or it would never be found.
func TestNamedContractsAreValid(t *testing.T) {
	for id := range contracts {
		a, err := flow.ParseAsset(id)
		if err != nil {
			t.Error(err)
		} else if a.String() != id {
			t.Errorf("contract %s; want the canonical %s", id, a)
		}
	}
}

func TestNamesAreOfContractsNotOfSymbols(t *testing.T) {
	fake, err := flow.NamedAsset(flow.Ethereum, "USDC")
	if err != nil {
		t.Fatal(err)
	}
	v := flow.NewAmount(1_500_000)
	for _, c := range []struct {
		asset flow.Asset
		want  string
	}{
		{flow.Ethereum.Native(), "0.0000000000015 ETH"},
		{flow.Bitcoin.Native(), "0.015 BTC"},
		{flow.BitcoinRegtest.Native(), "1500000 slip44:1"},
		{fake, "1500000 token:USDC"}, // in smallest units: nothing is known about it
	} {
		if got := NameOf(c.asset).Format(v); got != c.want {
			t.Errorf("NameOf(%s).Format(%s) = %q; want %q", c.asset, v, got, c.want)
		}
	}
}
