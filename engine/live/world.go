package live

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/watch"
)

// A world answers what a watch asks, from one state of the store.
type world struct {
	*engine.Graph
	s        store.Snapshot
	labels   *engine.Labels
	contacts contacts
}

// contacts are whom to call, by the name of a service in lower case.
type contacts map[string]string

func newContacts(from map[string]string) contacts {
	c := contacts{}
	for name, contact := range from {
		c[strings.ToLower(name)] = contact
	}
	return c
}

// of is the contact whose name is that of a label, or stands in it as a whole word; of several the longest.
func (c contacts) of(name string) string {
	name = strings.ToLower(name)
	if contact, ok := c[name]; ok {
		return contact
	}
	best := ""
	for _, n := range slices.Sorted(maps.Keys(c)) {
		if len(n) > len(best) && containsWord(name, n) {
			best = n
		}
	}
	return c[best]
}

func containsWord(text, word string) bool {
	isLetter := func(i int) bool {
		return i >= 0 && i < len(text) && (text[i] >= 'a' && text[i] <= 'z' || text[i] >= '0' && text[i] <= '9' || text[i] >= 0x80)
	}
	for from := 0; word != ""; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		if !isLetter(i-1) && !isLetter(i+len(word)) {
			return true
		}
		from = i + 1
	}
	return false
}

// newWorld is the world of now. It must be closed.
func newWorld(st store.Store, labels *engine.Labels, c contacts) (*world, error) {
	s, err := st.Snapshot()
	if err != nil {
		return nil, err
	}
	return &world{engine.NewGraph(s), s, labels, c}, nil
}

// Close releases the state of the store.
func (w *world) Close() error { return w.s.Close() }

// Party implements watch.World.
func (w *world) Party(a flow.Account) (watch.Party, bool) {
	l, ok := w.labels.Of(a)
	if !ok {
		return watch.Party{}, false
	}
	return watch.Party{Name: l.Name, Category: l.Category, Contact: w.contacts.of(l.Name)}, true
}

// Vouched implements watch.World.
func (w *world) Vouched(a flow.Asset) bool { return engine.IsVouched(a) }

// Name implements watch.World.
func (w *world) Name(a flow.Asset) (symbol string, decimals int) {
	n := engine.NameOf(a)
	return n.Symbol, n.Decimals
}

// lastGavePage is how many entries are read at once to find the last payment of an account.
const lastGavePage = 256

// LastGave implements watch.World.
func (w *world) LastGave(ctx context.Context, a flow.Account, before flow.Pos) (int64, error) {
	c := a.Chain()
	ids, err := w.s.IDs(ctx, c, []flow.Account{a})
	if err != nil || ids[0] == 0 {
		return 0, err
	}
	for ask := (store.Ask{Holder: ids[0], From: before, Limit: lastGavePage, Back: true}); ; {
		var gave, last flow.Pos
		read := 0
		err := w.s.Entries(ctx, c, []store.Ask{ask}, func(_ int, es []store.Entry) error {
			read = len(es)
			for _, e := range es {
				last = e.Pos
				if e.Pos.Compare(before) < 0 && e.Gives && !e.Amount.IsZero() {
					gave = e.Pos
					return nil
				}
			}
			return nil
		})
		switch {
		case err != nil:
			return 0, fmt.Errorf("last payment of %s: %w", a, err)
		case gave != flow.Pos{}:
			p, err := w.s.Point(ctx, c, gave.Height)
			return p.Time, err
		case read < ask.Limit:
			return 0, nil
		case last == ask.From: // one movement with more legs than a page holds
			ask.Limit *= 2
		default:
			ask.From = last
		}
	}
}
