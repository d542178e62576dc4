package quality

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/trace"
)

// A Folder is where a case lies on disk, not yet read.
type Folder struct {
	Name string // the last two parts of the path, as one word; behind it a number where several are the same
	Path string
	Kind string // planted, simulated or heist
}

// Find lists the cases in folders and below, in the order of the folders and of the names in them. A planted case has
// transfers.csv, labels.csv, sources.csv and truth/; a heist has all-tx.csv and all-address.csv, each plain or compressed.
func Find(dirs []string) ([]Folder, error) {
	var found []Folder
	seen := map[string]bool{}
	named := map[string]int{}
	for _, dir := range dirs {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		err = filepath.WalkDir(abs, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if strings.HasPrefix(d.Name(), ".") && p != abs {
				return filepath.SkipDir
			}
			kind := kindOf(p)
			if kind == "" || seen[p] {
				return nil
			}
			seen[p] = true
			m, err := readMaker(p)
			if err != nil {
				return err
			}
			if m.Generator != "" && kind == "planted" {
				kind = "simulated"
			}
			name := plain(path.Join(filepath.Base(filepath.Dir(p)), filepath.Base(p)))
			if named[name]++; named[name] > 1 {
				name = fmt.Sprintf("%s-%d", name, named[name])
			}
			found = append(found, Folder{Name: name, Path: p, Kind: kind})
			return filepath.SkipDir
		})
		if err != nil {
			return nil, fmt.Errorf("cases in %s: %w", dir, err)
		}
	}
	return found, nil
}

// plain is a name of a folder as one printable word.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, name)
}

// kindOf is the form of the case that lies in a folder, "" if none does.
func kindOf(dir string) string {
	switch {
	case isThere(dir, "transfers.csv") && isThere(dir, "sources.csv") && isThere(filepath.Join(dir, "truth"), "truth_transfers.csv"):
		return "planted"
	case isThere(dir, "all-tx.csv") && isThere(dir, "all-address.csv"):
		return "heist"
	}
	return ""
}

// Load reads a case into memory. A case whose truth contradicts its chain is an error.
func (f Folder) Load(ctx context.Context) (*Case, error) {
	load := f.planted
	if f.Kind == "heist" {
		load = f.heist
	}
	c, err := load(ctx)
	if err != nil {
		return nil, fmt.Errorf("case %s: %w", f.Name, err)
	}
	return c, nil
}

// chain reads tables into a store in memory, and counts their movements.
func chain(ctx context.Context, kind string, tables []string) (s store.Snapshot, movements int64, err error) {
	var inputs []engine.Input
	for _, t := range tables {
		in, err := engine.Open(ctx, kind+":"+t, engine.InputConfig{})
		if err != nil {
			return nil, 0, err
		}
		inputs = append(inputs, in)
	}
	st := memstore.New()
	stats, err := engine.Ingest(ctx, st, inputs, engine.Watcher{})
	if err != nil {
		return nil, 0, err
	}
	s, err = st.Snapshot()
	return s, stats.Movements, err
}

// tables are the files of transfers in a planted case: transfers.csv, and one more for each further chain.
func (f Folder) tables() ([]string, error) {
	first, err := pathOf(f.Path, "transfers.csv")
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(f.Path)
	if err != nil {
		return nil, err
	}
	tables := []string{first}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "transfers-") && strings.Contains(e.Name(), ".csv") && e.Type().IsRegular() {
			tables = append(tables, filepath.Join(f.Path, e.Name()))
		}
	}
	return tables, nil
}

