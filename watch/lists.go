package watch

import (
	"fmt"
	"hash/maphash"
	"slices"
	"sort"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// listed is a List that is watched.
type listed struct {
	List
	first uint32 // the place of its first account among those of all lists
	least map[flow.Asset]flow.Amount
	dust  *dust
}

// lists find the accounts of all lists by a table of places, hashed by a seed that nobody can choose addresses for; what
// is found is compared, so that no answer depends on the seed. A filter in front says no to almost everybody else.
type lists struct {
	all      []*listed
	accounts int // that were entered, once for each list
	seed     maphash.Seed
	table    []uint32 // the place of an account, from 1; 0 where there is none. A power of two long, half empty or more
	filter   []uint64
}

// maxListed bounds the accounts of all lists.
const maxListed = 1 << 30

// SetLists puts lists in the place of those that there were. What was counted for a list of the same name goes on.
// Errors name the list, and nothing has changed then.
func (w *Watch) SetLists(all []List) error {
	names := map[string]bool{}
	x := lists{seed: maphash.MakeSeed()}
	n := 0
	for _, l := range all {
		if err := checkName(l.Name); err != nil {
			return fmt.Errorf("watch list: %w", err)
		}
		switch {
		case names[l.Name]:
			return fmt.Errorf("watch list %.80q: there are two of that name", l.Name)
		case l.Severity > finding.Critical:
			return fmt.Errorf("watch list %.80q: severity %d", l.Name, l.Severity)
		case len(l.Accounts) > maxListed-n:
			return fmt.Errorf("watch list %.80q: more than %d accounts", l.Name, maxListed)
		}
		if l.Severity == 0 {
			l.Severity = finding.Medium
		}
		names[l.Name] = true
		x.all = append(x.all, &listed{List: l, first: uint32(n), least: map[flow.Asset]flow.Amount{}})
		n += len(l.Accounts)
	}
	slots, words := 1, 1
	for slots < 2*n {
		slots *= 2
	}
	for 4*words < n {
		words *= 2
	}
	x.table, x.filter = make([]uint32, slots), make([]uint64, words)
	for i, l := range x.all {
		for k := range l.Accounts {
			x.enter(i, l.Accounts[k], l.first+uint32(k))
		}
		if w.dust[l.Name] == nil {
			w.dust[l.Name] = &dust{}
		}
		l.dust = w.dust[l.Name]
	}
	w.lists = x
	return nil
}

func (x *lists) hash(a flow.Account) uint64 { return maphash.String(x.seed, a.Key()) }

// slot is where the search for a hash begins. The filter looks at other bits of it.
func (x *lists) slot(h uint64) uint64 { return h >> 32 & uint64(len(x.table)-1) }

func (x *lists) enter(list int, a flow.Account, at uint32) {
	if a.IsZero() {
		return
	}
	h := x.hash(a)
	i := x.slot(h)
	for ; x.table[i] != 0; i = (i + 1) & uint64(len(x.table)-1) {
		if n, known := x.at(x.table[i] - 1); known == a && n == list {
			return // named twice
		}
	}
	x.table[i] = at + 1
	x.filter[h>>6&uint64(len(x.filter)-1)] |= 1 << (h & 63)
	x.accounts++
}

// at is the account at a place, and the number of its list.
func (x *lists) at(place uint32) (list int, a flow.Account) {
	if len(x.all) > 1 {
		list = sort.Search(len(x.all), func(i int) bool { return x.all[i].first > place }) - 1
	}
	l := x.all[list]
	return list, l.Accounts[place-l.first]
}

// find appends the numbers of the lists that an account is on, in their order.
func (x *lists) find(a flow.Account, found []int) []int {
	if x.accounts == 0 {
		return found
	}
	h := x.hash(a)
	if x.filter[h>>6&uint64(len(x.filter)-1)]&(1<<(h&63)) == 0 {
		return found
	}
	for i := x.slot(h); x.table[i] != 0; i = (i + 1) & uint64(len(x.table)-1) {
		if n, known := x.at(x.table[i] - 1); known == a {
			found = append(found, n)
		}
	}
	if len(found) > 1 {
		slices.Sort(found)
	}
	return found
}

// smallest is the smallest payment of an asset to a list that is told.
func (b *block) smallest(l *listed, a flow.Asset) flow.Amount {
	if v, ok := l.least[a]; ok {
		return v
	}
	v, ok := l.Least[a]
	if !ok {
		v, ok = b.config.Least[a]
	}
	if !ok {
		v = leastOf(a, b.world)
	}
	l.least[a] = v
	return v
}

// stablecoins are the symbols of tokens that are worth about a dollar. Only well-known tokens have a symbol here.
func isStablecoin(symbol string) bool {
	switch symbol {
	case "USDC", "USDT", "DAI", "BUSD", "TUSD", "USDP", "FDUSD", "PYUSD", "USDe", "USDS", "LUSD", "FRAX", "GUSD", "USDD":
		return true
	}
	return false
}

// leastOf is the smallest payment that is told where nobody says: see Config.Least.
func leastOf(a flow.Asset, w World) flow.Amount {
	symbol, decimals := w.Name(a)
	zeros := 0
	switch {
	case isStablecoin(symbol):
		zeros = decimals + 1
	case decimals == 18:
		zeros = 16
	case decimals == 8:
		zeros = 4
	case decimals == 6 && a.IsNative():
		zeros = 6
	default:
		return flow.Amount{}
	}
	n := uint64(1)
	if zeros > 19 {
		return flow.Amount{}
	}
	for range zeros {
		n *= 10
	}
	return flow.NewAmount(n)
}
