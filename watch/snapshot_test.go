package watch

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// eaten is a watch in the middle of a story.
func eaten(t testing.TB) (*Watch, *world) {
	t.Helper()
	g := smallWorld(blocks(t, `
block 1 aa time=1700000000
- eth:d DAI 400
- eth:a ETH 40
eth:victim eth:a ETH 100
block 2 bb time=1700000060
eth:d eth:b DAI 200
eth:a eth:exchange1 ETH 60
eth:x eth:b ETH 1
block 3 cc time=1700000120
eth:a eth:c ETH 30
eth:x eth:b FAKE 1
`)...)
	w := begun(t, g)
	for _, b := range g.blocks {
		forward(t, w, g, b)
	}
	return w, g
}

func TestRestoreRefusesWhatIsDamaged(t *testing.T) {
	w, _ := eaten(t)
	b := w.Snapshot()
	for name, bad := range map[string][]byte{
		"empty":           nil,
		"another-version": append([]byte("spoor watch 2\n"), b[len(snapshotHead):]...),
		"only-a-head":     []byte(snapshotHead),
		"cut-short":       b[:len(b)-1],
		"too-long":        append(slices.Clone(b), 0),
		"one-bit":         append(slices.Clone(b[:len(b)/2]), append([]byte{b[len(b)/2] ^ 1}, b[len(b)/2+1:]...)...),
	} {
		if _, err := Restore(Config{}, bad, smallCases(), smallLists()); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%s: %v; want ErrSnapshot", name, err)
		}
	}
}

func TestRestoreDropsWhatIsOfAnotherQuestion(t *testing.T) {
	w, g := eaten(t)
	b := w.Snapshot()
	other := smallCases()
	other[0].Theft = trace.Theft{Sources: []trace.Source{trace.Outflow{Account: text("f"), Asset: token("ETH")}}}
	for name, c := range map[string]struct {
		cases []Case
		want  []string
	}{
		"all": {smallCases(), []string{"heist", "old"}}, "none": {nil, nil}, "one": {smallCases()[1:], []string{"old"}}, "another": {other, []string{"old"}},
	} {
		r, err := Restore(Config{}, b, c.cases, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := r.Cases(); !slices.Equal(got, c.want) || r.Stats().Aside != 0 {
			t.Errorf("%s: open are %q; want %q", name, got, c.want)
		}
		if tips := r.Tips(); len(tips) != 1 || tips[0] != g.blocks[2].Point {
			t.Errorf("%s: stands at %v", name, tips)
		}
		r.Close("old")
		if _, err := r.Open(t.Context(), g, smallCases()[1], Start{Final: g.blocks[0].Point, Rest: seq(g.blocks[1:])}); err != nil {
			t.Errorf("%s: a case cannot be opened: %v", name, err)
		}
	}
	if _, err := Restore(Config{}, b, []Case{{ID: "a/b"}}, nil); err == nil {
		t.Error("a case with a slash was taken")
	}
	if _, err := Restore(Config{}, b, nil, []List{{}}); err == nil {
		t.Error("a list without a name was taken")
	}
}

// What did not matter to a case can be taken back after a restore; what did sets it aside.
func TestBackBehindARestore(t *testing.T) {
	w, g := eaten(t)
	empty := flow.Block{Point: flow.Point{Chain: textEth, Height: 4, Hash: flow.Hash{4}, Time: 1700000180}, Txs: []flow.Tx{{
		ID: flow.Hash{44}, Point: flow.Point{Chain: textEth, Height: 4, Hash: flow.Hash{4}, Time: 1700000180},
		Movements: []flow.Movement{flow.In1Out1(flow.Transfer, token("ETH"), 0, text("x"), text("y"), flow.NewAmount(5))},
	}}}
	g.blocks = append(g.blocks, empty)
	forward(t, w, g, empty)
	r, err := Restore(Config{PerBlock: 3}, w.Snapshot(), smallCases(), smallLists())
	if err != nil {
		t.Fatal(err)
	}
	r.Back(empty.Point)
	if n := forward(t, r, g, empty); len(n.Reopen) != 0 {
		t.Errorf("a block that mattered to nobody: %+v", n.Reopen)
	}
	r.Back(empty.Point)
	r.Back(g.blocks[2].Point)
	if n := forward(t, r, g, g.blocks[2]); len(n.Reopen) != 1 || n.Reopen[0].ID != "heist" {
		t.Errorf("a block that mattered to one: %+v", n.Reopen)
	}
}

func TestSnapshotKeepsWhatWasSaid(t *testing.T) {
	g := newWorld(blocks(t, `
block 1 aa time=1700000000
eth:victim eth:thief ETH 1000
block 2 bb time=1700000060
eth:thief eth:a ETH 10
block 3 cc time=1700000120
eth:thief eth:a ETH 10
`)...)
	c := heist()
	c.Options.Budget.Transactions = 1
	w := New(Config{})
	opens(t, w, g, c)
	forward(t, w, g, g.blocks[0])
	if n := forward(t, w, g, g.blocks[1]); len(n.Reopen) != 1 {
		t.Fatalf("%+v", n)
	}
	r, err := Restore(Config{}, w.Snapshot(), []Case{c}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := forward(t, r, g, g.blocks[2]); len(n.Reopen)+len(n.Alerts) != 0 || r.Stats().Aside != 1 {
		t.Errorf("it is said again: %s %+v", lines(n.Alerts), r.Stats())
	}
}

func FuzzRestore(f *testing.F) {
	w, g := eaten(f)
	whole := w.Snapshot()
	body := whole[len(snapshotHead)+sha256.Size:]
	f.Add(body)
	f.Add(body[:len(body)/2])
	f.Add([]byte{})
	f.Add(append([]byte{byte(len(`{"tips":[],"lists":[],"told":[]}`))}, `{"tips":[],"lists":[],"told":[]}`...))
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		w, err := Restore(Config{}, slices.Concat([]byte(snapshotHead), sum[:], body), smallCases(), smallLists())
		if err != nil {
			if !errors.Is(err, ErrSnapshot) {
				t.Fatalf("%v; want ErrSnapshot", err)
			}
			return
		}
		if again, err := Restore(Config{}, w.Snapshot(), smallCases(), smallLists()); err != nil || !bytes.Equal(again.Snapshot(), w.Snapshot()) {
			t.Fatalf("what it wrote is not read: %v", err)
		}
		next := flow.Block{Point: flow.Point{Chain: textEth, Height: 1 << 40, Time: 1}}
		next.Txs = []flow.Tx{{ID: flow.Hash{1}, Point: next.Point, Movements: g.blocks[2].Txs[0].Movements}}
		n, err := w.Forward(t.Context(), g, Seen{next, seenAt})
		if err != nil {
			return
		}
		if _, err := json.Marshal(n); err != nil {
			t.Fatal(err)
		}
		w.Back(next.Point)
	})
}

