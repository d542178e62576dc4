package live

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
	"github.com/spoor-dev/spoor/watch"
)

// An openCase is a theft of the configuration.
type openCase struct {
	id     string
	path   string
	budget int
	sum    flow.Hash // sha256 of its file
	theft  engine.TheftFile

	open    bool
	waits   string // why it is not open yet
	reopen  string // why it is to be opened anew
	partial []string
	doubts  []string // what the theft names and is not followed
	since   time.Time
	knew    []flow.Point // the newest blocks when it was opened: people were told at once where the money was by then
}

// readCases reads the theft files of a configuration.
func readCases(from []config.Case) ([]*openCase, error) {
	var all []*openCase
	for _, c := range from {
		paths := []string{c.Theft}
		info, err := os.Stat(c.Theft)
		if err != nil {
			return nil, fmt.Errorf("case %s: %w", cmp.Or(c.ID, c.Theft), err)
		}
		if info.IsDir() {
			if paths, err = thefts(c.Theft); err != nil {
				return nil, err
			}
		}
		for _, path := range paths {
			id := c.ID
			switch name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)); {
			case id == "":
				id = name
			case info.IsDir():
				id += "-" + name
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("case %s: %w", id, err)
			}
			theft, err := engine.ReadTheft(path, bytes.NewReader(text))
			if err != nil {
				return nil, fmt.Errorf("case %s: %w", id, err)
			}
			if i := slices.IndexFunc(all, func(o *openCase) bool { return o.id == id }); i >= 0 {
				return nil, fmt.Errorf("case %s: both %s and %s", id, all[i].path, path)
			}
			all = append(all, &openCase{id: id, path: path, budget: c.Budget, theft: theft, sum: sha256.Sum256(text)})
		}
	}
	return all, nil
}