// newCase is a case over a chain, with the theft looked up in it.
func newCase(ctx context.Context, f Folder, s store.Snapshot, t engine.TheftFile, labels *engine.Labels) (*Case, error) {
	if len(s.Chains()) == 0 {
		return nil, errors.New("no transfer in it")
	}
	c := &Case{Name: f.Name, Kind: f.Kind, Store: s, Labels: labels}
	var err error
	if c.Theft, _, err = engine.Resolve(ctx, s, t, flow.Chain{}, labels); err != nil {
		return nil, err
	}
	c.Truth = Truth{Transfers: map[TransferID]TrueTransfer{}, Neutral: map[TransferID]bool{}, Find: map[flow.Account]bool{},
		Given: map[flow.Account]bool{}, Services: map[flow.Account]bool{}, Passes: map[flow.Account]bool{}}
	return c, nil
}

// planted reads a case of the planted form.
func (f Folder) planted(ctx context.Context) (*Case, error) {
	tables, err := f.tables()
	if err != nil {
		return nil, err
	}
	s, movements, err := chain(ctx, "transfers-csv", tables)
	if err != nil {
		return nil, err
	}
	labels := &engine.Labels{}
	in, name, err := open(f.Path, "labels.csv")
	switch {
	case err == nil:
		err = errors.Join(labels.ReadLabels(name, in), in.Close())
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err != nil {
		return nil, err
	}
	in, name, err = open(f.Path, "sources.csv")
	if err != nil {
		return nil, err
	}
	theft, err := engine.ReadTheft(name, in)
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, err
	}
	theft.Name = f.Name
	c, err := newCase(ctx, f, s, theft, labels)
	if err != nil {
		return nil, err
	}
	c.Movements = movements
	return c, c.readTruth(ctx, filepath.Join(f.Path, "truth"))
}

