package cli

import (
	"bufio"
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
		{"transfers.csv", writeTransfers}, {"addresses.csv", writeAddresses}, {"minor.csv", writeMinor}, {"sinks.csv", writeSinks}, {"deposits.csv", writeDeposits},
		{"graph.graphml", writeGraphML}, {"findings.json", writeFindings}, {"summary.json", writeSummary},
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
	for _, e := range engine.EdgeRows(a.Report) {
		chain := e.Asset.Chain()
		row := append([]string{chain.FormatHash(e.Tx), strconv.FormatUint(uint64(e.Index), 10), billionths(e.Score), chain.String(),
			strconv.FormatUint(e.At.Height, 10), seconds(e.Time), end(e.From, e.FromCoin), end(e.To, e.ToCoin), e.Asset.Name(),
			e.Amount.String(), e.Stolen.Name()}, claimFields(e.Claims)...)
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

func writeAddresses(w io.Writer, a *engine.Answer) error {
	agreed, _ := engine.Agreed(a.Report, engine.AddressRows(a.Report))
	return writeAddressRows(w, a, agreed)
}

func writeMinor(w io.Writer, a *engine.Answer) error {
	_, minor := engine.Agreed(a.Report, engine.AddressRows(a.Report))
	return writeAddressRows(w, a, minor)
}

func writeAddressRows(w io.Writer, a *engine.Answer, rows []engine.AddressRow) error {
	c := csv.NewWriter(w)
	header := append([]string{"address", "score"}, claimColumns(a)...)
	_ = c.Write(append(header, "role", "end_reason", "chain", "stolen_asset", "hops", "label", "rules"))
	for _, r := range rows {
		row := append([]string{r.Account.Address(), billionths(r.Score)}, claimFields(r.There)...)
		hops := ""
		if r.Hops >= 0 {
			hops = strconv.Itoa(r.Hops)
		}
		_ = c.Write(append(row, r.Role(), strings.Join(slices.Concat(r.Ends, r.Sinks), " "), r.Account.Chain().String(), r.Stolen.Name(), hops,
			cell(a.Labels[r.Account.String()].Name), strconv.Itoa(r.Rules)))
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
		"last_block", "last_time", "chain", "transactions", "rule", "rule_score"})
	for _, r := range a.Report.Results {
		for _, k := range r.Sinks {
			line := r.Lines[k.Line-1]
			txs := make([]string, len(k.Txs))
			for i, h := range k.Txs {
				txs[i] = line.Asset.Chain().FormatHash(h)
			}
			_ = c.Write([]string{r.Policy, string(k.Sink), k.Account.Address(), cell(k.Reason), k.Asset.Name(), k.Units.String(), line.Asset.Name(),
				k.Claim.String(), strconv.Itoa(k.Pieces), strconv.FormatUint(k.First.Height, 10), seconds(k.Time),
				strconv.FormatUint(k.Last.Height, 10), seconds(k.Until), line.Asset.Chain().String(), strings.Join(txs, " "), k.Rule, ruleScore(k)})
		}
	}
	c.Flush()
	return c.Error()
}

// writeDeposits writes the freeze list by who paid in: whom to ask, and which address names the customer.
func writeDeposits(w io.Writer, a *engine.Answer) error {
	c := csv.NewWriter(w)
	header := append([]string{"sink", "service", "label", "via", "sweeps", "score", "asset", "stolen_asset"}, claimColumns(a)...)
	_ = c.Write(append(header, "units", "first_block", "last_block", "last_time", "chain", "transactions"))
	for _, d := range engine.Deposits(a.Report) {
		txs := make([]string, len(d.Txs))
		for i, h := range d.Txs {
			txs[i] = d.Service.Chain().FormatHash(h)
		}
		most := flow.Amount{}
		for _, u := range d.Units {
			if most.Less(u) {
				most = u
			}
		}
		row := append([]string{string(d.Sink), d.Service.Address(), cell(a.Labels[d.Service.String()].Name), d.Via.Address(), strconv.FormatBool(d.Sweeps),
			billionths(d.Score), d.Asset.Name(), d.Stolen.Name()}, claimFields(d.Claims)...)
		_ = c.Write(append(row, most.String(), strconv.FormatUint(d.First.Height, 10), strconv.FormatUint(d.Last.Height, 10), seconds(d.Time),
			d.Service.Chain().String(), strings.Join(txs, " ")))
	}
	c.Flush()
	return c.Error()
}

// ruleScore is the score of the judgement by which something is a sink, where it is one.
func ruleScore(k trace.Sunk) string {
	if k.Rule == "" {
		return ""
	}
	return billionths(flow.NewAmount(uint64(k.Score)))
}

// writeSummary writes the answer without what the CSV files hold row by row.
func writeSummary(w io.Writer, a *engine.Answer) error {
	short := *a
	report := *a.Report
	short.Report, short.Findings = &report, nil
	report.Results = slices.Clone(a.Report.Results)
	for i := range report.Results {
		report.Results[i].Edges, report.Results[i].Holders, report.Results[i].Sinks = nil, nil, nil
	}
	report.Disagreement.Rows = nil
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(short)
}
