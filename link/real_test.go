package link_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/measure"
	"github.com/spoor-dev/spoor/link"
	recorded "github.com/spoor-dev/spoor/source/evm"
)

// A fact is a swap as the authors of the data tell it: what the pool got, and what it paid.
type fact struct {
	Kind     string
	Tx       string      `json:"transaction_hash"`
	Height   uint64      `json:"block_number"`
	In       string      `json:"token_in_address"`
	InUnits  json.Number `json:"token_in_amount"`
	Out      string      `json:"token_out_address"`
	OutUnits json.Number `json:"token_out_amount"`

	// Of a liquidation: the debt that was bought, and what was got for it.
	Debt      string      `json:"debt_token_address"`
	DebtUnits json.Number `json:"debt_purchase_amount"`
	Got       string      `json:"received_token_address"`
	GotUnits  json.Number `json:"received_amount"`
}

// Each swap is found with its amounts, at the customer or, where the customer took coins that were wrapped before, at the
// maker on the other side. The blocks have no logs: transfers and wraps are read from call data. Of the liquidations those are found
// whose liquidator paid with his own money; the others borrow and sell in the same transaction, or seize shares that no call moves.
func TestRealSwaps(t *testing.T) {
	dir := measure.Path(t, "data/onchain/evm-mainnet-blocks/mev-inspect")
	text, err := os.ReadFile(filepath.Join(dir, "expected_events.json"))
	if err != nil {
		t.Fatal(err)
	}
	var facts []fact
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&facts); err != nil {
		t.Fatal(err)
	}
	swaps, seen, liquidations, found := 0, 0, 0, 0
	for _, f := range facts {
		switch f.Kind {
		case "swap":
			swaps++
		case "liquidation":
			liquidations++
			f.In, f.InUnits, f.Out, f.OutUnits = f.Debt, f.DebtUnits, f.Got, f.GotUnits
		default:
			continue
		}
		s, err := recorded.Open([]string{filepath.Join(dir, fmt.Sprint(f.Height, ".json.gz"))}, recorded.Config{})
		if err != nil {
			t.Fatal(err)
		}
		for step, err := range s.Steps(t.Context(), nil) {
			if err != nil {
				t.Fatal(err)
			}
			b, err := evm.New(flow.Ethereum).Decode(step.Block.Point, step.Block.Parent, step.Block.Raw)
			if err != nil {
				t.Fatal(err)
			}
			for _, tx := range b.Txs {
				if "0x"+tx.ID.String() != f.Tx {
					continue
				}
				c := link.Conversions(tx)
				if f.Kind == "liquidation" {
					if f.isIn(c) {
						found++
					}
					continue
				}
				if seen++; !f.isIn(c) {
					t.Errorf("swap %s of %s %s for %s %s: found %v", f.Tx, f.InUnits, f.In, f.OutUnits, f.Out, c)
				}
			}
		}
	}
	if swaps == 0 || seen != swaps {
		t.Errorf("%d swaps, %d of their transactions", swaps, seen)
	}
	if found < 3 {
		t.Errorf("%d of %d liquidations are found; want 3 at least", found, liquidations)
	}
}

// isIn reports whether somebody converted the one into the other, or the other into the one.
func (f fact) isIn(conversions []link.Conversion) bool {
	part := func(parts []link.Part, asset string, units json.Number) bool {
		for _, p := range parts {
			if strings.EqualFold(p.Asset.Contract(), asset) && p.Amount.String() == units.String() {
				return true
			}
		}
		return false
	}
	for _, c := range conversions {
		if part(c.Gives, f.In, f.InUnits) && part(c.Takes, f.Out, f.OutUnits) || part(c.Gives, f.Out, f.OutUnits) && part(c.Takes, f.In, f.InUnits) {
			return true
		}
	}
	return false
}
