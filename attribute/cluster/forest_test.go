package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
)

// who is an account of a story.
func who(i int) flow.Account {
	c, err := flow.TextChain("story")
	if err != nil {
		panic(err)
	}
	a, err := flow.NewAccount(c, fmt.Sprintf("a%02d", i))
	if err != nil {
		panic(err)
	}
	return a
}

func says(a, b, confidence int) Evidence {
	return Evidence{A: who(a), B: who(b), Heuristic: MultiInput, Version: 1, Confidence: uint8(confidence)}
}

// An oracle is a forest by its definition: whatever is asked is worked out from the start, slowly.
type oracle struct {
	guard    Guard
	evidence []Evidence
	gone     map[ID]Withdrawal
	accepted map[ID]bool
	marks    map[flow.Account]string
}

// judge replays all evidence that counts, and returns the cluster of every account and the state of every evidence.
func (o *oracle) judge(counts func(Evidence) bool) (map[flow.Account]int, map[ID]State) {
	group, service, states := map[flow.Account]int{}, map[int]string{}, map[ID]State{}
	next := 0
	meet := func(a flow.Account) {
		if _, ok := group[a]; !ok {
			next++
			group[a], service[next] = next, o.marks[a]
		}
	}
	for a := range o.marks {
		meet(a)
	}
	for _, e := range o.evidence {
		meet(e.A)
		meet(e.B)
		if !counts(e) {
			states[e.ID] = Withdrawn
			continue
		}
		a, b := group[e.A], group[e.B]
		if a == b {
			states[e.ID] = Repeats
			continue
		}
		size := map[int]int{}
		for _, g := range group {
			size[g]++
		}
		s, t := service[a], service[b]
		if !o.accepted[e.ID] && (s != "" && t != "" && s != t || min(size[a], size[b]) > o.guard.Large && int(e.Confidence) < o.guard.Strong) {
			states[e.ID] = Quarantined
			continue
		}
		states[e.ID] = Joins
		if size[a] > size[b] { // two services that a person put together are called by the larger
			a, b = b, a
		}
		if service[b] == "" {
			service[b] = s + t
		}
		for x, g := range group {
			if g == a {
				group[x] = b
			}
		}
	}
	return group, states
}

func (o *oracle) now(e Evidence) bool { _, gone := o.gone[e.ID]; return !gone }

// pair is a forest and its oracle, to which the same happens.
type pair struct {
	f *Forest
	o oracle
}

const people = 9

// drawForest makes a forest by random steps, checking nothing on the way.
func drawForest(t *rapid.T) pair {
	g := Guard{Large: rapid.IntRange(1, 3).Draw(t, "large"), Strong: 60}
	p := pair{New(g), oracle{guard: g, gone: map[ID]Withdrawal{}, accepted: map[ID]bool{}, marks: map[flow.Account]string{}}}
	for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
		switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
		case op <= 5 || len(p.o.evidence) == 0:
			a := rapid.IntRange(0, people-2).Draw(t, "a")
			e := says(a, rapid.IntRange(a+1, people-1).Draw(t, "b"), rapid.SampledFrom([]int{0, 10, 50, 90, 100}).Draw(t, "confidence"))
			e.At, e.Seen = flow.Pos{Height: uint64(rapid.IntRange(1, 5).Draw(t, "height"))}, int64(rapid.IntRange(1, 5).Draw(t, "seen"))
			e.Tx, e.Amount = flow.Hash{byte(rapid.IntRange(0, 2).Draw(t, "tx"))}, flow.AmountFromWords([4]uint64{uint64(i), 0, uint64(op % 2), 0})
			id, _, err := p.f.Add(e)
			if err != nil {
				t.Fatal(err)
			}
			e.ID = id
			p.o.evidence = append(p.o.evidence, e)
		case op <= 7:
			w := Withdrawal{Seen: int64(rapid.IntRange(1, 6).Draw(t, "withdrawn")), Reason: "wrong"}
			var ids []ID
			for range rapid.IntRange(1, 3).Draw(t, "many") {
				id := ID(rapid.IntRange(1, len(p.o.evidence)).Draw(t, "id"))
				ids = append(ids, id)
				if _, ok := p.o.gone[id]; !ok {
					p.o.gone[id] = w
				}
			}
			if err := p.f.Withdraw(w, ids...); err != nil {
				t.Fatal(err)
			}
		case op == 8:
			a, s := who(rapid.IntRange(0, people-1).Draw(t, "a")), rapid.SampledFrom([]string{"", "bank", "shop"}).Draw(t, "service")
			p.f.Mark(map[flow.Account]string{a: s})
			if p.o.marks[a] = s; s == "" {
				delete(p.o.marks, a)
			}
		default:
			id := ID(rapid.IntRange(1, len(p.o.evidence)).Draw(t, "id"))
			p.o.accepted[id] = true
			if err := p.f.Accept(id); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}

