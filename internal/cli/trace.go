package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/attribute/labelstore"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/store/pebblestore"
	"github.com/spoor-dev/spoor/trace"
)

// traceFlags are the flags of trace.
type traceFlags struct {
	store, chain, theft, policies, until, out string
	from, txs, thieves, labels, dust          []string
	back, csv, graphml                        bool
	rows                                      int
	dustShare                                 int64
	budget                                    trace.Budget
	crowd, visits                             int
	noSwaps                                   bool
	route                                     routeFlags
}

func (p *program) trace() *cobra.Command {
	var f traceFlags
	c := &cobra.Command{
		Use:   "trace (--from ACCOUNT | --tx HASH | --theft FILE)",
		Short: "Follow a theft: who holds how much of it now, under several rules side by side",
		Long: `Follow stolen money through the store to its ends, with exact arithmetic: what the holders have and what went into
services, fees and dust add up to what was stolen, to the unit, for every rule. Where the answer depends on the rule, the
table shows that it does.

A theft is what leaves an account (--from ACCOUNT, --from ACCOUNT@TIME), an amount that an account held
(--from "ACCOUNT=AMOUNT ASSET@TIME"), what the receivers of a transaction gained (--tx HASH), one output of a Bitcoin
transaction (--tx HASH:INDEX), or a file (--theft). Amounts are in the smallest unit; TIME is RFC 3339, a day, seconds
since 1970, or block:HEIGHT.

Labels (those that "spoor label import" has put beside the store, and before them --labels, a CSV with the columns
address,label,category,is_service) say where a trace ends: what arrives at a service is the freeze list. An account without a label that behaves like a service, with many who pay it and many whom it
pays, ends it too (--crowd): that is a judgement, and marked as one.`,
		Example: `  spoor trace --tx 0x35f8d2f572fceaac9288e5d462117850ef2694786992a8c3f6d02612277b0877 --labels services.csv
  spoor trace --from 'bc1q…@2024-05-01' --out case42/
  spoor trace --theft theft.json --policy all --json
  spoor trace --back --from '0xabc…=1000000 0xdAC1…1ec7'     # where did these units come from?
  spoor trace --from 0xabc… --to 0xdef… --asset 0xdAC1…1ec7  # how much can have gone there, and which ways?`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.route.isAsked() {
				return p.runRoute(cmd, f)
			}
			return p.runTrace(cmd.Context(), f)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.store, "store", defaultStore(), "folder of the store")
	fl.StringVar(&f.chain, "chain", "", "chain of addresses and transactions that are written without one")
	fl.StringArrayVar(&f.from, "from", nil, "ACCOUNT[=AMOUNT ASSET][@TIME], repeatable")
	fl.StringArrayVar(&f.txs, "tx", nil, "theft transaction, or HASH:INDEX for one output, repeatable")
	fl.StringArrayVar(&f.thieves, "thief", nil, "with --tx: only what this account gained, repeatable")
	fl.StringVar(&f.theft, "theft", "", "file that describes the theft: JSON, CSV or a list of addresses; - for standard input")
	fl.StringArrayVar(&f.labels, "labels", nil, "CSV with labels, repeatable")
	fl.StringVar(&f.policies, "policy", "", "rules, with commas: haircut,fifo,dirty-first,clean-first,lifo,poison, or all (default the first four)")
	fl.BoolVar(&f.back, "back", false, "ask where the money came from instead of where it went")
	fl.StringArrayVar(&f.dust, "dust", nil, "\"AMOUNT ASSET\": smaller pieces are not followed, repeatable")
	fl.Int64Var(&f.dustShare, "dust-share", 0, "pieces below so many billionths of the theft are not followed (default 2000, -1 for none)")
	fl.IntVar(&f.crowd, "crowd", 0, "take an account for a service if so many pay it, so many are paid by it, and little of it is stolen (default 32, -1 never)")
	fl.BoolVar(&f.noSwaps, "no-swaps", false, "let claim that is swapped stay with who took it, instead of following what came back")
	fl.IntVar(&f.budget.Holders, "max-holders", 0, "follow at most so many holders (default 100000)")
	fl.IntVar(&f.budget.Transactions, "max-transactions", 0, "read at most so many transactions (default 1000000)")
	fl.IntVar(&f.budget.Hops, "max-hops", 0, "follow at most so many hops (default 10000)")
	fl.IntVar(&f.visits, "visit", 0, "follow only so many accounts: those that most of the theft's ways lead to, by a ranked exploration (default all)")
	fl.StringVar(&f.until, "until", "", "read no further than this TIME")
	fl.StringVar(&f.out, "out", "", "write transfers.csv, addresses.csv, minor.csv, sinks.csv, deposits.csv, graph.graphml, findings.json and summary.json to this folder")
	fl.BoolVar(&f.csv, "csv", false, "print the transfers that carried claim as CSV")
	fl.BoolVar(&f.graphml, "graphml", false, "print the graph as GraphML")
	fl.IntVar(&f.rows, "rows", 20, "rows of the table for each stolen asset; 0 for all")
	f.route.add(c)
	c.MarkFlagsMutuallyExclusive("csv", "graphml")
	return c
}

