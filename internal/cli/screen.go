package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/labelstore"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/engine/verdicts"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
	"github.com/spoor-dev/spoor/store/pebblestore"
)

// screenFlags are the flags of screen.
type screenFlags struct {
	store, record, policy, chain string
	labels, with                 []string
	direction, asset, amount     string
	asOf, knownAt, since         string
	direct, forget, noClusters   bool
	history, again               bool
}

func (p *program) screen() *cobra.Command {
	var f screenFlags
	c := &cobra.Command{
		Use:   "screen (ADDRESS ... | - | --again)",
		Short: "Ask before you pay or take money: allow, attention, hold or block, with the reasons",
		Long: `Screen addresses: who is said to be behind them, and where their money came from and went to, decided by a policy that the
answer names. Addresses are read from standard input, one a line, if "-" is given. What nobody knows is unknown and never clean.

A transfer is screened before it is made with --direction, --asset and --amount: "in" before you take money from the address,
"out" before you send money to it. --as-of asks of another moment, by what was known then. Every verdict is kept: --history
shows what was answered about an address and why, --again asks once more about everybody and prints what has changed.

Exit codes: 0 allow, 3 attention or hold, 4 block, 2 an address that is none (never allow), 1 could not look (never allow),
6 allow on a partial answer. Of several addresses the strictest counts.`,
		Example: `  spoor screen 0x8589427373D6D84E98730D7795D8f6f8731FDA16
  spoor screen --direction out --asset ETH --amount 1000000000000000000 0xabc…
  spoor screen --json - < addresses.txt
  spoor screen --as-of 2024-03-01 bc1q…
  spoor screen --history bc1q…`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.runScreen(cmd.Context(), f, args, cmd.InOrStdin())
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.store, "store", defaultStore(), "folder of the store; without one the labels alone are asked")
	fl.StringArrayVar(&f.labels, "labels", nil, "folder with labels, or CSV, repeatable (default those of the store, or those that ship with Spoor)")
	fl.StringVar(&f.record, "verdicts", "", "folder where verdicts are kept (default the one in the store's folder)")
	fl.StringVar(&f.policy, "policy", "default", "default, lists (what is on no list is allowed), or a file with a policy")
	fl.StringVar(&f.chain, "chain", "", "chain of addresses that are written without one")
	fl.StringVar(&f.direction, "direction", "", "in (money comes from the address) or out (money goes to it); both if left out")
	fl.StringVar(&f.asset, "asset", "", "of the transfer: CAIP-19, a token contract, or the ticker of the chain's coin")
	fl.StringVar(&f.amount, "amount", "", "of the transfer, in the smallest unit")
	fl.StringArrayVar(&f.with, "with", nil, "another account of the transfer, whose labels count too, repeatable")
	fl.StringVar(&f.asOf, "as-of", "", "the moment that is asked about: RFC 3339, a day, or seconds since 1970 (default now)")
	fl.StringVar(&f.knownAt, "known-at", "", "what was known then counts (default the same moment)")
	fl.BoolVar(&f.direct, "direct", false, "ask the labels alone, and no chain")
	fl.BoolVar(&f.noClusters, "no-clusters", false, "do not look at labels through clusters (see spoor cluster)")
	fl.BoolVar(&f.forget, "forget", false, "do not keep the verdicts")
	fl.BoolVar(&f.history, "history", false, "show the verdicts that were given about the addresses")
	fl.BoolVar(&f.again, "again", false, "ask again about every address that was ever asked about, and print the changes as findings")
	fl.StringVar(&f.since, "since", "", "with --again: only about those whom labels concern that came, began to hold or ended after this TIME")
	c.MarkFlagsMutuallyExclusive("history", "again", "forget")
	return c
}

func (p *program) runScreen(ctx context.Context, f screenFlags, args []string, stdin io.Reader) (err error) {
	if (len(args) == 0) != f.again {
		return misuse(errors.New("no address, or addresses beside --again"), "write spoor screen ADDRESS …, or - to read addresses from standard input")
	}
	if f.since != "" && !f.again {
		return misuse(errors.New("--since without --again"), "write spoor screen --again --since TIME")
	}
	policy, err := readPolicy(f.policy)
	if err != nil {
		return err
	}
	q, err := f.question()
	if err != nil {
		return err
	}
	config := engine.ScreenConfig{Policy: policy}
	if !f.direct {
		st, err := p.storeToScreen(f.store)
		if err != nil {
			return err
		}
		if st != nil {
			defer func() { err = errors.Join(err, st.Close()) }()
			config.Store = st
		}
	}
	books, err := p.booksToScreen(f.labels, f.store)
	if err != nil {
		return err
	}
	if !f.noClusters {
		if config.Clusters, err = readClusters(f.store); err != nil {
			return err
		}
	}
	if !f.forget {
		if f.record == "" {
			f.record = filepath.Join(f.store, "verdicts")
		}
		record, err := verdicts.Open(f.record)
		if err != nil {
			return failed(err, "wait until the other spoor ends, name another folder with --verdicts, or keep none with --forget")
		}
		defer func() { err = errors.Join(err, record.Close()) }()
		config.Record = record
	}
	s := &screening{program: p, flags: f, screener: engine.NewScreener(config, books...), question: q}
	if s.chain, err = readChain(f.chain); err != nil {
		return err
	}
	for _, text := range f.with {
		a, err := s.account(text)
		if err != nil {
			return misuse(err, hintOr(err, "--with takes an address"))
		}
		s.question.Counterparties = append(s.question.Counterparties, a)
	}
	switch {
	case f.again:
		return s.again(ctx)
	case len(args) == 1 && args[0] == "-":
		return s.stream(ctx, stdin)
	}
	return s.list(ctx, args)
}