// sameAs compares a way to ask for members with the oracle's groups.
func sameAs(t *rapid.T, what string, members func(flow.Account) []flow.Account, group map[flow.Account]int) {
	for i := range people {
		want := []flow.Account{}
		for j := range people {
			if i == j || group[who(i)] != 0 && group[who(i)] == group[who(j)] {
				want = append(want, who(j))
			}
		}
		if got := members(who(i)); !slices.Equal(got, want) {
			t.Fatalf("%s: members of %s = %v; want %v", what, who(i), got, want)
		}
	}
}

// leads checks that a proof is evidence of the forest that counts and leads from a to b.
func leads(t *rapid.T, f *Forest, p Proof, a, b flow.Account) {
	weakest := 100
	for _, e := range p.Evidence {
		held, state, err := f.Evidence(e.ID)
		if err != nil || held != e {
			t.Fatalf("evidence %+v of a proof is %+v, %v, %v", e, held, state, err)
		}
		switch a {
		case e.A:
			a = e.B
		case e.B:
			a = e.A
		default:
			t.Fatalf("a proof breaks at %+v", e)
		}
		weakest = min(weakest, int(e.Confidence))
	}
	if a != b || p.Weakest != weakest {
		t.Fatalf("a proof leads to %s with %d; want %s with %d", a, p.Weakest, b, weakest)
	}
}

func TestForestIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawForest(t)
		group, states := p.o.judge(p.o.now)
		sameAs(t, "now", p.f.Members, group)
		for _, e := range p.o.evidence {
			if held, got, err := p.f.Evidence(e.ID); err != nil || got != states[e.ID] || held != e {
				t.Fatalf("evidence %d: %v, %+v, %v; want %v, %+v", e.ID, got, held, err, states[e.ID], e)
			}
		}
		sizes := map[int]int{}
		for _, g := range group {
			sizes[g]++
		}
		clusters := 0
		for _, n := range sizes {
			clusters += b2i(n > 1)
		}
		if _, _, got := p.f.Len(); got != clusters {
			t.Fatalf("%d clusters; want %d", got, clusters)
		}
		for _, d := range p.f.Doubts() {
			if states[d.Evidence.ID] != Quarantined || d.Reason == "" {
				t.Fatalf("doubt %+v; its state is %v", d, states[d.Evidence.ID])
			}
			delete(states, d.Evidence.ID)
		}
		if slices.Contains(slices.Collect(maps.Values(states)), Quarantined) {
			t.Fatal("quarantined evidence is not among the doubts")
		}
	})
}