func (p *program) runTrace(ctx context.Context, f traceFlags) (err error) {
	theft, err := readTheft(f)
	if err != nil {
		return err
	}
	if b := f.budget; b.Holders < 0 || b.Transactions < 0 || b.Hops < 0 || f.rows < 0 || f.dustShare > 1_000_000_000 {
		return misuse(errors.New("a number that cannot be"), "--max-… and --rows are not negative, --dust-share is at most 1000000000 (all)")
	}
	if f.visits < 0 || f.visits > 0 && f.back {
		return misuse(errors.New("--visit is a number of accounts, and for a trace forward"), "leave it out to follow everybody")
	}
	options := trace.Options{Backward: f.back, DustShare: f.dustShare, Crowd: trace.Crowd{Parties: f.crowd}, Budget: f.budget}
	if f.noSwaps {
		options.Swaps = engine.NoSwaps()
	}
	if options.Policies, err = parsePolicies(f.policies); err != nil {
		return err
	}
	labels, err := traceLabels(f.labels, f.store)
	if err != nil {
		return err
	}
	chain, err := readChain(f.chain)
	if err != nil {
		return err
	}
	if f.out != "" {
		if err := checkFolder(f.out); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	st, err := openStore(f.store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	s, err := st.Snapshot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	resolved, gainers, err := engine.Resolve(ctx, s, theft, chain, labels)
	if err != nil {
		return err
	}
	p.sayGainers(gainers)
	if options.Dust, err = engine.ParseDust(f.dust, resolved); err != nil {
		return misuse(err, "write --dust \"1000000 0xA0b8…eB48\": an amount in the smallest unit, a blank, an asset")
	}
	if options.Budget.Until, err = engine.Until(ctx, s, f.until, resolved, f.back); err != nil {
		return misuse(err, "--until takes a TIME of the chain of the theft: RFC 3339, a day, seconds since 1970, or block:HEIGHT")
	}
	b := p.newBar()
	if f.visits > 0 {
		if options.Follow, err = engine.Explore(ctx, s, resolved, options, labels, f.visits); err != nil {
			return err
		}
	}
	answer, err := engine.Trace(ctx, s, resolved, options, labels, func(read int64) {
		b.show(0, 0, fmt.Sprintf("tracing: %d transactions read", read))
	})
	b.clear()
	if err != nil {
		return err
	}
	if f.out != "" {
		if err := writeFolder(f.out, answer); err != nil {
			return err
		}
		p.say("wrote transfers.csv, addresses.csv, minor.csv, sinks.csv, deposits.csv, graph.graphml, findings.json and summary.json to %s", f.out)
	}
	if answer.Partial {
		p.code = 6
	}
	switch {
	case f.csv:
		return writeTransfers(p.out, answer)
	case f.graphml:
		return writeGraphML(p.out, answer)
	case p.json:
		return json.NewEncoder(p.out).Encode(answer)
	}
	return writeTable(p.out, answer, f.rows)
}

// openStore opens a store that is there, to read it: a folder which holds none is not made into an empty one.
func openStore(dir string) (*pebblestore.Store, error) {
	entries, err := os.ReadDir(dir)
	if err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), "marker.") }) {
		err = errors.New("no store is in this folder")
	}
	if err != nil {
		return nil, failed(fmt.Errorf("store %s: %w", dir, err), "make one with \"spoor ingest --store %s KIND:PATH\", or try \"spoor demo\"", dir)
	}
	return pebblestore.Open(dir, pebblestore.Options{})
}

