package cli

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// checkFolder makes the folder of an answer and tries whether it can be written to, before the work of tracing.
func checkFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".spoor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// writeFolder writes all files of an answer to a folder that is there, each first beside its place and then moved there,
// so that a full disk or a crash leaves no half of a file.
func writeFolder(dir string, a *engine.Answer) error {
	files := []struct {
		name  string
		write func(io.Writer, *engine.Answer) error
	}{
		{"transfers.csv", writeTransfers}, {"addresses.csv", writeAddresses}, {"sinks.csv", writeSinks},
		{"graph.graphml", writeGraphML}, {"summary.json", writeSummary},
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := writeFile(path, func(w io.Writer) error { return f.write(w, a) }); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

func writeFile(path string, write func(io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(tmp, 1<<16)
	err = write(b)
	for _, step := range []func() error{b.Flush, tmp.Sync, func() error { return tmp.Chmod(0o644) }} {
		if err == nil {
			err = step()
		}
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// An edgeRow is one transfer that carried claim, with what it carried under each rule.
type edgeRow struct {
	trace.Edge
	stolen flow.Asset
	claims []flow.Amount
	score  flow.Amount
}

// edges joins the edges of all rules, the largest share of the theft first.
func edges(a *engine.Answer) []edgeRow {
	type key struct {
		tx       flow.Hash
		index    uint32
		from, to flow.Account
		fromCoin flow.Outpoint
		toCoin   flow.Outpoint
		asset    flow.Asset
		stolen   flow.Asset
		sink     trace.Sink
		at       flow.Pos
	}
	var rows []edgeRow
	index := map[key]int{}
	for p, r := range a.Report.Results {
		for _, e := range r.Edges {
			k := key{e.Tx, e.Index, e.From, e.To, e.FromCoin, e.ToCoin, e.Asset, r.Lines[e.Line-1].Asset, e.Sink, e.At}
			i, ok := index[k]
			if !ok {
				i = len(rows)
				index[k] = i
				rows = append(rows, edgeRow{Edge: e, stolen: k.stolen, claims: make([]flow.Amount, len(a.Report.Results))})
			}
			claim := e.Claim
			if r.Policy == trace.Poison.String() {
				claim = e.Units
			}
			rows[i].claims[p], _ = rows[i].claims[p].Add(claim)
		}
	}
	whole := stolen(a)
	for i := range rows {
		rows[i].score = score(a, rows[i].claims, whole[rows[i].stolen])
	}
	slices.SortStableFunc(rows, func(x, y edgeRow) int {
		return cmp.Or(y.score.Compare(x.score), x.At.Compare(y.At), x.Tx.Compare(y.Tx))
	})
	return rows
}

// stolen is how much was stolen of each asset.
func stolen(a *engine.Answer) map[flow.Asset]flow.Amount {
	whole := map[flow.Asset]flow.Amount{}
	for _, l := range a.Report.Disagreement.Lines {
		whole[l.Stolen] = l.Amount
	}
	return whole
}

// score is the share of the theft in billionths, the mean over all rules but poison, each counted as at most the whole.
func score(a *engine.Answer, claims []flow.Amount, whole flow.Amount) flow.Amount {
	if whole.IsZero() {
		return flow.Amount{}
	}
	var sum, n uint64
	for p, c := range claims {
		if a.Report.Results[p].Policy == trace.Poison.String() {
			continue
		}
		n++
		ppb, _ := flow.NewAmount(1_000_000_000).Share(c.Min(whole), whole).Uint64()
		sum += ppb
	}
	if n == 0 {
		return flow.Amount{}
	}
	return flow.NewAmount(sum / n)
}

func billionths(v flow.Amount) string {
	n, _ := v.Uint64()
	return fmt.Sprintf("%d.%09d", n/1_000_000_000, n%1_000_000_000)
}

// claimColumns names a column for each rule.
func claimColumns(a *engine.Answer) []string {
	var names []string
	for _, r := range a.Report.Results {
		names = append(names, "claim_"+strings.ReplaceAll(r.Policy, "-", "_"))
	}
	return names
}

func claimFields(claims []flow.Amount) []string {
	var fields []string
	for _, c := range claims {
		fields = append(fields, c.String())
	}
	return fields
}

func writeTransfers(w io.Writer, a *engine.Answer) error {
	c := csv.NewWriter(w)
	header := append([]string{"tx_hash", "log_index", "score", "chain", "block", "time", "from", "to", "asset", "amount", "stolen_asset"}, claimColumns(a)...)
	_ = c.Write(append(header, "sink", "rule")) // the writer keeps its first error
	for _, e := range edges(a) {
		chain := e.Asset.Chain()
		row := append([]string{chain.FormatHash(e.Tx), strconv.FormatUint(uint64(e.Index), 10), billionths(e.score), chain.String(),
			strconv.FormatUint(e.At.Height, 10), seconds(e.Time), end(e.From, e.FromCoin), end(e.To, e.ToCoin), e.Asset.Name(),
			e.Amount.String(), e.stolen.Name()}, claimFields(e.claims)...)
		_ = c.Write(append(row, string(e.Sink), rule(a)))
	}
	c.Flush()
	return c.Error()
}

// end is one end of an edge: the coin with its owner on UTXO chains, the account elsewhere.
func end(a flow.Account, coin flow.Outpoint) string {
	if coin.IsZero() {
		return a.Address()
	}
	return a.Address() + " " + coin.String()
}

func rule(a *engine.Answer) string { return fmt.Sprintf("trace/%d", a.TraceVersion) }

func seconds(t int64) string {
	if t == 0 {
		return ""
	}
	return strconv.FormatInt(t, 10)
}

// An addressRow is one account with what it has and had of one stolen asset.
type addressRow struct {
	account  flow.Account
	stolen   flow.Asset
	there    []flow.Amount // held, or come to an end there, under each rule
	received []flow.Amount
	hops     int
	source   bool
	sinks    []string
	ends     []string
	score    flow.Amount
}

// addresses joins holders and sinks of all rules by account and stolen asset, the largest share of the theft first.
func addresses(a *engine.Answer) []addressRow {
	type key struct {
		account flow.Account
		stolen  flow.Asset
	}
	var rows []addressRow
	index := map[key]int{}
	n := len(a.Report.Results)
	row := func(k key) *addressRow {
		i, ok := index[k]
		if !ok {
			i = len(rows)
			index[k] = i
			rows = append(rows, addressRow{account: k.account, stolen: k.stolen, hops: -1, there: make([]flow.Amount, n), received: make([]flow.Amount, n)})
		}
		return &rows[i]
	}
	for p, r := range a.Report.Results {
		for _, h := range r.Holders {
			x := row(key{h.Account, r.Lines[h.Line-1].Asset})
			x.there[p], _ = x.there[p].Add(h.Claim)
			x.received[p], _ = x.received[p].Add(h.Received)
			x.source = x.source || h.Source
			if x.hops < 0 || h.Hops < x.hops {
				x.hops = h.Hops
			}
			x.ends = add(x.ends, string(h.End))
		}
		for _, k := range r.Sinks {
			if k.Account.IsZero() {
				continue
			}
			x := row(key{k.Account, r.Lines[k.Line-1].Asset})
			x.there[p], _ = x.there[p].Add(k.Claim)
			x.received[p], _ = x.received[p].Add(k.Claim)
			x.sinks = add(x.sinks, string(k.Sink))
		}
	}
	whole := stolen(a)
	for i := range rows {
		rows[i].score = score(a, rows[i].received, whole[rows[i].stolen])
	}
	slices.SortStableFunc(rows, func(x, y addressRow) int {
		return cmp.Or(y.score.Compare(x.score), x.account.Compare(y.account), x.stolen.Compare(y.stolen))
	})
	return rows
}

// role says what the account is in the theft: source, holder, or the sinks that it is.
func (r *addressRow) role() string {
	switch {
	case r.source:
		return "source"
	case len(r.sinks) > 0:
		return strings.Join(r.sinks, " ")
	}
	return "holder"
}

func add(words []string, w string) []string {
	if slices.Contains(words, w) {
		return words
	}
	return append(words, w)
}

func writeAddresses(w io.Writer, a *engine.Answer) error {
	c := csv.NewWriter(w)
	header := append([]string{"address", "score"}, claimColumns(a)...)
	_ = c.Write(append(header, "role", "end_reason", "chain", "stolen_asset", "hops", "label"))
	for _, r := range addresses(a) {
		row := append([]string{r.account.Address(), billionths(r.score)}, claimFields(r.there)...)
		hops := ""
		if r.hops >= 0 {
			hops = strconv.Itoa(r.hops)
		}
		_ = c.Write(append(row, r.role(), strings.Join(slices.Concat(r.ends, r.sinks), " "), r.account.Chain().String(), r.stolen.Name(), hops,
			cell(a.Labels[r.account.String()].Name)))
	}
	c.Flush()
	return c.Error()
}

// cell makes text from outside safe for a spreadsheet, which would run what begins with one of these as a formula.
func cell(s string) string {
	s = clean(s)
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

func writeSinks(w io.Writer, a *engine.Answer) error {
	c := csv.NewWriter(w)
	_ = c.Write([]string{"policy", "sink", "address", "reason", "asset", "units", "stolen_asset", "claim", "pieces", "first_block", "first_time",
		"last_block", "last_time", "chain", "transactions"})
	for _, r := range a.Report.Results {
		for _, k := range r.Sinks {
			line := r.Lines[k.Line-1]
			txs := make([]string, len(k.Txs))
			for i, h := range k.Txs {
				txs[i] = line.Asset.Chain().FormatHash(h)
			}
			_ = c.Write([]string{r.Policy, string(k.Sink), k.Account.Address(), cell(k.Reason), k.Asset.Name(), k.Units.String(), line.Asset.Name(),
				k.Claim.String(), strconv.Itoa(k.Pieces), strconv.FormatUint(k.First.Height, 10), seconds(k.Time),
				strconv.FormatUint(k.Last.Height, 10), seconds(k.Until), line.Asset.Chain().String(), strings.Join(txs, " ")})
		}
	}
	c.Flush()
	return c.Error()
}

// writeSummary writes the answer without what the CSV files hold row by row.
func writeSummary(w io.Writer, a *engine.Answer) error {
	short := *a
	report := *a.Report
	short.Report = &report
	report.Results = slices.Clone(a.Report.Results)
	for i := range report.Results {
		report.Results[i].Edges, report.Results[i].Holders, report.Results[i].Sinks = nil, nil, nil
	}
	report.Disagreement.Rows = nil
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(short)
}
