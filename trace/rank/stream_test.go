package rank

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
	"pgregory.net/rapid"
)

func drawStream(t *rapid.T) (*Stream, StreamOptions, trace.Theft) {
	o := StreamOptions{
		Alpha:   rapid.SampledFrom([]float64{0, 0.15, 0.5}).Draw(t, "alpha"),
		Epsilon: rapid.SampledFrom([]float64{0.01, 1e-4, 1e-7}).Draw(t, "epsilon"),
		Weight:  rapid.SampledFrom([]Weight{Linear, Log}).Draw(t, "weight"),
		Payees:  rapid.IntRange(0, 3).Draw(t, "payees"),
		Stop:    shop,
	}
	if rapid.Bool().Draw(t, "swaps") {
		o.Swaps = wildSwaps
	}
	theft := drawTheft(t)
	s, err := NewStream(theft, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, o, theft
}

// broken is by how much the invariant is, at the node where it is most.
func (s *Stream) broken() float64 {
	came := make([]float64, len(s.nodes))
	sum, most := 0.0, 0.0
	for n := range s.nodes {
		v := &s.nodes[n]
		d := v.rests()
		for _, e := range v.out {
			d += e.weight
		}
		if n != rest {
			most = max(most, math.Abs(d-v.d)/d)
			for _, e := range v.out {
				came[e.to] += v.p * e.weight / d
			}
			came[rest] += v.p * v.rests() / d
		}
		sum += v.p + v.r
	}
	for n := range s.nodes {
		v := &s.nodes[n]
		want := (1 - s.options.Alpha) * came[n]
		if n == theft {
			want += s.options.Alpha
		}
		most = max(most, math.Abs(v.p+s.options.Alpha*v.r-want))
	}
	return max(most, math.Abs(sum-1))
}

// After every transaction the invariant holds, nothing large is left undivided, and nothing went through a service.
func TestStreamInvariant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, o, theft := drawStream(t)
		source := false
		for _, src := range theft.Sources {
			h, _ := holderOf(src)
			source = source || h.account == who("shop")
		}
		for _, tx := range drawWorld(t).txs {
			if err := s.Apply(tx); err != nil {
				t.Fatal(err)
			}
			if off := s.broken(); !(off <= 1e-9) {
				t.Fatalf("after block %d the invariant is off by %g", tx.Point.Height, off)
			}
			for n := range s.nodes {
				v := &s.nodes[n]
				if n != rest && math.Abs(v.r) >= s.options.Epsilon {
					t.Errorf("%s keeps a residual of %g, epsilon is %g", v.account, v.r, o.Epsilon)
				}
				if v.account == who("shop") && !source && (len(v.out) > 0 || v.kept > 0) {
					t.Errorf("the shop passes on: %+v", v)
				}
			}
		}
	})
}

// power is the ranks by iteration over the whole graph until nothing changes. With back, what is at rest begins anew at
// the theft, as in PageRank with restart.
func (s *Stream) power(back bool) []float64 {
	p := make([]float64, len(s.nodes))
	for range 4000 {
		next := make([]float64, len(p))
		next[theft] = s.options.Alpha
		for n := range s.nodes {
			v := &s.nodes[n]
			if n == rest {
				continue
			}
			for _, e := range v.out {
				next[e.to] += (1 - s.options.Alpha) * p[n] * e.weight / v.d
			}
			if back {
				next[theft] += (1 - s.options.Alpha) * p[n] * v.rests() / v.d
			}
		}
		p = next
	}
	return p
}

// The ranks are those of a batch computation, up to what is undivided. Leading back what is at rest changes none of the
// proportions.
func TestStreamAgreesWithPowerIteration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, _, _ := drawStream(t)
		for _, tx := range drawWorld(t).txs {
			if err := s.Apply(tx); err != nil {
				t.Fatal(err)
			}
		}
		want, off, undivided := s.power(false), 0.0, 0.0
		for n := range s.nodes {
			if n != rest {
				off += math.Abs(s.nodes[n].p - want[n])
				undivided += math.Abs(s.nodes[n].r)
			}
		}
		if off > undivided+1e-9 {
			t.Errorf("ranks differ by %g, only %g is undivided", off, undivided)
		}
		again := s.power(true)
		factor := again[theft] / want[theft]
		for n := range want {
			if math.Abs(again[n]-factor*want[n]) > 1e-9 {
				t.Errorf("node %d: %g with restart, %g without, the theft %g and %g", n, again[n], want[n], again[theft], want[theft])
			}
		}
	})
}