// thefts are the theft files of a folder, in the order of their names.
func thefts(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if ext := strings.ToLower(filepath.Ext(e.Name())); !e.IsDir() && (ext == ".json" || ext == ".csv") {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

// readLists reads the watch lists of a configuration. An EVM address without a chain is listed on every EVM chain that is
// followed.
func readLists(from config.Config) ([]watch.List, error) {
	var all []watch.List
	for _, c := range from.Lists {
		l := watch.List{Name: c.Name, Severity: c.Severity, Dormant: time.Duration(c.Dormant), Contact: c.Contact, Least: map[flow.Asset]flow.Amount{}}
		add := func(text string) error {
			a, err := flow.ParseAccount(text)
			if err != nil {
				return err
			}
			found := len(l.Accounts)
			for _, ch := range from.Chains {
				if ch.Chain.IsEVM() && a.Chain().IsEVM() && !strings.Contains(text, ":") {
					on, err := flow.ParseAccountOn(ch.Chain, text)
					if err != nil {
						return err
					}
					l.Accounts = append(l.Accounts, on)
				}
			}
			if len(l.Accounts) == found {
				l.Accounts = append(l.Accounts, a)
			}
			return nil
		}
		for _, text := range c.Accounts {
			if err := add(text); err != nil {
				return nil, fmt.Errorf("list %s: %w", c.Name, err)
			}
		}
		for asset, amount := range c.Least {
			a, err := flow.ParseAsset(asset)
			v, amountErr := flow.ParseAmount(amount)
			if err = errors.Join(err, amountErr); err != nil {
				return nil, fmt.Errorf("list %s: %w", c.Name, err)
			}
			l.Least[a] = v
		}
		if c.File != "" {
			if err := readAccounts(c.File, add); err != nil {
				return nil, fmt.Errorf("list %s: %w", c.Name, err)
			}
		}
		all = append(all, l)
	}
	return all, nil
}

// readAccounts reads one account a line; what stands behind a blank or a comma is not read.
func readAccounts(path string, add func(string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(strings.TrimSpace(lines.Text()), "#")
		if i := strings.IndexAny(text, " ,;\t"); i >= 0 {
			text = text[:i]
		}
		if text == "" {
			continue
		}
		if err := add(text); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	return lines.Err()
}

// undoTransactions is how many transactions that mattered a case can take back: more than a reorganisation brings
// together. Beyond it the case is opened anew.
const undoTransactions = 10_000

// begin reads the cases and brings the watch to where the store is.
func (l *Live) begin(ctx context.Context) error {
	cases, err := readCases(l.currentConfig().Cases)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.cases = cases
	l.mu.Unlock()
	if err := l.rebuild(ctx, false, flow.Point{}); err != nil {
		return err
	}
	return l.save(ctx, false)
}

// rebuild makes the watch anew from the store: it walks each case to a block that will not be undone, and lets all eat
// what came after that, which says again what was said before. What is not said again is corrected, unless it could not
// be said again because the question has changed, or what is below has: changed says so of all. filled is the lowest
// block that was missing and may be there now, zero if there is none: all is eaten from there on, since what moved in it
// was never told.
func (l *Live) rebuild(ctx context.Context, changed bool, filled flow.Point) error {
	defer l.stopEating()() // while it waits for room, too: what is half made must eat nothing
	return l.whenRoom(ctx, func() error { return l.remake(ctx, changed, filled) })
}

func (l *Live) remake(ctx context.Context, changed bool, filled flow.Point) error {
	labels, contacts := l.currentLabels()
	w, err := newWorld(l.store, labels, contacts)
	if err != nil {
		return err
	}
	defer w.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	was, err := l.readMemory()
	if err != nil {
		return err
	}
	if !filled.IsZero() {
		was.Eaten = append(was.Eaten, flow.Point{Chain: filled.Chain, Height: max(filled.Height, 1) - 1})
	}
	l.watch = watch.New(watch.Config{PerBlock: l.config.Alerts.PerBlock})
	if err := l.watch.SetLists(l.lists); err != nil {
		return err
	}
	var starts []watch.Start
	for _, chain := range w.s.Chains() {
		p, ok, err := l.startOf(ctx, w.s, chain, was.Eaten)
		if err != nil {
			return err
		}
		if ok {
			starts = append(starts, watch.Start{Chain: chain, Final: p})
		}
	}
	defer l.busy.Store(nil)
	var opened []alert.Alert
	for i, oc := range l.cases {
		oc.open = false
		what := fmt.Sprintf("case %s is being opened, %d of %d", oc.id, i+1, len(l.cases))
		l.busy.Store(&what)
		a, err := l.openCase(ctx, w, oc, starts)
		if err != nil {
			return err
		}
		if oc.open {
			opened = append(opened, a)
		}
	}
	if err := l.addOpened(ctx, opened); err != nil {
		for _, oc := range l.cases { // as long as nobody was told
			l.watch.Close(oc.id)
			oc.open = false
		}
		return err
	}
	now := l.questions()
	for _, oc := range l.cases {
		if question, there := was.Questions[oc.id]; there && oc.knew == nil && question == now[oc.id] {
			oc.knew = was.Knew[oc.id]
		}
		if !filled.IsZero() { // nobody knew what was missing
			oc.knew = slices.DeleteFunc(slices.Clone(oc.knew), func(p flow.Point) bool { return p.Chain == filled.Chain && p.Height >= filled.Height })
		}
	}
	for name, question := range was.Questions {
		if changed || now[name] != question {
			if err := l.outbox.Release(ctx, name); err != nil {
				return err
			}
		}
	}
	for _, s := range starts {
		if err := l.replay(ctx, w, s.Chain, s.Final); err != nil {
			return fmt.Errorf("%s: %w", s.Chain, err)
		}
	}
	return nil
}

// stopEating keeps all chains from eating until what it returns is called.
func (l *Live) stopEating() (goOn func()) {
	for _, c := range l.chains {
		c.eating.Lock()
	}
	return func() {
		for _, c := range l.chains {
			c.eating.Unlock()
		}
	}
}

// tell lets the watch eat a block and keeps what people must be told. l.mu is held.
func (l *Live) tell(ctx context.Context, w *world, seen watch.Seen) error {
	news, err := l.watch.Forward(ctx, w, seen)
	if err != nil {
		return err
	}
	l.reopenLater(news.Reopen)
	if len(news.Alerts) == 0 {
		return nil
	}
	made := l.now()
	var fresh, known []alert.Alert
	for _, a := range news.Alerts {
		a.Made = made
		knew, err := l.wasKnown(ctx, w, a, seen.Block.Point)
		switch {
		case err != nil:
			return err
		case knew:
			known = append(known, a)
		default:
			fresh = append(fresh, a)
		}
	}
	if err := l.outbox.Confirm(ctx, seen.Block.Point, known); err != nil {
		return err
	}
	if err := l.outbox.Add(ctx, seen.Block.Point, fresh); err != nil {
		return err
	}
	l.metrics.made(fresh)
	return nil
}

// wasKnown reports whether an alert is about a block that was there when its case was opened: what moved in it was told
// then, all at once. l.mu is held.
func (l *Live) wasKnown(ctx context.Context, w *world, a alert.Alert, p flow.Point) (bool, error) {
	i := slices.IndexFunc(l.cases, func(oc *openCase) bool { return oc.id == a.Case })
	if i < 0 || a.Kind != alert.Found {
		return false, nil
	}
	for _, knew := range l.cases[i].knew {
		if knew.Chain != p.Chain || knew.Height < p.Height {
			continue
		}
		is, err := w.s.Point(ctx, p.Chain, knew.Height)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		return err == nil && is.Hash == knew.Hash, err
	}
	return false, nil
}

// blocksOf are the blocks that the store holds between two heights, both included.
func blocksOf(ctx context.Context, s store.Snapshot, c flow.Chain, from, to uint64) iter.Seq2[flow.Block, error] {
	return func(yield func(flow.Block, error) bool) {
		for h := from; h <= to; h++ {
			b, err := s.Block(ctx, c, h)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// openCase opens a case where it can be, and says why where it cannot; what it returns is to be told where it is open.
// Errors are of the store. l.mu is held.
func (l *Live) openCase(ctx context.Context, w *world, oc *openCase, starts []watch.Start) (a alert.Alert, err error) {
	oc.reopen = ""
	theft, _, err := engine.Resolve(ctx, w.s, oc.theft, l.onlyChain(), l.labels)
	if err != nil {
		return a, l.waitsFor(oc, err)
	}
	if theft.Name == "" {
		theft.Name = oc.id
	}
	if chain, missing := unseenChain(theft, starts); missing {
		oc.waits = fmt.Sprintf("no block of %s has been taken in yet", chain)
		return a, nil
	}
	c := watch.Case{ID: oc.id}
	for _, s := range theft.Sources {
		if out, ok := s.(trace.Outflow); ok && out.Asset.IsZero() {
			c.All = append(c.All, out.Account)
		}
	}
	if c.Since, err = begins(ctx, w.s, theft); err != nil {
		return a, l.waitsFor(oc, err)
	}
	o := trace.Options{UndoDepth: undoTransactions, Budget: trace.Budget{Transactions: oc.budget}}
	if c.Theft, c.Options, oc.doubts, err = engine.Prepare(ctx, w.s, theft, o, l.labels); err != nil {
		return a, l.waitsFor(oc, err)
	}
	opened, err := l.watch.Open(ctx, w, c, starts...)
	if err != nil {
		return a, l.waitsFor(oc, err)
	}
	oc.open, oc.waits, oc.partial, oc.since = true, "", opened.Partial, l.now()
	opened.Alert.Made, opened.Alert.Seen = l.now(), l.now()
	return opened.Alert, nil
}

// unseenChain is a chain of a theft of which the store holds no block yet.
func unseenChain(t trace.Theft, starts []watch.Start) (c flow.Chain, missing bool) {
	for _, src := range t.Sources {
		switch src := src.(type) {
		case trace.Outflow:
			c = src.Account.Chain()
		case trace.Holding:
			c = src.Account.Chain()
		case trace.Coin:
			c = src.Account.Chain()
		}
		if !slices.ContainsFunc(starts, func(s watch.Start) bool { return s.Chain == c }) {
			return c, true
		}
	}
	return c, false
}

// addOpened keeps what people are to be told of cases that were opened: those of one place in one write.
func (l *Live) addOpened(ctx context.Context, all []alert.Alert) error {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].At == all[0].At {
			n++
		}
		if err := l.outbox.Add(ctx, all[0].At, all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// onlyChain is where accounts and transactions are that do not say it: the chain that is followed, if it is only one.
func (l *Live) onlyChain() flow.Chain {
	if len(l.chains) == 1 {
		return l.chains[0].chain
	}
	return flow.Chain{}
}

// begins is the time of the first place of a theft; 0 if it is not known.
func begins(ctx context.Context, s store.Snapshot, t trace.Theft) (first int64, err error) {
	for _, src := range t.Sources {
		var p flow.Point
		switch src := src.(type) {
		case trace.Outflow:
			p, err = s.Point(ctx, src.Account.Chain(), src.From.Height)
		case trace.Holding:
			p, err = s.Point(ctx, src.Account.Chain(), src.At.Height)
		case trace.Coin:
			var tx flow.Tx
			tx, err = s.Tx(ctx, src.Account.Chain(), src.Outpoint.Tx)
			p = tx.Point
		}
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if first == 0 || p.Time < first {
			first = p.Time
		}
	}
	return first, nil
}

// waitsFor notes why a case is not open. What the store itself cannot do is returned.
func (l *Live) waitsFor(oc *openCase, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, fs.ErrInvalid) {
		return err
	}
	if oc.waits != err.Error() {
		l.log.Warn("a case is not open", "case", oc.id, "error", err.Error())
	}
	oc.waits = err.Error()
	return nil
}

// reopenLater notes cases that the watch wants to be opened anew. l.mu is held.
func (l *Live) reopenLater(all []watch.Reopen) {
	for _, r := range all {
		for _, oc := range l.cases {
			if oc.id == r.ID {
				oc.reopen = r.Reason
				l.hurry()
			}
		}
	}
}

// hurry has cases opened at once, and not at the next tick.
func (l *Live) hurry() {
	select {
	case l.urgent <- struct{}{}:
	default: // somebody said so already
	}
}

// caseEvery is how often cases that are not open are tried again, and places are written.
const caseEvery = 5 * time.Second

// keep opens cases that wait or are to be opened anew, and writes how far the chains are eaten, until ctx is done.
func (l *Live) keep(ctx context.Context) error {
	tick := time.NewTicker(caseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-l.urgent:
		}
		if err := l.whenRoom(ctx, func() error { return l.openWaiting(ctx) }); err != nil {
			return err
		}
		if err := l.save(ctx, false); err != nil && ctx.Err() == nil {
			l.log.Warn("how far the chains are eaten was not written; the next start eats more of them again", "error", err.Error())
		}
	}
}

// openWaiting opens the cases that are not open, or to be opened anew.
func (l *Live) openWaiting(ctx context.Context) error {
	l.mu.Lock()
	idle := !slices.ContainsFunc(l.cases, func(oc *openCase) bool { return !oc.open || oc.reopen != "" })
	l.mu.Unlock()
	if idle {
		return nil
	}
	defer l.stopEating()()
	labels, contacts := l.currentLabels()
	w, err := newWorld(l.store, labels, contacts)
	if err != nil {
		return err
	}
	defer w.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	var starts []watch.Start
	for _, chain := range w.s.Chains() {
		p, ok, err := l.startOf(ctx, w.s, chain, nil)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		tip, _ := w.s.Tip(chain)
		for _, eaten := range l.watch.Tips() { // the store may be ahead
			if eaten.Chain == chain {
				tip = eaten
			}
		}
		if p.Height > tip.Height {
			continue
		}
		starts = append(starts, watch.Start{Chain: chain, Final: p, Rest: blocksOf(ctx, w.s, chain, p.Height+1, tip.Height)})
	}
	defer l.busy.Store(nil)
	for _, oc := range l.cases {
		if oc.open && oc.reopen != "" {
			l.log.Info("a case is opened anew", "case", oc.id, "reason", oc.reopen)
			l.watch.Close(oc.id)
			oc.open = false
			if err := l.outbox.Release(ctx, oc.id); err != nil {
				return err
			}
		}
		if oc.open {
			continue
		}
		what := fmt.Sprintf("case %s is being opened", oc.id)
		l.busy.Store(&what)
		a, err := l.openCase(ctx, w, oc, starts)
		if err != nil {
			return err
		}
		if oc.open {
			if err := l.addOpened(ctx, []alert.Alert{a}); err != nil {
				l.watch.Close(oc.id)
				oc.open = false
				return err
			}
		}
		if oc.open && oc.knew == nil {
			oc.knew = l.watch.Tips()
		}
	}
	return nil
}