// What was undone leaves no trace in the clusters: a forest that never had the evidence, and one that is read back, give
// the same answers, proofs included.
func TestWithdrawEqualsRebuild(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawForest(t)
		fresh := New(p.o.guard)
		fresh.Mark(p.o.marks)
		names := map[ID]ID{} // of the fresh forest, in ours
		for _, e := range p.o.evidence {
			if !p.o.now(e) {
				continue
			}
			next := ID(len(names) + 1)
			names[next] = e.ID
			if p.o.accepted[e.ID] {
				fresh.accepted[next] = true
			}
			if _, _, err := fresh.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		var b bytes.Buffer
		if _, err := p.f.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		again, err := Read(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		var c bytes.Buffer
		if n, err := again.WriteTo(&c); err != nil || n != int64(b.Len()) || !bytes.Equal(b.Bytes(), c.Bytes()) {
			t.Fatalf("what is read back is written as %d bytes, not as the same %d; %v", n, b.Len(), err)
		}
		if !reflect.DeepEqual(p.f.Doubts(), again.Doubts()) || !maps.Equal(p.f.taken, again.taken) {
			t.Fatal("doubts or withdrawals read back differ")
		}
		for i := range people {
			if p.f.Service(who(i)) != fresh.Service(who(i)) || p.f.Service(who(i)) != again.Service(who(i)) || p.f.Name(who(i)) != again.Name(who(i)) {
				t.Fatalf("%s is %q, rebuilt %q, read back %q", who(i), p.f.Service(who(i)), fresh.Service(who(i)), again.Service(who(i)))
			}
			for j := range people {
				a, b := who(i), who(j)
				got, ok := p.f.Explain(a, b)
				want, wantOK := fresh.Explain(a, b)
				for k := range want.Evidence {
					want.Evidence[k].ID = names[want.Evidence[k].ID]
				}
				back, backOK := again.Explain(a, b)
				if ok != wantOK || ok != backOK || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(got, back) {
					t.Fatalf("explain %s %s: %+v, %v; rebuilt %+v, %v; read back %+v, %v", a, b, got, ok, want, wantOK, back, backOK)
				}
				if ok {
					leads(t, p.f, got, a, b)
				}
			}
		}
	})
}

func TestStrengthIsTheWidestWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawForest(t)
		_, states := p.o.judge(p.o.now)
		var width [people][people]int // Floyd and Warshall, for the widest way
		for i := range people {
			for j := range people {
				width[i][j] = -1
			}
			width[i][i] = 100
		}
		index := map[flow.Account]int{}
		for i := range people {
			index[who(i)] = i
		}
		for _, e := range p.o.evidence {
			if s := states[e.ID]; s == Joins || s == Repeats {
				i, j := index[e.A], index[e.B]
				width[i][j] = max(width[i][j], int(e.Confidence))
				width[j][i] = width[i][j]
			}
		}
		for k := range people {
			for i := range people {
				for j := range people {
					width[i][j] = max(width[i][j], min(width[i][k], width[k][j]))
				}
			}
		}
		levels := p.f.Levels()
		for i := range people {
			for j := range people {
				a, b, want := who(i), who(j), width[i][j]
				proof, ok := p.f.Strongest(a, b)
				if ok != (want >= 0) || ok && proof.Weakest != want {
					t.Fatalf("strongest %s %s: %+v, %v; want %d", a, b, proof, ok, want)
				}
				if ok {
					leads(t, p.f, proof, a, b)
				}
				if got, ok := levels.Between(a, b); ok != (want >= 0) || ok && got != want {
					t.Fatalf("levels of %s %s: %d, %v; want %d", a, b, got, ok, want)
				}
			}
		}
		for _, least := range []int{0, 10, 11, 90, 100} {
			for i := range people {
				var want []flow.Account
				for j := range people {
					if width[i][j] >= least {
						want = append(want, who(j))
					}
					if got := levels.Same(who(i), who(j), least); got != (width[i][j] >= least) {
						t.Fatalf("levels: same at %d %s %s = %v", least, who(i), who(j), got)
					}
				}
				if got := p.f.MembersAt(who(i), least); !slices.Equal(got, want) {
					t.Fatalf("members of %s at %d: %v; want %v", who(i), least, got, want)
				}
			}
		}
	})
}

func TestAsOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawForest(t)
		m := Moment{Seen: int64(rapid.IntRange(0, 6).Draw(t, "seen"))}
		last := uint64(100)
		if rapid.Bool().Draw(t, "limited") {
			last = uint64(rapid.IntRange(0, 6).Draw(t, "last"))
			m.Places = map[flow.Chain]flow.Pos{who(0).Chain(): {Height: last}}
		}
		group, _ := p.o.judge(func(e Evidence) bool {
			w, gone := p.o.gone[e.ID]
			return e.At.Height <= last && (m.Seen == 0 || e.Seen <= m.Seen) && (!gone || m.Seen != 0 && w.Seen > m.Seen)
		})
		v := p.f.AsOf(m)
		sameAs(t, fmt.Sprintf("as of %+v", m), v.Members, group)
		for i := range people {
			for j := range people {
				want := i == j || group[who(i)] != 0 && group[who(i)] == group[who(j)]
				proof, ok := v.Explain(who(i), who(j))
				if v.Same(who(i), who(j)) != want || ok != want {
					t.Fatalf("as of %+v: same %s %s is %v; want %v", m, who(i), who(j), ok, want)
				}
				if ok {
					leads(t, p.f, proof, who(i), who(j))
				}
			}
		}
	})
}

