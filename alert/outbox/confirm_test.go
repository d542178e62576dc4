package outbox

import (
	"testing"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

// What is confirmed stands again if it was said before; what is new is not said.
func TestConfirm(t *testing.T) {
	o := open(t, to())
	defer func() { must(t, o.Close()) }()
	ctx := t.Context()
	a, b, c := found("a", finding.High), found("b", finding.High), found("c", finding.High)
	must(t, o.Add(ctx, at(5), []alert.Alert{a, b}))
	must(t, o.Begin(ctx, chain, 5))
	must(t, o.Confirm(ctx, at(5), []alert.Alert{a, c}))
	must(t, o.Settle(ctx, chain, 9))
	if got, want := said(t, o, Filter{Messages: true}), "a standing, b withdrawn, b#1 withdrawn"; got != want {
		t.Errorf("it is said %q; want %q", got, want)
	}
	must(t, o.Confirm(ctx, at(6), []alert.Alert{b}))
	if got, want := said(t, o, Filter{Messages: true}), "a standing, b standing, b#1 standing, b#2 standing"; got != want {
		t.Errorf("it is said %q; want %q", got, want)
	}
}