// storeToScreen opens the store, or is nil where the folder holds none: then the labels alone are asked, and every verdict
// says so.
func (p *program) storeToScreen(dir string) (*pebblestore.Store, error) {
	markers, err := filepath.Glob(filepath.Join(dir, "marker.*"))
	if err == nil && len(markers) == 0 {
		p.say("no store is in %s: the labels alone are asked, and no chain", dir)
		return nil, nil
	}
	return openStore(dir)
}

// question is what all addresses are asked.
func (f screenFlags) question() (q screen.Question, err error) {
	q = screen.Question{Direction: screen.Direction(f.direction), Direct: f.direct}
	if q.Direction != screen.Both && q.Direction != screen.In && q.Direction != screen.Out {
		return q, misuse(fmt.Errorf("direction %.40q", f.direction), "--direction is in or out")
	}
	if f.amount != "" {
		if f.asset == "" {
			return q, misuse(errors.New("an amount of nothing"), "name what is paid with --asset")
		}
		if q.Amount, err = flow.ParseAmount(f.amount); err != nil {
			return q, misuse(err, hintFor(flow.ErrAmount))
		}
	}
	for _, t := range []struct {
		text string
		at   *int64
	}{{f.asOf, &q.AsOf}, {f.knownAt, &q.KnownAt}} {
		if t.text == "" {
			continue
		}
		if *t.at, err = engine.ParseTime(t.text); err != nil || *t.at <= 0 {
			return q, misuse(errors.Join(fmt.Errorf("time %.60q", t.text), err), "a time is RFC 3339, a day, or seconds since 1970")
		}
	}
	if q.KnownAt != 0 && q.AsOf == 0 {
		q.AsOf = time.Now().Unix()
	}
	return q, nil
}

func readPolicy(name string) (*screen.Policy, error) {
	switch name {
	case "default":
		return screen.DefaultPolicy(), nil
	case "lists":
		return screen.ListsPolicy(), nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--policy: %w", err)
	}
	policy, err := screen.ParsePolicy(name, text)
	if err != nil {
		return nil, misuse(err, "docs/formats/policy.md shows the form of a policy")
	}
	return policy, nil
}

// booksToScreen reads the labels that are named; without names those of the store, or those that ship with Spoor.
func (p *program) booksToScreen(names []string, store string) ([]*attribute.Book, error) {
	if len(names) > 0 {
		return readBooks(names, "")
	}
	book, err := engine.ReadLabelBook(engine.LabelFolder(store))
	if err != nil {
		return nil, fmt.Errorf("no labels, nothing can be screened: %w", err)
	}
	if book.Shipped {
		p.say("no labels were imported: those that ship with Spoor are asked, whose list of sanctions is of %s", time.Unix(book.Sanctions, 0).UTC().Format(time.DateOnly))
	}
	return []*attribute.Book{book.Book}, nil
}

// readBooks reads label folders and CSV files; without names the folder that stands beside the store.
func readBooks(names []string, beside string) ([]*attribute.Book, error) {
	if len(names) == 0 {
		names = []string{beside}
	}
	var books []*attribute.Book
	for _, name := range names {
		info, err := os.Stat(name)
		if err == nil && !info.IsDir() {
			labels, err := readLabels([]string{name})
			if err != nil {
				return nil, err
			}
			if labels.BadRows > 0 {
				return nil, failed(fmt.Errorf("labels %s: %s refused: %s", name, engine.Count(labels.BadRows, "row"), labels.Bad[0]),
					"mend the rows: who is left out of a list would pass; \"spoor label import\" puts bad rows into quarantine")
			}
			book, err := labels.Book()
			if err != nil {
				return nil, fmt.Errorf("labels %s: %w", name, err)
			}
			books = append(books, book)
			continue
		}
		book, err := labelstore.ReadBook(name)
		if err != nil {
			return nil, failed(fmt.Errorf("no labels, nothing can be screened: %w", err), "import some with \"spoor label import\", or name a CSV with --labels")
		}
		books = append(books, book)
	}
	return books, nil
}

// A screening is one run of the command.
type screening struct {
	*program
	flags    screenFlags
	screener *engine.Screener
	question screen.Question // without an account
	chain    flow.Chain
	refused  int // lines that are no address
}

// account reads an address, on the chain that was named if it is written without one.
func (s *screening) account(text string) (flow.Account, error) {
	if !s.chain.IsZero() && !strings.Contains(text, ":") {
		return flow.ParseAccountOn(s.chain, strings.TrimSpace(text))
	}
	return s.screener.ParseAccount(text)
}