// Without doubts, what belongs together does not depend on the order in which it was learned.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Evidence
		for range rapid.IntRange(0, 15).Draw(t, "evidence") {
			a := rapid.IntRange(0, people-2).Draw(t, "a")
			all = append(all, says(a, rapid.IntRange(a+1, people-1).Draw(t, "b"), rapid.IntRange(0, 100).Draw(t, "confidence")))
		}
		f, g := New(Guard{}), New(Guard{})
		for _, e := range all {
			f.Add(e)
		}
		for _, e := range rapid.Permutation(all).Draw(t, "order") {
			g.Add(e)
		}
		for i := range people {
			if !slices.Equal(f.Members(who(i)), g.Members(who(i))) {
				t.Fatalf("members of %s: %v or %v", who(i), f.Members(who(i)), g.Members(who(i)))
			}
			for j := range people {
				x, _ := f.Strongest(who(i), who(j))
				y, _ := g.Strongest(who(i), who(j))
				if x.Weakest != y.Weakest {
					t.Fatalf("%s and %s: %d or %d", who(i), who(j), x.Weakest, y.Weakest)
				}
			}
		}
	})
}

func TestGuardKeepsServicesApart(t *testing.T) {
	f := New(Guard{})
	f.Mark(map[flow.Account]string{who(1): "bank", who(9): "shop"})
	f.Add(says(1, 2, 90))
	f.Add(says(8, 9, 90))
	id, state, err := f.Add(says(2, 8, 100))
	if err != nil || state != Quarantined || f.Same(who(1), who(9)) {
		t.Fatalf("evidence between two services: %v, %v", state, err)
	}
	if d := f.Doubts(); len(d) != 1 || d[0].Reason != `would join the services "bank" and "shop"` {
		t.Errorf("doubts %+v", d)
	}
	f.Mark(map[flow.Account]string{who(9): ""})
	if _, state, _ := f.Evidence(id); state != Joins || f.Service(who(9)) != "bank" {
		t.Errorf("without the mark the evidence %v; want joins", state)
	}
	f.Mark(map[flow.Account]string{who(9): "shop"}) // what was learned too late counts as if it had been known
	if f.Same(who(1), who(9)) || f.Service(who(8)) != "shop" || f.Service(who(2)) != "bank" {
		t.Error("a mark that comes late does not split the cluster")
	}
	if err := f.Accept(id); err != nil || !f.Same(who(1), who(9)) {
		t.Errorf("accepted evidence does not join: %v", err)
	}
}

func TestGuardAgainstCollapse(t *testing.T) {
	chain := func(f *Forest, from, n int) {
		for i := range n - 1 {
			e := says(0, 1, 95)
			e.A, e.B = whoever(from+i), whoever(from+i+1)
			f.Add(e)
		}
	}
	f := New(Guard{})
	chain(f, 0, 10_001)
	chain(f, 20_000, 10_001)
	weak, strong := says(0, 1, 89), says(0, 1, 90)
	weak.A, weak.B = whoever(0), whoever(20_000)
	strong.A, strong.B = whoever(5), whoever(20_005)
	_, state, _ := f.Add(weak)
	if d := f.Doubts(); state != Quarantined || d[0].Reason != "would join clusters of 10001 and 10001 accounts on a confidence of 89" {
		t.Errorf("weak evidence between large clusters %v: %+v", state, d)
	}
	id, state, _ := f.Add(strong)
	if state != Joins || f.Size(whoever(3)) != 20_002 {
		t.Errorf("strong evidence %v", state)
	}
	late := weak
	late.A = whoever(7)
	if _, state, _ = f.Add(late); state != Repeats {
		t.Errorf("weak evidence inside a cluster %v", state)
	}
	if err := f.Withdraw(Withdrawal{}, id); err != nil || f.Size(whoever(3)) != 10_001 || len(f.Doubts()) != 2 {
		t.Errorf("what repeated stands for what joined, past the guard: %v, %d doubts", err, len(f.Doubts()))
	}
}

