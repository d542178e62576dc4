package quality

import (
	"math/big"
	"strconv"

	"github.com/spoor-dev/spoor/flow"
)

// Truth is what is known to have happened.
type Truth struct {
	Transfers map[TransferID]TrueTransfer // none: the case knows accounts only
	Neutral   map[TransferID]bool         // neither right nor wrong
	Find      map[flow.Account]bool       // accounts to find
	Given     map[flow.Account]bool       // the sources, which are known beforehand
	Services  map[flow.Account]bool       // labelled services, which are not counted
	Passes    map[flow.Account]bool       // accounts that hand the loot on; nil where that is not known
	Endings   []Place                     // where the loot stands at the end; nil where that is not known
}

// A TrueTransfer is a transfer that carried the loot.
type TrueTransfer struct {
	Cents     int64 // value of the stolen part in hundredths of a dollar
	IntoEnd   bool  // into an account where the known trail ends
	Reachable bool  // from the sources, in the order of time
	Asset     flow.Asset
	Stolen    flow.Amount // the stolen part; all of it where the truth does not say
}

// A TransferScore says which transfers were found; all shares are between 0 and 1. The definitions are in docs/quality.md.
type TransferScore struct {
	Flow              float64 `json:"flow_coverage"`
	FlowReachable     float64 `json:"flow_coverage_of_reachable"`
	Terminus          float64 `json:"terminus_coverage"`
	TerminusReachable float64 `json:"terminus_coverage_of_reachable"`
	Precision         float64 `json:"precision"`
	Recall            float64 `json:"recall"`
	ValuePrecision    float64 `json:"value_precision"`
	ValueRecall       float64 `json:"value_recall"`
	Found             int     `json:"transfers_found"`
	True              int     `json:"transfers_true"`
	Neutral           int     `json:"transfers_neutral"`
}

// Budgets are how many of the first accounts are looked at.
var budgets = [...]int{10, 25, 50, 100, 250}

// A NodeScore says which accounts were found, the sources and the labelled services not counted.
type NodeScore struct {
	NodePrecision    float64         `json:"node_precision"`
	NodeRecall       float64         `json:"node_recall"`
	AveragePrecision float64         `json:"average_precision"`
	AtBudget         []BudgetedScore `json:"at_budget"`
	NodesFound       int             `json:"nodes_found"`
	NodesTrue        int             `json:"nodes_true"`
}

// A BudgetedScore is of the first accounts alone, as many as the budget says.
type BudgetedScore struct {
	Budget    int     `json:"budget"`
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
}

// transfers scores the transfers of an answer; nil for a case or a method that knows accounts only.
func (t *Truth) transfers(found []Carried) *TransferScore {
	if len(t.Transfers) == 0 || found == nil {
		return nil
	}
	var all, got coverage
	for _, x := range t.Transfers {
		all.add(x)
	}
	var s TransferScore
	value := t.value(found)
	seen := make(map[TransferID]bool, len(found))
	wrong, right, recalled := new(big.Int), new(big.Int), new(big.Int)
	for _, f := range found {
		if seen[f.ID] {
			continue
		}
		seen[f.ID] = true
		s.Found++
		x, ok := t.Transfers[f.ID]
		v := value[f.ID]
		switch {
		case ok:
			s.True++
			got.add(x)
			if v != nil {
				right.Add(right, v)
				if whole := big.NewInt(x.Cents); v.Cmp(whole) > 0 {
					v = whole
				}
				recalled.Add(recalled, v)
			}
		case t.Neutral[f.ID]:
			s.Neutral++
		case v != nil:
			wrong.Add(wrong, v)
		}
	}
	s.Flow, s.FlowReachable = share(got.flow, all.flow), share(got.flowReachable, all.flowReachable)
	s.Terminus, s.TerminusReachable = share(got.terminus, all.terminus), share(got.terminusReachable, all.terminusReachable)
	s.Precision, s.Recall = share(int64(s.True), int64(s.Found-s.Neutral)), share(int64(s.True), int64(len(t.Transfers)))
	s.ValuePrecision, s.ValueRecall = shareBig(right, wrong.Add(wrong, right)), shareBig(recalled, big.NewInt(all.flow))
	return &s
}

// coverage sums values in hundredths of a dollar.
type coverage struct{ flow, flowReachable, terminus, terminusReachable int64 }

func (c *coverage) add(x TrueTransfer) {
	c.flow += x.Cents
	if x.Reachable {
		c.flowReachable += x.Cents
	}
	if x.IntoEnd {
		c.terminus += x.Cents
		if x.Reachable {
			c.terminusReachable += x.Cents
		}
	}
}

