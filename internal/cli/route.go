package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace/route"
)

// routeFlags are the flags of trace that ask for a route instead.
type routeFlags struct {
	to, asset string
	exact     bool
}

func (r *routeFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&r.to, "to", "", "ask instead how much can have gone from --from to this account, and which ways")
	fl.StringVar(&r.asset, "asset", "", "with --to: the asset, unless --from names it")
	fl.BoolVar(&r.exact, "max-flow", false, "with --to: compute the maximum exactly")
}

// isAsked reports whether a flag of a route was given.
func (r routeFlags) isAsked() bool { return r != routeFlags{} }

// withoutTo are the flags of trace that mean nothing for a route.
var withoutTo = []string{"tx", "thief", "theft", "policy", "back", "dust", "dust-share", "no-swaps", "crowd", "visit", "max-hops", "out", "csv", "graphml"}

func (p *program) runRoute(cmd *cobra.Command, f traceFlags) (err error) {
	ask := engine.RouteAsk{To: f.route.to, Asset: f.route.asset, Until: f.until}
	if ask.To == "" {
		return misuse(errors.New("no account that a route leads to"), "--asset and --max-flow go with --to ACCOUNT")
	}
	for _, name := range withoutTo {
		if cmd.Flags().Changed(name) {
			return misuse(fmt.Errorf("--%s does not go with --to", name), "a route is asked for with --from ACCOUNT[=AMOUNT ASSET][@TIME] --to ACCOUNT --asset ASSET and --until TIME")
		}
	}
	if len(f.from) != 1 {
		return misuse(fmt.Errorf("a route from %s", engine.Count(len(f.from), "account")), "name exactly one --from beside --to")
	}
	if ask.From, err = engine.ParseFrom(f.from[0]); err != nil {
		return misuse(err, hintOr(err, fromForms))
	}
	if _, err := flow.ParseAccount(ask.To); err != nil {
		return misuse(fmt.Errorf("--to: %w", err), hintFor(err))
	}
	if _, isBlock := strings.CutPrefix(f.until, "block:"); f.until != "" && !isBlock {
		if _, err := engine.ParseTime(f.until); err != nil {
			return misuse(fmt.Errorf("--until: %w", err), "write --until RFC 3339, a day, seconds since 1970, or block:HEIGHT")
		}
	}
	if f.budget.Holders < 0 || f.budget.Transactions < 0 || f.rows < 0 {
		return misuse(errors.New("a number that cannot be"), "--max-… and --rows are not negative")
	}
	chain, err := readChain(f.chain)
	if err != nil {
		return err
	}
	labels, err := traceLabels(f.labels, f.store)
	if err != nil {
		return err
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
	ctx := cmd.Context()
	q, err := engine.ResolveRoute(ctx, s, ask, chain)
	if err == nil {
		if wrong := q.Check(); wrong != nil {
			err = misuse(wrong, "a route leads from one account to another of the same chain, from the TIME of --from to that of --until")
		}
	}
	if errors.Is(err, engine.ErrAsset) {
		err = misuse(err, hintFor(err))
	}
	if err != nil {
		return err
	}
	o := route.Options{Exact: f.route.exact, Budget: route.Budget{Holders: f.budget.Holders, Transactions: f.budget.Transactions}}
	b := p.newBar()
	answer, err := engine.Route(ctx, s, q, o, labels, func(read int64) {
		b.show(0, 0, fmt.Sprintf("looking for ways: %d transactions read", read))
	})
	b.clear()
	if err != nil {
		return err
	}
	if answer.Partial {
		p.code = 6
	}
	if p.json {
		return json.NewEncoder(p.out).Encode(answer)
	}
	return writeRoute(p.out, answer, f.rows)
}

// readChain reads the chain of addresses that are written without one, none if text is empty.
func readChain(text string) (c flow.Chain, err error) {
	if text == "" {
		return c, nil
	}
	if c, err = flow.ParseChain(text); err != nil {
		return c, misuse(err, "write a CAIP-2 identifier such as eip155:1, or a name such as ethereum")
	}
	return c, nil
}

// writeRoute prints a route for people: how much, why not more, which ways, and what is not known.
func writeRoute(w io.Writer, a *engine.RouteAnswer, rows int) error {
	r := a.Route
	n := engine.NameOf(r.Asset)
	end := a.Chain.Tip.Height
	if r.End.Height > 0 {
		end = min(end, r.End.Height)
	}
	fmt.Fprintf(w, "Route of %s from %s to %s, %s", n.Symbol, account(a, r.From), account(a, r.To), r.From.Chain())
	if r.Start.Height > 0 {
		fmt.Fprintf(w, " from block %d", r.Start.Height)
	}
	fmt.Fprintf(w, " up to block %d\n", end)
	if !r.Amount.IsZero() {
		fmt.Fprintf(w, "  at most %s count of what left\n", n.Format(r.Amount))
	}
	total := func(t route.Total) string {
		if v, ok := t.Amount(); ok {
			return n.Format(v)
		}
		return t.String() + " smallest units of " + n.Symbol
	}
	switch {
	case r.AtMost.Compare(flow.Sum{}.Plus(r.AtLeast)) == 0:
		fmt.Fprintf(w, "\n  exactly %s can have gone\n", n.Format(r.AtLeast))
	case r.Max == nil:
		fmt.Fprintf(w, "\n  between %s and %s can have gone (--max-flow computes it)\n", n.Format(r.AtLeast), total(r.AtMost))
	default:
		fmt.Fprintf(w, "\n  between %s and %s can have gone\n", n.Format(r.AtLeast), total(r.AtMost))
	}
	fmt.Fprintf(w, "  greedy   %s: if every account passes on what it can as soon as it can\n", n.Format(r.Greedy))
	if r.Max != nil {
		over := ""
		if r.Partial {
			over = " over what was read"
		}
		fmt.Fprintf(w, "  maximum  %s: the most that can have arrived%s\n", n.Format(*r.Max), over)
	}
	fmt.Fprintf(w, "  left     %s that can lead there, of %s\n", total(r.Out), total(r.Sent))
	fmt.Fprintf(w, "  arrived  %s that can come from there, of %s\n", total(r.In), total(r.Received))
	writePaths(w, a, n, rows)
	if len(r.Cut) > 0 && !r.Partial {
		fmt.Fprintf(w, "\nNo more can go, because all must pass here and this sums to the maximum\n")
		for _, s := range r.Cut[:shown(len(r.Cut), rows)] {
			fmt.Fprintf(w, "  %s\n", step(a, n, s))
		}
		if k := len(r.Cut) - shown(len(r.Cut), rows); k > 0 {
			fmt.Fprintf(w, "  … and %s (--rows 0 shows all)\n", engine.Count(k, "more movement"))
		}
	}
	fmt.Fprintln(w, "\nWhat this does not know")
	for _, s := range a.DoesNotKnow {
		fmt.Fprintf(w, "  - %s\n", finding.Clean(s, 500))
	}
	_, err := fmt.Fprintf(w, "\nresult %s  (spoor %s, route rules %d)\n", r.Hash, a.Version, r.Version)
	return err
}

// writePaths prints the ways, the largest first.
func writePaths(w io.Writer, a *engine.RouteAnswer, n engine.AssetName, rows int) {
	r := a.Route
	if len(r.Paths) == 0 {
		fmt.Fprintln(w, "\nNo way.")
		return
	}
	fmt.Fprintln(w, "\nWays, the largest first")
	left := r.Rest
	for i, p := range r.Paths {
		if i >= shown(len(r.Paths), rows) {
			left, _ = left.Add(p.Amount)
			continue
		}
		fmt.Fprintf(w, "  %s in %s\n", n.Format(p.Amount), engine.Count(len(p.Steps), "step"))
		for _, s := range p.Steps {
			fmt.Fprintf(w, "    %s\n", step(a, n, s))
		}
	}
	if !left.IsZero() {
		fmt.Fprintf(w, "  … and %s on smaller ways (--rows 0 shows more)\n", n.Format(left))
	}
}

// shown is how many of so many are shown.
func shown(of, rows int) int {
	if rows == 0 {
		return of
	}
	return min(of, rows)
}

// step is one movement of a way on a line.
func step(a *engine.RouteAnswer, n engine.AssetName, s route.Step) string {
	text := fmt.Sprintf("%s  %s  ", s.At, s.Tx)
	if !s.From.IsZero() {
		text += account(a, s.From) + " "
	}
	text += "→"
	if !s.To.IsZero() {
		text += " " + account(a, s.To)
	}
	return text + "  " + n.Format(s.Amount)
}

// account is an address with its label.
func account(a *engine.RouteAnswer, of flow.Account) string {
	if l, ok := a.Labels[of.String()]; ok {
		return of.Address() + " (" + finding.Clean(l.Name, 60) + ")"
	}
	return of.Address()
}
