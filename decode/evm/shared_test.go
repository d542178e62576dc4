package evm_test

import (
	"encoding/csv"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/decode"
	"github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/measure"
	"github.com/spoor-dev/spoor/internal/packed"
	"github.com/spoor-dev/spoor/source"
	recorded "github.com/spoor-dev/spoor/source/evm"
)

var _ decode.Decoder = (*evm.Decoder)(nil)

// shared finds a path of the measuring data, or skips the test by its name.
func shared(t testing.TB, path string) string {
	t.Helper()
	return measure.Path(t, "data/onchain/"+path)
}

// steps reads all blocks of paths.
func steps(t testing.TB, known []flow.Point, paths ...string) []source.Step {
	t.Helper()
	s, err := recorded.Open(paths, recorded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var all []source.Step
	for step, err := range s.Steps(t.Context(), known) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, step)
	}
	return all
}

func blocks(t testing.TB, paths ...string) []flow.Block {
	t.Helper()
	var all []flow.Block
	d := evm.New(flow.Ethereum)
	for _, s := range steps(t, nil, paths...) {
		b, err := d.Decode(s.Block.Point, s.Block.Parent, s.Block.Raw)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

func rows(t testing.TB, path string) []map[string]string {
	t.Helper()
	in, err := packed.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r := csv.NewReader(in)
	head, err := r.Read()
	if err == io.EOF {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for {
		rec, err := r.Read()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		row := map[string]string{}
		for i, name := range head {
			row[name] = rec[i]
		}
		all = append(all, row)
	}
}

const nobody = "0x0000000000000000000000000000000000000000"

// side is the address of a leg in lower case; no leg is the zero address.
func side(legs []flow.Leg) string {
	if len(legs) == 0 {
		return nobody
	}
	return strings.ToLower(legs[0].Account.Address())
}

// callPlaces are the places of the plain calls among the traces of each transaction: the list of known transfers holds
// neither what contracts are created with nor what they leave when they destroy themselves.
func callPlaces(t *testing.T, raw []byte) map[string]bool {
	t.Helper()
	calls, err := evm.PlainCalls(raw)
	if err != nil {
		t.Fatal(err)
	}
	return calls
}

func TestTransfersOfRealBlocksAreExactlyTheListed(t *testing.T) {
	dir := shared(t, "evm-mainnet-blocks/mev-inspect")
	want := map[string]int{}
	for _, r := range rows(t, shared(t, "evm-background-edges/edges.csv.gz")) {
		if r["from"] != r["to"] {
			want[fmt.Sprintln(r["block"], r["tx"], r["from"], r["to"], r["asset"], r["amount_raw"])]++
		}
	}
	got := map[string]int{}
	n, d := 0, evm.New(flow.Ethereum)
	for _, s := range steps(t, nil, dir) {
		b, err := d.Decode(s.Block.Point, s.Block.Parent, s.Block.Raw)
		if err != nil {
			t.Fatal(err)
		}
		n++
		if !b.Coverage.Has(flow.SawTraces | flow.SawFees | flow.SawRewards | flow.CallDataTokens) {
			t.Errorf("block %d: coverage %v", b.Point.Height, b.Coverage.Names())
		}
		if b.Coverage.Has(flow.SawLogs) {
			t.Errorf("block %d: it has no logs, but its coverage says so", b.Point.Height)
		}
		balanced(t, b)
		plain := callPlaces(t, s.Block.Raw)
		for _, tx := range b.Txs {
			for _, m := range tx.Movements {
				asset := strings.ToLower(m.Asset.Contract())
				switch m.Kind {
				case flow.Transfer, flow.Internal:
					if asset = "ETH"; !plain[fmt.Sprint(tx.ID, m.Index)] {
						continue
					}
				case flow.TokenMove:
				default:
					continue
				}
				amount := append(m.In, m.Out...)[0].Amount
				if from, to := side(m.In), side(m.Out); from != to {
					got[fmt.Sprintln(b.Point.Height, "0x"+tx.ID.String(), from, to, asset, amount)]++
				}
			}
		}
	}
	if n != 20 {
		t.Errorf("%d blocks; want 20", n)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%d times, want %d: %s", got[k], v, k)
		}
	}
	for k, v := range got {
		if want[k] == 0 {
			t.Errorf("%d times, want none: %s", v, k)
		}
	}
}

// balanced adds up what every account gained and lost of every asset: the sum is what was issued less what was burned.
func balanced(t *testing.T, b flow.Block) {
	t.Helper()
	type holder struct {
		account flow.Account
		asset   flow.Asset
	}
	net := map[holder]*big.Int{}
	change := map[flow.Asset]*big.Int{}
	add := func(h holder, v flow.Amount, sign int64) {
		if net[h] == nil {
			net[h] = new(big.Int)
		}
		net[h].Add(net[h], new(big.Int).Mul(v.Big(), big.NewInt(sign)))
	}
	for _, tx := range b.Txs {
		for _, m := range tx.Movements {
			if change[m.Asset] == nil {
				change[m.Asset] = new(big.Int)
			}
			burned, issued := flow.Sum{}, flow.Sum{}
			for _, l := range m.In {
				add(holder{l.Account, m.Asset}, l.Amount, -1)
				burned = burned.Plus(l.Amount)
			}
			for _, l := range m.Out {
				add(holder{l.Account, m.Asset}, l.Amount, 1)
				issued = issued.Plus(l.Amount)
			}
			isPair := m.Kind != flow.Fee && len(m.In) == 1 && len(m.Out) == 1
			if isPair && burned.Compare(issued) != 0 {
				t.Errorf("block %d: %+v", b.Point.Height, m)
			}
			if !isPair {
				change[m.Asset].Add(change[m.Asset], new(big.Int).Sub(issued.Big(), burned.Big()))
			}
		}
	}
	for h, v := range net {
		change[h.asset].Sub(change[h.asset], v)
	}
	for a, v := range change {
		if v.Sign() != 0 {
			t.Errorf("block %d: the accounts' %s differs by %s from what was issued and burned", b.Point.Height, a, v)
		}
	}
}

// BenchmarkDecode decodes the twenty blocks with traces; a movement counts once.
func BenchmarkDecode(b *testing.B) {
	all := steps(b, nil, shared(b, "evm-mainnet-blocks/mev-inspect"))
	d := evm.New(flow.Ethereum)
	size, moves := 0, 0
	for _, s := range all {
		size += len(s.Block.Raw)
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		moves = 0
		for _, s := range all {
			block, err := d.Decode(s.Block.Point, s.Block.Parent, s.Block.Raw)
			if err != nil {
				b.Fatal(err)
			}
			for _, tx := range block.Txs {
				moves += len(tx.Movements)
			}
		}
	}
	b.ReportMetric(float64(moves)*float64(b.N)/b.Elapsed().Seconds(), "movements/s")
}

// BenchmarkProve decodes a block of seven transactions with all its proofs; a signature is most of the work.
func BenchmarkProve(b *testing.B) {
	at, raw := newInvented(b).raw(b, nil)
	d := evm.New(flow.Ethereum)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := d.Decode(at, flow.Hash{}, raw); err != nil {
			b.Fatal(err)
		}
	}
}