func whoever(i int) flow.Account {
	return flow.EVMAccount(flow.Ethereum, [20]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
}

func TestRefusedEvidence(t *testing.T) {
	f := New(Guard{})
	for name, e := range map[string]Evidence{
		"nobody":       {A: who(1), Heuristic: MultiInput, Version: 1},
		"itself":       says(1, 1, 50),
		"too-sure":     says(1, 2, 101),
		"no-heuristic": {A: who(1), B: who(2), Version: 1},
		"no-version":   {A: who(1), B: who(2), Heuristic: SameKey},
	} {
		if id, _, err := f.Add(e); !errors.Is(err, ErrEvidence) || id != 0 {
			t.Errorf("%s: %d, %v; want ErrEvidence", name, id, err)
		}
	}
	if err := f.Withdraw(Withdrawal{}, 1); !errors.Is(err, ErrNoEvidence) {
		t.Errorf("withdraw nothing: %v", err)
	}
	if _, _, err := f.Evidence(0); !errors.Is(err, ErrNoEvidence) {
		t.Errorf("evidence 0: %v", err)
	}
	if e, a, c := f.Len(); e+a+c != 0 {
		t.Errorf("an empty forest has %d %d %d", e, a, c)
	}
}

func TestForkTakesBackItsEvidence(t *testing.T) {
	f := New(Guard{})
	for i := range 5 {
		e := says(i, i+1, 90)
		e.At.Height = uint64(i)
		f.Add(e)
	}
	ids := f.Since(who(0).Chain(), flow.Pos{Height: 3})
	if !slices.Equal(ids, []ID{4, 5}) || len(f.Since(flow.Bitcoin, flow.Pos{})) != 0 {
		t.Fatalf("since block 3: %v", ids)
	}
	if err := f.Withdraw(Withdrawal{Seen: 9, Reason: "block undone"}, ids...); err != nil || f.Size(who(0)) != 4 || f.Size(who(5)) != 1 {
		t.Errorf("after the fork: %v, %d accounts", err, f.Size(who(0)))
	}
	if w, ok := f.Withdrawn(5); !ok || w.Reason != "block undone" || len(f.Since(who(0).Chain(), flow.Pos{Height: 3})) != 0 {
		t.Errorf("withdrawal %+v, %v", w, ok)
	}
	if got := f.Of(who(4)); !slices.Equal(got, ids) {
		t.Errorf("evidence of the last but one: %v; want it although it is withdrawn", got)
	}
}

func FuzzRead(f *testing.F) {
	g := New(Guard{})
	g.Mark(map[flow.Account]string{who(1): "bank"})
	g.Add(says(1, 2, 90))
	g.Add(says(2, 3, 50))
	g.Withdraw(Withdrawal{Seen: 1, Reason: "x"}, 2)
	var b bytes.Buffer
	if _, err := g.WriteTo(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:len(b.Bytes())/2])
	f.Add([]byte(magic))
	f.Add([]byte(magic + "\x01\x01\x00\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := Read(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("%v does not wrap ErrFormat", err)
			}
			return
		}
		if _, err := g.WriteTo(new(bytes.Buffer)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReadFindsDamage(t *testing.T) {
	g := New(Guard{})
	for i := range 8 {
		g.Add(says(i, i+1, 90))
	}
	var buf bytes.Buffer
	if _, err := g.WriteTo(&buf); err != nil {
		t.Fatal(err)
	}
	whole := buf.Bytes()
	for i := range whole {
		if _, err := Read(bytes.NewReader(whole[:i])); !errors.Is(err, ErrFormat) {
			t.Fatalf("cut at byte %d: %v", i, err)
		}
		bad := slices.Clone(whole)
		bad[i] ^= 1
		if _, err := Read(bytes.NewReader(bad)); !errors.Is(err, ErrFormat) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
	if _, err := Read(bytes.NewReader(append(whole, 0))); !errors.Is(err, ErrFormat) {
		t.Fatalf("a byte too many: %v", err)
	}
}
