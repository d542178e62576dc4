package engine

import (
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/trace"
)

// A Label is what somebody says about an account. It is a judgement: it carries its source.
type Label struct {
	Name     string `json:"name"`
	Category string `json:"category,omitempty"`
	Service  bool   `json:"service"` // holds the money of many: a trace ends there
	Source   string `json:"source"`  // who says so: the column of that name, else the file
}

// Labels are the labels of accounts. An EVM address that was given without a chain is labelled on every EVM chain; a label
// for one chain goes before it. Of two that contradict each other the first stands.
type Labels struct {
	exact    map[flow.Account]Label
	anyEVM   map[string]Label // by Account.Key
	services int
	book     *attribute.Book // asked where the lists above say nothing; may be nil
	at       int64           // the moment of which the book is asked
	inBook   int             // accounts of which the book says something then
	bookHash flow.Hash       // digest of what it says then
	Bad      []string        // the first rows that were refused, or that contradict an earlier one, with the reason
	BadRows  int             // how many there were in all
}

// keptBad bounds Labels.Bad.
const keptBad = 1000

func (l *Labels) refuse(name string, line int, format string, args ...any) {
	l.BadRows++
	if len(l.Bad) < keptBad {
		l.Bad = append(l.Bad, fmt.Sprintf("%s:%d: ", name, line)+fmt.Sprintf(format, args...))
	}
}

// Of is the label of an account; ok is false where nobody said anything.
func (l *Labels) Of(a flow.Account) (Label, bool) {
	if l == nil {
		return Label{}, false
	}
	if label, ok := l.exact[a]; ok {
		return label, true
	}
	if label, ok := l.anyEVM[a.Key()]; ok && a.Chain().IsEVM() {
		return label, true
	}
	return ofBook(l.book.LabelsOf(a, l.at, l.at))
}

// Len is how many accounts have a label.
func (l *Labels) Len() int {
	if l == nil {
		return 0
	}
	return len(l.exact) + len(l.anyEVM) + l.inBook
}

// Services is how many of the labels are of services.
func (l *Labels) Services() int {
	if l == nil {
		return 0
	}
	return l.services
}

// Hash is a digest of all labels, whatever order they were read in: two answers with the same hash knew the same labels.
func (l *Labels) Hash() flow.Hash {
	var rows []string
	row := func(subject string, label Label) {
		rows = append(rows, fmt.Sprintf("%q %q %q %q %t\n", subject, label.Name, label.Category, label.Source, label.Service))
	}
	if l != nil {
		for a, label := range l.exact {
			row(a.String(), label)
		}
		for key, label := range l.anyEVM {
			row("eip155:any "+key, label)
		}
		if l.book != nil {
			rows = append(rows, fmt.Sprintf("label store %s\n", l.bookHash))
		}
	}
	slices.Sort(rows)
	h := sha256.New()
	for _, r := range rows {
		io.WriteString(h, r)
	}
	return flow.Hash(h.Sum(nil))
}

// Stop says whether a trace ends at an account, and why: the Stop of trace.Options.
func (l *Labels) Stop(a flow.Account) (trace.Stop, bool) {
	label, ok := l.Of(a)
	if !ok || !label.Service {
		return trace.Stop{}, false
	}
	stop := trace.Stop{Sink: trace.Service, Reason: label.Name}
	switch strings.ToLower(label.Category) {
	case "":
		return stop, true
	case "mixer", "mixing_service", "coinjoin":
		stop.Sink = trace.Mixer
	case "bridge", "cross_chain_bridge", "defi_bridge":
		stop.Sink = trace.Bridge
	}
	stop.Reason += " (" + label.Category + ")"
	return stop, true
}

// Bounds of what is read from outside.
const (
	maxLabels    = 5_000_000 // accounts, which are kept in memory
	maxLabelRow  = 4 << 20   // bytes: a longer row is a quote that does not end
	maxLabelText = 1000      // bytes of a name, category or source; the rest is cut off
)