// readTruth reads a folder with the truth of a planted case.
func (c *Case) readTruth(ctx context.Context, dir string) error {
	t := &c.Truth
	err := readFile(dir, "truth_transfers.csv", []string{"tx_hash", "log_index", "usd_cents"}, func(r row) error {
		id, x, err := r.trueTransfer()
		if err != nil {
			return err
		}
		if _, ok := t.Transfers[id]; ok {
			return fmt.Errorf("transfer %s %d is named twice", id.Tx, id.Index)
		}
		var whole flow.Amount
		if x.Asset, whole, err = c.moved(ctx, id); err != nil {
			return err
		}
		if x.Stolen.IsZero() {
			x.Stolen = whole
		}
		t.Transfers[id] = x
		return nil
	})
	if err != nil {
		return err
	}
	err = readFile(dir, "neutral_transfers.csv", []string{"tx_hash", "log_index"}, func(r row) error {
		id, err := r.transfer()
		t.Neutral[id] = err == nil
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = readFile(dir, "truth_addresses.csv", []string{"address", "role", "is_service"}, func(r row) error {
		a, err := c.account(r.text("address"))
		if err != nil {
			return err
		}
		service, err := r.yes("is_service")
		switch {
		case err != nil:
		case r.text("role") == "source":
			t.Given[a] = true
		case !service:
			t.Find[a] = true
		}
		if r.text("role") == "laundering" {
			t.Passes[a] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	err = readFile(dir, "services.csv", []string{"address"}, func(r row) error {
		a, err := c.account(r.text("address"))
		t.Services[a] = err == nil
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return c.readEndings(dir)
}

// maxCents bounds a transfer so that all rows together stay below 2⁶³: ten billion dollars.
const maxCents = 1_000_000_000_000

// trueTransfer reads what a row of truth_transfers.csv says itself.
func (r row) trueTransfer() (id TransferID, x TrueTransfer, err error) {
	if id, err = r.transfer(); err != nil {
		return id, x, err
	}
	if x.Cents, err = strconv.ParseInt(r.text("usd_cents"), 10, 64); err != nil || x.Cents < 0 || x.Cents > maxCents {
		return id, x, fmt.Errorf("usd_cents %.40q: want 0 to %d", r.text("usd_cents"), int64(maxCents))
	}
	if x.IntoEnd, err = r.yes("into_terminal"); err != nil {
		return id, x, err
	}
	if units := r.text("stolen_units"); units != "" {
		if x.Stolen, err = flow.ParseAmount(units); err != nil {
			return id, x, fmt.Errorf("stolen_units: %w", err)
		}
	}
	x.Reachable, err = r.yes("reachable")
	return id, x, err
}

// moved is what a transfer of the case moved.
func (c *Case) moved(ctx context.Context, id TransferID) (flow.Asset, flow.Amount, error) {
	for _, chain := range c.Store.Chains() {
		tx, err := c.Store.Tx(ctx, chain, id.Tx)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return flow.Asset{}, flow.Amount{}, err
		}
		for _, m := range tx.Movements {
			if m.Index == id.Index && len(m.Out) > 0 {
				return m.Asset, m.Out[0].Amount, nil
			}
		}
	}
	return flow.Asset{}, flow.Amount{}, fmt.Errorf("transfer %s %d is not in the case", id.Tx, id.Index)
}

// account reads an address; one without a chain is on the case's first, if that is of the same kind.
func (c *Case) account(text string) (flow.Account, error) {
	a, err := flow.ParseAccount(text)
	if err != nil || strings.Contains(text, ":") {
		return a, err
	}
	return c.home(a), nil
}

// home is an address on the case's first chain, where it can be there: the lists of the truth know addresses without
// chains.
func (c *Case) home(a flow.Account) flow.Account {
	if moved, err := a.On(c.Store.Chains()[0]); err == nil {
		return moved
	}
	return a
}

// heist reads a case of the heist form, in which accounts alone are known. The thieves are the accounts with the label
// heist that are named as such; every other label but heist is of a service.
func (f Folder) heist(ctx context.Context) (*Case, error) {
	table, err := pathOf(f.Path, "all-tx.csv")
	if err != nil {
		return nil, err
	}
	s, movements, err := chain(ctx, "heist-csv", []string{table})
	if err != nil {
		return nil, err
	}
	type named struct{ address, name, label string }
	var known []named
	err = readFile(f.Path, "all-address.csv", []string{"address", "name_tag", "label"}, func(r row) error {
		known = append(known, named{r.text("address"), r.text("name_tag"), r.text("label")})
		return nil
	})
	if err != nil {
		return nil, err
	}
	theft := engine.TheftFile{Name: f.Name}
	var list strings.Builder
	list.WriteString("address,label,category,is_service\n")
	for _, k := range known {
		switch {
		case k.label == "heist" && isThief(k.name):
			theft.Sources = append(theft.Sources, engine.TheftSource{Account: k.address})
		case k.label != "heist" && k.label != "":
			fmt.Fprintf(&list, "%s,%s,%s,1\n", k.address, quoted(k.name), quoted(k.label))
		}
	}
	if len(theft.Sources) == 0 {
		return nil, errors.New("all-address.csv names no thief: no label heist with ml_transit_0 or Hacker in its name_tag")
	}
	labels := &engine.Labels{}
	if err := labels.ReadLabels("all-address.csv", strings.NewReader(list.String())); err != nil {
		return nil, err
	}
	c, err := newCase(ctx, f, s, theft, labels)
	if err != nil {
		return nil, err
	}
	c.Movements = movements
	for _, src := range c.Theft.Sources {
		if o, ok := src.(trace.Outflow); ok {
			c.Truth.Given[o.Account] = true
		}
	}
	for _, k := range known {
		if k.label == "" {
			continue
		}
		a, err := c.account(k.address)
		switch {
		case err != nil:
			return nil, fmt.Errorf("all-address.csv: %w", err)
		case k.label != "heist":
			c.Truth.Services[a] = true
		case !c.Truth.Given[a]:
			c.Truth.Find[a] = true
		}
	}
	return c, nil
}

// isThief reports whether a name of an account with the label heist says that it is where the theft began.
func isThief(name string) bool { return name == "ml_transit_0" || strings.Contains(name, "Hacker") }

// quoted is a field of a CSV row.
func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