// ask is the question about an address.
func (s *screening) ask(text string) (q screen.Question, err error) {
	q = s.question
	if q.Account, err = s.account(text); err != nil || s.flags.asset == "" {
		return q, err
	}
	q.Asset, err = engine.ParseAsset(q.Account.Chain(), s.flags.asset)
	return q, err
}

// notAnAddress is an address that cannot be asked about: misuse, unless the store could not be looked at.
func notAnAddress(err error) error {
	if errors.Is(err, screen.ErrBlind) {
		return err
	}
	return misuse(err, hintOr(err, "accepted are CAIP-10 (eip155:1:0x…), bare (0x…, bc1…, 1…, 3…, T…) and with a ticker (XBT:1…)"))
}

// list answers for the arguments, all or none.
func (s *screening) list(ctx context.Context, args []string) error {
	var qs []screen.Question
	for _, text := range args {
		q, err := s.ask(text)
		if err != nil {
			return notAnAddress(err)
		}
		qs = append(qs, q)
	}
	return s.answer(ctx, qs)
}

// Bounds of standard input.
const (
	screenBatch = 256     // addresses that are kept together
	maxLine     = 4 << 10 // bytes
)

// stream answers for the lines of standard input as they come. A line that is no address is said on stderr, and with --json
// on stdout too; the others are answered.
func (s *screening) stream(ctx context.Context, in io.Reader) error {
	r := bufio.NewReaderSize(in, maxLine)
	var qs []screen.Question
	for line := 1; ; line++ {
		text, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d of standard input: %w", line, err)
		}
		address := strings.TrimSpace(string(text))
		if address != "" && !strings.HasPrefix(address, "#") {
			q, perr := s.ask(address)
			switch {
			case errors.Is(perr, screen.ErrBlind):
				return perr
			case perr != nil:
				if err := s.refuse(line, address, perr); err != nil {
					return err
				}
			default:
				qs = append(qs, q)
			}
		}
		if len(qs) >= screenBatch || len(qs) > 0 && (err != nil || r.Buffered() == 0) {
			if err := s.answer(ctx, qs); err != nil {
				return err
			}
			qs = qs[:0]
		}
		if err != nil {
			break
		}
	}
	if s.refused > 0 && s.code != 4 {
		s.code = 2
	}
	return nil
}

func (s *screening) refuse(line int, address string, err error) error {
	s.refused++
	fmt.Fprintf(s.err, "spoor: line %d: %s\n", line, oneLine(err.Error()))
	if !s.json {
		return nil
	}
	return json.NewEncoder(s.out).Encode(map[string]any{"line": line, "error": oneLine(err.Error()), "text": finding.Clean(address, 200)})
}

// exitCodes are the exit codes of decisions.
var exitCodes = map[screen.Decision]int{screen.Allow: 0, screen.Attention: 3, screen.Hold: 3, screen.Block: 4}

// answer prints the verdicts about some addresses, and lets the strictest be the exit code.
func (s *screening) answer(ctx context.Context, qs []screen.Question) error {
	if s.flags.history {
		return s.showHistory(ctx, qs)
	}
	all, errs := s.screener.ScreenAll(ctx, qs)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, v := range all {
		code := exitCodes[v.Decision]
		if code == 0 && v.Partial {
			code = 6
		}
		if rank(code) > rank(s.code) {
			s.code = code
		}
		if err := s.write(v); err != nil {
			return err
		}
	}
	return nil
}

// rank orders exit codes by how strict they are.
func rank(code int) int {
	return map[int]int{0: 0, 6: 1, 3: 2, 4: 3}[code]
}

func (s *screening) write(v screen.Verdict) error {
	if s.json {
		return json.NewEncoder(s.out).Encode(v)
	}
	return writeVerdict(s.out, v)
}

// shownHistory is how many verdicts about one address are shown.
const shownHistory = 1000

func (s *screening) showHistory(ctx context.Context, qs []screen.Question) error {
	before := s.question.AsOf
	if before == 0 {
		before = time.Now().Unix()
	}
	for _, q := range qs {
		all, err := s.screener.History(ctx, q.Account, before, shownHistory)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			s.say("nothing was ever asked about %s", q.Account)
		}
		for _, v := range all {
			if err := s.write(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// again prints what has changed for those who were asked about before, one finding a line.
func (s *screening) again(ctx context.Context) error {
	all := s.screener.Rescreen(ctx)
	if s.flags.since != "" {
		since, err := engine.ParseTime(s.flags.since)
		if err != nil {
			return misuse(err, "--since takes a day, RFC 3339, or seconds since 1970")
		}
		all = s.screener.RescreenSince(ctx, since)
	}
	for f, err := range all {
		if err != nil {
			return err
		}
		s.code = 3
		if s.json {
			err = json.NewEncoder(s.out).Encode(f)
		} else {
			_, err = fmt.Fprintf(s.out, "%-8s  %s\n", f.Severity, f.Sentence)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
