package watch

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// ErrSnapshot is returned for bytes that are no snapshot of a Watch of this version: open everything anew.
var ErrSnapshot = errors.New("not a snapshot of a watch")

// snapshotHead begins a snapshot; docs/formats/watch-state.md is the form.
const snapshotHead = "spoor watch 1\n"

// stored is what a snapshot holds besides the desk.
type stored struct {
	Tips  []flow.Point `json:"tips"`  // in the order of their chains
	Lists []storedList `json:"lists"` // in the order of their names
	Told  []string     `json:"told"`  // what is set aside and was said to be, in order
}

type storedList struct {
	Name  string `json:"name"`
	Dust  int64  `json:"dust"`
	Since int64  `json:"since"`
}

// Snapshot is the state in bytes: the same state gives the same bytes. Neither what Back needs is a part of it, nor the
// pending transactions, nor the accounts of the lists.
func (w *Watch) Snapshot() []byte {
	st := stored{Tips: w.Tips(), Lists: []storedList{}, Told: []string{}}
	if st.Tips == nil {
		st.Tips = []flow.Point{}
	}
	for _, n := range slices.Sorted(maps.Keys(w.dust)) {
		st.Lists = append(st.Lists, storedList{n, w.dust[n].total, w.dust[n].since})
	}
	for _, id := range slices.Sorted(maps.Keys(w.told)) {
		if w.told[id] {
			st.Told = append(st.Told, id)
		}
	}
	small, err := json.Marshal(st)
	if err != nil {
		panic("watch: " + err.Error()) // of plain values
	}
	desk := w.desk.Snapshot()
	body := binary.AppendUvarint(nil, uint64(len(small)))
	body = append(body, small...)
	body = append(body, desk...)
	sum := sha256.Sum256(body)
	return slices.Concat([]byte(snapshotHead), sum[:], body)
}

// Restore is the Watch of a snapshot, with these cases and lists. Of the cases it holds those that the snapshot holds
// with the same theft and options; see Watch.Cases, and Open the others. What the snapshot holds besides is dropped. It
// goes on where it stood: the same blocks bring the same news, which have the same keys. Blocks up to there can be taken
// back only as far as they did not matter to a case; others are set aside then. Errors wrap ErrSnapshot, but for those of
// lists.
func Restore(c Config, snapshot []byte, cases []Case, all []List) (*Watch, error) {
	st, desk, err := split(snapshot)
	if err != nil {
		return nil, err
	}
	known := map[string]Case{}
	for _, c := range cases {
		if err := checkName(c.ID); err != nil {
			return nil, fmt.Errorf("restore a case: %w", err)
		}
		chains, err := chainsOf(c.Theft)
		if err != nil {
			return nil, fmt.Errorf("restore case %.80q: %w", c.ID, err)
		}
		for _, chain := range chains {
			known[seatID(c.ID, chain)] = c
		}
	}
	d, err := trace.RestoreDesk(desk, func(id string) (trace.Theft, trace.Options, error) {
		c, ok := known[id]
		if !ok {
			return trace.Theft{}, trace.Options{}, errors.New("there is no such case any more")
		}
		for _, chain := range mustChains(c.Theft) {
			if seatID(c.ID, chain) == id {
				return on(c.Theft, chain), c.Options, nil
			}
		}
		return trace.Theft{}, trace.Options{}, errors.New("it is on no such chain")
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	w := fresh(c, d)
	for _, p := range st.Tips {
		w.chains[p.Chain] = &chainState{known: true, tip: p, lost: p.Height}
	}
	for _, p := range d.Places() {
		if ch := w.chains[p.Chain]; ch != nil && p.Next.Height <= ch.tip.Height {
			return nil, fmt.Errorf("%w: the cases stand before %s and the watch stands at %s", ErrSnapshot, p.Next, ch.tip)
		}
	}
	for _, l := range st.Lists {
		w.dust[l.Name] = &dust{l.Dust, l.Since}
	}
	for _, id := range st.Told {
		w.told[id] = true
	}
	if err := w.SetLists(all); err != nil {
		return nil, err
	}
	for _, c := range cases {
		if err := w.again(c); err != nil {
			return nil, err
		}
	}
	for _, id := range d.IDs() {
		if w.seats[id] == nil {
			d.Remove(id)
		}
	}
	maps.DeleteFunc(w.told, func(id string, _ bool) bool { return w.seats[id] == nil })
	return w, nil
}

// mustChains are the chains of a theft that was checked.
func mustChains(t trace.Theft) []flow.Chain {
	chains, _ := chainsOf(t)
	return chains
}

// again holds a case that is on the desk on all its chains.
func (w *Watch) again(c Case) error {
	o := &opened{Case: c}
	for _, chain := range mustChains(c.Theft) {
		traced := w.desk.Case(seatID(c.ID, chain))
		if traced == nil {
			return nil
		}
		s, err := newSeat(o, chain, traced)
		if err != nil {
			return err
		}
		s.stale, w.chain(chain).stale = true, true
		o.seats = append(o.seats, s)
	}
	w.hold(o)
	return nil
}

// split checks a snapshot and takes it apart.
func split(b []byte) (st stored, desk []byte, err error) {
	body, ok := bytes.CutPrefix(b, []byte(snapshotHead))
	if !ok {
		line, _, _ := bytes.Cut(b[:min(len(b), 40)], []byte("\n"))
		return st, nil, fmt.Errorf("%w: it begins with %q, not with %q", ErrSnapshot, line, snapshotHead[:len(snapshotHead)-1])
	}
	if len(body) < sha256.Size {
		return st, nil, fmt.Errorf("%w: cut short at byte %d", ErrSnapshot, len(b))
	}
	sum, body := body[:sha256.Size], body[sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(sum, got[:]) {
		return st, nil, fmt.Errorf("%w: it is damaged: its digest is not that of its %d bytes", ErrSnapshot, len(body))
	}
	return splitBody(body)
}

func splitBody(body []byte) (st stored, desk []byte, err error) {
	n, width := binary.Uvarint(body)
	if width <= 0 || n > uint64(len(body)-width) {
		return st, nil, fmt.Errorf("%w: its first part is longer than all", ErrSnapshot)
	}
	d := json.NewDecoder(bytes.NewReader(body[width : width+int(n)]))
	d.DisallowUnknownFields()
	if err := d.Decode(&st); err != nil {
		return st, nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	seen := map[flow.Chain]bool{}
	for _, p := range st.Tips {
		if p.Chain.IsZero() || seen[p.Chain] {
			return st, nil, fmt.Errorf("%w: chain %q comes twice, or is none", ErrSnapshot, p.Chain)
		}
		seen[p.Chain] = true
	}
	for _, l := range st.Lists {
		if l.Dust < l.Since || l.Since < 0 {
			return st, nil, fmt.Errorf("%w: list %.80q: %d of %d counted", ErrSnapshot, l.Name, l.Since, l.Dust)
		}
	}
	return st, body[width+int(n):], nil
}