// bits is the whole state of a stream.
func (s *Stream) bits() string {
	text := fmt.Sprint(s.last, s.eaten, len(s.index), len(s.edges))
	for n := range s.nodes {
		v := &s.nodes[n]
		text += fmt.Sprintf("\n%s %s %x %x %x %x %x %t %t %s %v", v.account, v.asset, v.p, v.r, v.d, v.kept, v.scale, v.eats, v.cut, v.since, v.out)
		if v.account != (flow.Account{}) && s.index[v.holder] != n {
			text += " lost"
		}
	}
	return text
}

// Back and forward is nothing, to the bit; and the same input gives the same bits.
func TestStreamUndo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, o, theft := drawStream(t)
		o.UndoDepth = rapid.IntRange(0, 12).Draw(t, "depth")
		s, err := NewStream(theft, o)
		if err != nil {
			t.Fatal(err)
		}
		txs := drawWorld(t).txs
		states := []string{s.bits()}
		for _, tx := range txs {
			if err := s.Apply(tx); err != nil {
				t.Fatal(err)
			}
			states = append(states, s.bits())
		}
		to := rapid.IntRange(0, len(txs)-1).Draw(t, "back to")
		err = s.Undo(txs[to].At())
		mattered := 0
		for i := to; i < len(txs); i++ {
			if states[i] != states[i+1] {
				mattered++
			}
		}
		switch {
		case errors.Is(err, trace.ErrUndo):
			if s.bits() != states[len(txs)] {
				t.Error("a refused undo changed something")
			}
			if mattered < o.UndoDepth && len(txs)-to <= o.UndoDepth {
				t.Errorf("%d of %d transactions refused, depth %d", mattered, len(txs)-to, o.UndoDepth)
			}
			return
		case err != nil:
			t.Fatal(err)
		case s.bits() != states[to]:
			t.Fatalf("back at %d:\n%s\nwant:\n%s", to, s.bits(), states[to])
		}
		for i, tx := range txs[to:] {
			if err := s.Apply(tx); err != nil {
				t.Fatal(err)
			}
			if s.bits() != states[to+i+1] {
				t.Fatalf("forward again at %d:\n%s\nwant:\n%s", to+i+1, s.bits(), states[to+i+1])
			}
		}
	})
}

// rank is the rank of an account.
func (s *Stream) rank(name string) float64 {
	for _, x := range s.Scores() {
		if x.Account == who(name) {
			return x.Rank
		}
	}
	return 0
}

// The same story as Explore's: money goes on after it came, by amount, within its asset.
func TestStreamFollowsTimeAndAmount(t *testing.T) {
	s, err := NewStream(fromThief(), StreamOptions{Alpha: 0.5, Epsilon: 1e-9})
	if err != nil {
		t.Fatal(err)
	}
	s.eatAll(t,
		tx(1, move("a", "early", coin, 100)),
		tx(2, move("thief", "a", coin, 100)),
		tx(3, move("a", "b", coin, 30), move("a", "c", coin, 10), move("a", "d", dollar, 500)),
		tx(4, move("b", "e", coin, 3)),
		tx(5, fee("a", "miner", 60)))
	for name, want := range map[string]float64{
		"thief": 0.25, "a": 0.125, "b": 0.0625 * 0.3, "c": 0.0625 * 0.1, "e": 0.03125 * 0.3 * 0.1, "early": 0, "d": 0, "miner": 0,
	} {
		if got := s.rank(name); math.Abs(got-want) > 1e-5 { // the way to rest weighs a little
			t.Errorf("%s: rank %g, want %g", name, got, want)
		}
	}
	scores := s.Scores()
	for i := range scores[1:] {
		if scores[i].Rank < scores[i+1].Rank {
			t.Errorf("out of order: %v", scores)
		}
	}
}

func (s *Stream) eatAll(t *testing.T, txs ...flow.Tx) {
	t.Helper()
	for _, tx := range txs {
		if err := s.Apply(tx); err != nil {
			t.Fatal(err)
		}
	}
}

