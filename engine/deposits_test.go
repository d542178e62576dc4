package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/trace"
)

// The freeze list says by whom claim came to a service, and who of them passes all on as a deposit address does.
func TestDeposits(t *testing.T) {
	chain, err := flow.TextChain("deposits")
	if err != nil {
		t.Fatal(err)
	}
	who := func(name string) flow.Account {
		a, err := flow.NewAccount(chain, name)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	st := memstore.New()
	for i, line := range strings.Split("victim>thief 100,thief>deposit 30,deposit>exchange 30,thief>friend 30,friend>exchange 10,thief>mixer 5,thief>exchange 1", ",") {
		var from, to string
		var v uint64
		if _, err := fmt.Sscanf(strings.ReplaceAll(line, ">", " "), "%s %s %d", &from, &to, &v); err != nil {
			t.Fatal(err)
		}
		p := flow.Point{Chain: chain, Height: uint64(i + 1), Hash: flow.Hash{31: byte(i + 1)}, Time: int64(i + 1)}
		b := flow.Block{Point: p, Txs: []flow.Tx{{ID: flow.Hash{0: byte(i + 1)}, Point: p,
			Movements: []flow.Movement{flow.In1Out1(flow.Transfer, chain.Native(), 0, who(from), who(to), flow.NewAmount(v))}}}}
		if _, err := st.Append(t.Context(), []flow.Block{b}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	theft := trace.Theft{Name: "t", Sources: []trace.Source{trace.Outflow{Account: who("thief")}}}
	stops := func(a flow.Account) (trace.Stop, bool) {
		switch a {
		case who("exchange"):
			return trace.Stop{Reason: "X"}, true
		case who("mixer"):
			return trace.Stop{Sink: trace.Mixer, Reason: "M"}, true
		}
		return trace.Stop{}, false
	}
	ask := func(o trace.Options) *Answer {
		o.Stop = stops
		a, err := Trace(t.Context(), s, theft, o, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	var got []string
	for _, d := range Deposits(ask(trace.Options{}).Report) {
		got = append(got, fmt.Sprintf("%s %s<%s %s %v %d", d.Sink, d.Service.Address(), d.Via.Address(), d.Claims[1], d.Sweeps, len(d.Txs)))
	}
	want := "service exchange<deposit 30 true 1, service exchange<friend 10 false 1, mixer mixer<thief 5 false 1, service exchange<thief 1 false 1"
	if strings.Join(got, ", ") != want {
		t.Errorf("deposits:\n%s\nwant\n%s", strings.Join(got, ", "), want)
	}
	if d := Deposits(ask(trace.Options{Backward: true}).Report); len(d) != 0 {
		t.Errorf("backward: %v", d)
	}
}
