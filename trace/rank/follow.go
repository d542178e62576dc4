package rank

import "github.com/spoor-dev/spoor/flow"

// Follow says whether an account is among the first n that the walk visited: those that are worth following if only n can
// be. Every one of them was reached through others of them.
func (r *Ranking) Follow(n int) func(flow.Account) bool {
	n = min(max(n, 0), len(r.Visited))
	chosen := make(map[flow.Account]bool, n)
	for _, a := range r.Visited[:n] {
		chosen[a] = true
	}
	return func(a flow.Account) bool { return chosen[a] }
}