// value is what each transfer is said to have carried, in hundredths of a dollar at the mean price of the asset over all
// true transfers. A transfer of an asset that has no price there has no value.
func (t *Truth) value(found []Carried) map[TransferID]*big.Int {
	type price struct{ cents, units *big.Int }
	prices := map[flow.Asset]price{}
	for _, x := range t.Transfers {
		p, ok := prices[x.Asset]
		if !ok {
			p = price{new(big.Int), new(big.Int)}
			prices[x.Asset] = p
		}
		p.cents.Add(p.cents, big.NewInt(x.Cents))
		p.units.Add(p.units, x.Stolen.Big())
	}
	value := map[TransferID]*big.Int{}
	for _, f := range found {
		p, ok := prices[f.Asset]
		if !ok || p.units.Sign() == 0 {
			continue
		}
		v := new(big.Int).Mul(f.Amount.Big(), p.cents)
		v.Quo(v, p.units)
		if sum := value[f.ID]; sum != nil {
			v.Add(v, sum)
		}
		value[f.ID] = v
	}
	return value
}

// nodes scores the accounts of an answer, the best first.
func (t *Truth) nodes(found []flow.Account) NodeScore {
	var s NodeScore
	var hits []int // hits[i] is how many of the first i+1 are right
	sum := 0.0
	seen := make(map[flow.Account]bool, len(found))
	for _, a := range found {
		if seen[a] || t.Given[a] || t.Services[a] {
			continue
		}
		seen[a] = true
		s.NodesFound++
		if t.Find[a] {
			s.NodesTrue++
			sum += float64(s.NodesTrue) / float64(s.NodesFound)
		}
		hits = append(hits, s.NodesTrue)
	}
	s.NodePrecision, s.NodeRecall = share(int64(s.NodesTrue), int64(s.NodesFound)), share(int64(s.NodesTrue), int64(len(t.Find)))
	if len(t.Find) > 0 {
		s.AveragePrecision = round(sum/float64(len(t.Find)), digits)
	}
	for _, b := range budgets {
		n, right := min(b, len(hits)), 0
		if n > 0 {
			right = hits[n-1]
		}
		s.AtBudget = append(s.AtBudget, BudgetedScore{b, share(int64(right), int64(n)), share(int64(right), int64(len(t.Find)))})
	}
	return s
}

// claimError is how far the places of an answer are from the truth: the sum of |found - true| over all places, in parts
// of what is there in truth; the mean over the stolen assets that the truth names. It is nil where the truth or the
// method does not say. Nothing found at all is 1; 2 is all of it, and all of it in the wrong places.
func (t *Truth) claimError(found []Place) *float64 {
	if t.Endings == nil || found == nil {
		return nil
	}
	type key struct {
		account flow.Account
		stolen  flow.Asset
	}
	difference := map[key]*big.Int{}
	stolen, wrong := map[flow.Asset]*big.Int{}, map[flow.Asset]*big.Int{}
	put := func(places []Place, sign int64) {
		for _, p := range places {
			k := key{p.Account, p.Stolen}
			if difference[k] == nil {
				difference[k] = new(big.Int)
			}
			difference[k].Add(difference[k], new(big.Int).Mul(p.Claim.Big(), big.NewInt(sign)))
		}
	}
	put(t.Endings, 1)
	put(found, -1)
	for _, p := range t.Endings {
		if stolen[p.Stolen] == nil {
			stolen[p.Stolen], wrong[p.Stolen] = new(big.Int), new(big.Int)
		}
		stolen[p.Stolen].Add(stolen[p.Stolen], p.Claim.Big())
	}
	for k, d := range difference {
		if w := wrong[k.stolen]; w != nil {
			w.Add(w, d.Abs(d))
		}
	}
	sum := new(big.Rat)
	for asset, whole := range stolen {
		if whole.Sign() > 0 {
			sum.Add(sum, new(big.Rat).SetFrac(wrong[asset], whole))
		}
	}
	mean := 0.0
	if len(stolen) > 0 {
		mean, _ = sum.Quo(sum, big.NewRat(int64(len(stolen)), 1)).Float64()
	}
	mean = round(mean, digits)
	return &mean
}

// digits is to how many decimals a score is kept.
const digits = 6

// share is a/b, 0 where there is nothing to share.
func share(a, b int64) float64 {
	if b <= 0 {
		return 0
	}
	return round(float64(a)/float64(b), digits)
}

func shareBig(a, b *big.Int) float64 {
	if b.Sign() <= 0 {
		return 0
	}
	v, _ := new(big.Rat).SetFrac(a, b).Float64()
	return round(v, digits)
}

func round(v float64, digits int) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'f', digits, 64), 64)
	return r
}