func stream(t *testing.T, theft trace.Theft, o StreamOptions) *Stream {
	t.Helper()
	s, err := NewStream(theft, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What a source paid before the theft is not stolen, nor what was exchanged before the money came.
func TestStreamKnowsWhenTheTheftWas(t *testing.T) {
	for _, asset := range []flow.Asset{coin, {}} {
		s := stream(t, trace.Theft{Sources: []trace.Source{trace.Outflow{Account: who("thief"), Asset: asset, From: flow.Pos{Height: 2}}}}, StreamOptions{})
		s.eatAll(t, tx(1, move("thief", "early", coin, 100)), tx(2, move("thief", "late", coin, 100)))
		if s.rank("early") != 0 || s.rank("late") < 0.04 {
			t.Errorf("early %g, late %g", s.rank("early"), s.rank("late"))
		}
	}
	whole := stream(t, trace.Theft{Sources: []trace.Source{trace.Outflow{Account: who("thief"), From: flow.Pos{Height: 2}}}}, StreamOptions{})
	whole.eatAll(t, tx(1, move("thief", "early", dollar, 100)), tx(2, move("thief", "late", coin, 100)))
	if got := whole.rank("late"); math.Abs(got-0.05*0.95*0.95*0.95) > 1e-4 {
		t.Errorf("late %g: what was paid before the theft took a share", got)
	}
	swaps := trace.Swaps{Rule: "test", Of: func(flow.Tx) []trace.Pass {
		return []trace.Pass{{From: who("a"), To: who("b"), FromAsset: coin, ToAsset: dollar, FromAmount: num(100), ToAmount: num(900)}}
	}}
	s := stream(t, fromThief(), StreamOptions{Swaps: swaps})
	s.eatAll(t, tx(1, move("a", "pool", coin, 100), move("thief", "a", coin, 100), move("pool", "b", dollar, 900)))
	if s.rank("a") < 0.04 || s.rank("b") != 0 {
		t.Errorf("a %g, b %g; b was paid for before the money came", s.rank("a"), s.rank("b"))
	}
}

// Under Log a 1023rd of the largest receipt counts a tenth of the rest.
func TestStreamLogWeights(t *testing.T) {
	s := stream(t, fromThief(), StreamOptions{Weight: Log, Epsilon: 1e-9})
	s.eatAll(t, tx(1, move("thief", "a", coin, 1024)), tx(2, move("thief", "a", coin, 1)),
		tx(3, move("a", "b", coin, 1)), tx(4, move("a", "c", coin, 1023)))
	if b, c := s.rank("b"), s.rank("c"); math.Abs(c/b-10) > 1e-3 {
		t.Errorf("b %g, c %g: %g times, want 10", b, c, c/b)
	}
}

// Of a hub only so many payees are held, in coins and in assets, and the answer says so.
func TestStreamCutsHubs(t *testing.T) {
	s := stream(t, trace.Theft{Sources: []trace.Source{trace.Outflow{Account: who("thief")}}}, StreamOptions{Payees: 2})
	s.eatAll(t, tx(1, move("thief", "a", coin, 100)), tx(2, move("a", "b", coin, 10)), tx(3, move("a", "c", coin, 10)),
		tx(4, move("a", "d", coin, 10)), tx(5, move("a", "b", coin, 10)), tx(6, move("thief", "e", dollar, 1)))
	b, c := s.rank("b"), s.rank("c")
	if s.rank("d") != 0 || math.Abs(b/c-2) > 1e-3 || s.rank("e") == 0 {
		t.Errorf("b %g, c %g, d %g, e %g", b, c, s.rank("d"), s.rank("e"))
	}
	third := must(flow.NamedAsset(story, "THIRD"))
	s.eatAll(t, tx(7, move("thief", "f", third, 1)))
	cut := map[flow.Account]bool{}
	for _, x := range s.Scores() {
		cut[x.Account] = x.Cut
	}
	if !cut[who("a")] || !cut[who("thief")] || cut[who("b")] || s.rank("f") != 0 {
		t.Errorf("cut %v, f %g", cut, s.rank("f"))
	}
}

// Pieces of a collection do not drown the coins of a source of every asset.
func TestStreamPiecesWeighLittle(t *testing.T) {
	eth := flow.Ethereum
	at := func(n byte) flow.Account { return flow.EVMAccount(eth, [20]byte{n}) }
	s := stream(t, trace.Theft{Sources: []trace.Source{trace.Outflow{Account: at(1)}}}, StreamOptions{})
	for i := range uint64(9) {
		s.eatAll(t, flow.Tx{Point: flow.Point{Chain: eth, Height: i + 1}, Movements: []flow.Movement{
			flow.In1Out1(flow.NFTMove, flow.NFT(at(9), num(i)), 0, at(1), at(2), num(1))}})
	}
	s.eatAll(t, flow.Tx{Point: flow.Point{Chain: eth, Height: 10}, Movements: []flow.Movement{
		flow.In1Out1(flow.Transfer, eth.Native(), 0, at(1), at(3), num(1))}})
	for _, x := range s.Scores() {
		if x.Account == at(2) && x.Rank > 0.001 || x.Account == at(3) && x.Rank < 0.04 {
			t.Errorf("%s: rank %g", x.Account, x.Rank)
		}
	}
}

// What one coin leads to is the asset that it was exchanged for.
func TestStreamGoesThroughSwaps(t *testing.T) {
	swaps := trace.Swaps{Rule: "test", Of: func(flow.Tx) []trace.Pass {
		return []trace.Pass{{From: who("a"), To: who("a"), FromAsset: coin, ToAsset: dollar, FromAmount: num(100), ToAmount: num(900)}}
	}}
	s, err := NewStream(fromThief(), StreamOptions{Swaps: swaps})
	if err != nil {
		t.Fatal(err)
	}
	s.eatAll(t,
		tx(1, move("thief", "a", coin, 100)),
		tx(2, move("a", "pool", coin, 100), move("pool", "a", dollar, 900)),
		tx(3, move("a", "b", dollar, 900)))
	if s.rank("b") < 0.03 || s.rank("pool") != 0 {
		t.Errorf("b %g, pool %g", s.rank("b"), s.rank("pool"))
	}
}

func TestStreamRefuses(t *testing.T) {
	for name, o := range map[string]StreamOptions{
		"alpha": {Alpha: 2}, "epsilon": {Epsilon: -1}, "weight": {Weight: 9}, "undo": {UndoDepth: -1}, "payees": {Payees: -1},
	} {
		if _, err := NewStream(fromThief(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	other := trace.Outflow{Account: must(flow.NewAccount(must(flow.TextChain("other")), "x"))}
	for _, sources := range [][]trace.Source{nil, {nil}, {trace.Outflow{}}, {fromThief().Sources[0], other}} {
		if _, err := NewStream(trace.Theft{Sources: sources}, StreamOptions{}); err == nil {
			t.Errorf("%v: no error", sources)
		}
	}
	s, err := NewStream(fromThief(), StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(tx(2, move("thief", "a", coin, 1))); err != nil {
		t.Fatal(err)
	}
	before := s.bits()
	for _, again := range []uint64{1, 2} {
		if err := s.Apply(tx(again, move("thief", "b", coin, 1))); !errors.Is(err, ErrOrder) || s.bits() != before {
			t.Errorf("block %d: error %v, want %v", again, err, ErrOrder)
		}
	}
	if err := s.Undo(flow.Pos{Height: 2}); !errors.Is(err, trace.ErrUndo) {
		t.Errorf("error %v, want %v", err, trace.ErrUndo)
	}
	foreign := tx(3, move("thief", "b", coin, 1))
	foreign.Point.Chain = other.Account.Chain()
	if err := s.Apply(foreign); err != nil || s.bits() != before {
		t.Errorf("a transaction of another chain: error %v", err)
	}
}

// Scores of two streams over the same input are the same, in the same order.
func TestStreamIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, o, theft := drawStream(t)
		b, err := NewStream(theft, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, tx := range drawWorld(t).txs {
			if err := errors.Join(a.Apply(tx), b.Apply(tx)); err != nil {
				t.Fatal(err)
			}
		}
		if a.bits() != b.bits() || !reflect.DeepEqual(a.Scores(), b.Scores()) {
			t.Errorf("%s\n\n%s", a.bits(), b.bits())
		}
	})
}