// sayGainers shows whom a named transaction made richer.
func (p *program) sayGainers(gainers []trace.Holding) {
	if len(gainers) < 2 {
		return
	}
	p.say("%d receivers gained in the named transactions; all of it is taken as stolen. Narrow it with --thief:", len(gainers))
	for _, g := range gainers[:min(len(gainers), shownSources)] {
		p.say("  %s  %s", g.Account.Address(), engine.NameOf(g.Asset).Format(g.Amount))
	}
	if n := len(gainers) - shownSources; n > 0 {
		p.say("  … and %d more", n)
	}
}

// fromForms is the hint for a --from that cannot be read.
const fromForms = "write ACCOUNT, ACCOUNT@TIME or \"ACCOUNT=AMOUNT ASSET@TIME\"; TIME is a day, RFC 3339 or block:HEIGHT"

func readTheft(f traceFlags) (engine.TheftFile, error) {
	const forms = "see \"A theft file\" in docs/formats/theft.md for the three forms"
	var t engine.TheftFile
	if f.theft != "" {
		in := os.Stdin
		if f.theft != "-" {
			var err error
			if in, err = os.Open(f.theft); err != nil {
				return t, err
			}
			defer in.Close()
		}
		var err error
		if t, err = engine.ReadTheft(f.theft, in); err != nil {
			return t, misuse(err, hintOr(err, forms))
		}
	}
	for _, text := range f.from {
		s, err := engine.ParseFrom(text)
		if err != nil {
			return t, misuse(err, hintOr(err, fromForms))
		}
		t.Sources = append(t.Sources, s)
	}
	t.Transactions = append(t.Transactions, f.txs...)
	t.Thieves = append(t.Thieves, f.thieves...)
	if len(t.Sources)+len(t.Transactions)+len(t.Thieves) == 0 {
		return t, misuse(errors.New("no theft given"), "name it with --from, --tx or --theft; \"spoor trace --help\" shows examples")
	}
	if err := t.Check(); err != nil {
		return t, misuse(err, hintOr(err, "--tx takes the 64 hexadecimal digits of a transaction, or HASH:INDEX for one output; --thief an account beside it"))
	}
	return t, nil
}

func parsePolicies(text string) ([]trace.Policy, error) {
	if text == "" {
		return nil, nil
	}
	if text == "all" {
		return []trace.Policy{trace.Haircut, trace.FIFO, trace.LIFO, trace.DirtyFirst, trace.CleanFirst, trace.Poison}, nil
	}
	var policies []trace.Policy
	for name := range strings.SplitSeq(text, ",") {
		rule, err := trace.ParsePolicy(strings.TrimSpace(name))
		if err != nil {
			return nil, misuse(err, "the rules are haircut, fifo, lifo, dirty-first, clean-first, poison, or all")
		}
		if slices.Contains(policies, rule) {
			return nil, misuse(fmt.Errorf("policy %s is named twice", rule), "name each rule once")
		}
		policies = append(policies, rule)
	}
	return policies, nil
}

// traceLabels reads the lists that were named, and the labels of the store's own folder if somebody has imported any. The
// lists go before.
func traceLabels(files []string, storeDir string) (*engine.Labels, error) {
	labels, err := readLabels(files)
	if err != nil {
		return nil, err
	}
	if dir := engine.LabelFolder(storeDir); labelstore.Exists(dir) {
		book, err := labelstore.ReadBook(dir)
		if err != nil {
			return nil, err
		}
		labels.UseBook(book, time.Now().Unix())
	}
	return labels, nil
}

func readLabels(files []string) (*engine.Labels, error) {
	labels := &engine.Labels{}
	for _, name := range files {
		in, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("labels: %w", err)
		}
		err = labels.ReadLabels(name, in)
		in.Close()
		if err != nil {
			return nil, failed(err, "a list of labels is a CSV with the header address,label,category,is_service")
		}
	}
	return labels, nil
}