// ReadLabels adds the rows of a CSV with the columns address, label, category, is_service and optionally source, in any
// order. A row with a bad address or a doubtful is_service is refused and remembered in Bad, and so is one that contradicts
// an earlier row; the rest stands.
func (l *Labels) ReadLabels(name string, r io.Reader) error {
	if l.exact == nil {
		l.exact, l.anyEVM = map[flow.Account]Label{}, map[string]Label{}
	}
	in := &rowBudget{r: r}
	rows := csv.NewReader(in)
	rows.FieldsPerRecord = -1
	rows.ReuseRecord = true
	in.left = maxLabelRow
	header, err := rows.Read()
	if err != nil {
		return fmt.Errorf("labels %s: header: %w", name, err)
	}
	column := map[string]int{}
	for i, h := range header {
		column[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))] = i
	}
	if _, ok := column["address"]; !ok {
		return fmt.Errorf("labels %s: the header has no column \"address\"", name)
	}
	for {
		in.left = maxLabelRow
		row, err := rows.Read()
		var broken *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &broken) && broken.Line == broken.StartLine:
			l.refuse(name, broken.Line, "%v", broken.Err)
			continue
		case errors.As(err, &broken):
			return fmt.Errorf("labels %s: line %d: a quote that begins here and does not end", name, broken.StartLine)
		case err != nil:
			return fmt.Errorf("labels %s: %w", name, err)
		case l.Len() >= maxLabels:
			return fmt.Errorf("labels %s: more than %d labels", name, maxLabels)
		}
		line, _ := rows.FieldPos(0)
		l.add(name, line, func(name string) string {
			if i, ok := column[name]; ok && i < len(row) {
				return strings.TrimSpace(row[i])
			}
			return ""
		})
	}
}

// add takes one row, whose fields are found by name.
func (l *Labels) add(name string, line int, field func(name string) string) {
	text := field("address")
	a, err := flow.ParseAccount(text)
	if err != nil {
		l.refuse(name, line, "%v", err)
		return
	}
	service, err := parseYes(field("is_service"))
	if err != nil {
		l.refuse(name, line, "is_service: %v", err)
		return
	}
	label := Label{Name: cut(field("label")), Category: cut(field("category")), Source: cut(field("source")), Service: service}
	if label.Source == "" {
		label.Source = filepath.Base(name)
	}
	anyEVM := strings.Count(text, ":") == 0 && a.Chain().IsEVM()
	have, ok := l.exact[a]
	if anyEVM {
		have, ok = l.anyEVM[a.Key()]
	}
	switch {
	case ok:
		if have.Name != label.Name || have.Category != label.Category || have.Service != label.Service {
			l.refuse(name, line, "%s is %q already: the first label stands, not %q", a, have.describe(), label.describe())
		}
		return
	case anyEVM:
		l.anyEVM[a.Key()] = label
	default:
		l.exact[a] = label
	}
	if service {
		l.services++
	}
}

// describe is all that a label says.
func (l Label) describe() string {
	s := l.Name
	if l.Category != "" {
		s += " (" + l.Category + ")"
	}
	if l.Service {
		s += ", a service"
	}
	return s
}

// cut is a copy of the beginning of s.
func cut(s string) string {
	if len(s) <= maxLabelText {
		return strings.Clone(s)
	}
	return strings.ToValidUTF8(s[:maxLabelText], "")
}

func parseYes(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "1", "true", "t", "yes", "y":
		return true, nil
	case "", "0", "false", "f", "no", "n":
		return false, nil
	}
	return false, fmt.Errorf("%.40q: write 1 or 0", s)
}

// A rowBudget is a reader that gives out no more than left bytes, which is filled up before each row.
type rowBudget struct {
	r    io.Reader
	left int
}

func (b *rowBudget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("a row of more than %d MB: a quote that does not end?", maxLabelRow>>20)
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