// FuzzIssuersLog reads logs that contracts made up.
func FuzzIssuersLog(f *testing.F) {
	freeze := must(flow.ParseHash("0xffa4e6181777692565cf28528fc88fd1516ea86b56da075235fa575af6a4b855"))
	destroy := must(flow.ParseHash("0x61e6e66b0d6339b2980aecc6ccc0039736791f0ccde9ed512e789a7fbdd698c6"))
	f.Add(freeze[:], make([]byte, 32), []byte{})
	f.Add(destroy[:], []byte{}, make([]byte, 64))
	f.Add(destroy[:], []byte{}, make([]byte, 31))
	f.Add([]byte("short"), []byte{1}, []byte{2})
	g := newWorld()
	tron := must(flow.ParseAccount("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"))
	f.Fuzz(func(t *testing.T, first, second, data []byte) {
		for _, contract := range []flow.Account{evm("TUSD"), tron, text("TUSD"), {}} {
			l := flow.Log{Contract: contract, Data: data}
			for _, topic := range [][]byte{first, second} {
				if len(topic) > 0 {
					var h flow.Hash
					copy(h[:], topic)
					l.Topics = append(l.Topics, h)
				}
			}
			b := block{Watch: New(Config{}), world: g}
			a, ok := b.actOf(&l)
			if ok && (a.who.IsZero() || a.who.Chain() != contract.Chain() || a.token.Chain() != contract.Chain() || a.what == "") {
				t.Fatalf("%+v: %+v", l, a)
			}
		}
	})
}
