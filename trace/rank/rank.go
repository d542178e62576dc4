// Package rank says where to look next: which accounts most of the stolen money's ways lead to, before anybody counts it.
//
// There are two forms of one walk. Explore reads a trace.Graph account by account, always the one that most is waiting
// at, and so spends a budget of reads where it matters. A Stream eats transactions in the order of the chain and keeps the
// ranks of all that were touched. Ranks are shares of a walk and not money: they are float64, and the same input gives the
// same bits on every machine.
package rank

import (
	"fmt"
	"math"

	"github.com/spoor-dev/spoor/flow"
)

// A Weight says how the payments of one holder share what goes on from it. Only payments of one asset are ever compared:
// there are no prices in it.
type Weight uint8

const (
	// Linear counts the units: the walk goes where the money went by amount.
	Linear Weight = iota
	// Log counts the doublings of a payment over a 1024th of its holder's largest one: the small ways are looked at, too.
	Log
)

var weightNames = [...]string{"linear", "log"}

// String is one lower-case word.
func (w Weight) String() string {
	if int(w) < len(weightNames) {
		return weightNames[w]
	}
	return fmt.Sprintf("weight%d", uint8(w))
}

// of is the weight of an amount in a holder whose largest one is scale; both are more than nothing.
func (w Weight) of(amount, scale float64) float64 {
	if w == Linear {
		return amount
	}
	return log2plus1(float64(1024 * (amount / scale)))
}

// log2plus1 is the logarithm of 1+x for x ≥ 0, with straight lines between the powers of two: a tenth off at most, never
// nothing for something, and the same on every machine.
func log2plus1(x float64) float64 {
	if x < 1 {
		return x
	}
	frac, exp := math.Frexp(1 + x)
	return float64(exp-1) + (2*frac - 1)
}

// units is an amount as a float64.
func units(a flow.Amount) float64 {
	w := a.Words()
	x := 0.0
	for i := len(w) - 1; i >= 0; i-- {
		x = math.Ldexp(x, 64) + float64(w[i])
	}
	return x
}

// after is the place right after p.
func after(p flow.Pos) flow.Pos {
	if p.Movement++; p.Movement != 0 {
		return p
	}
	if p.Tx++; p.Tx != 0 {
		return p
	}
	if p.Height++; p.Height != 0 {
		return p
	}
	return flow.Pos{Height: math.MaxUint64, Tx: math.MaxUint32, Movement: math.MaxUint32}
}

// fill sets a setting that is zero, and refuses one outside of the open interval from 0 to 1.
func fill(x *float64, name string, d float64) error {
	if *x == 0 {
		*x = d
	}
	if !(*x > 0 && *x < 1) {
		return fmt.Errorf("options: %s is %g, want more than 0 and less than 1", name, *x)
	}
	return nil
}
