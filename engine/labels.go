package engine

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// A Label is what somebody says about an account. It is a judgement: it carries its source.
type Label struct {
	Name     string `json:"name"`
	Category string `json:"category,omitempty"`
	Service  bool   `json:"service"` // holds the money of many: a trace ends there
	Source   string `json:"source,omitempty"`
}

// Labels are the labels of accounts. An EVM address that was given without a chain is labelled on every EVM chain.
type Labels struct {
	exact  map[flow.Account]Label
	anyEVM map[string]Label // by Account.Key
	Bad    []string         // rows that were refused, with the reason
}

// Of is the label of an account; ok is false where nobody said anything.
func (l *Labels) Of(a flow.Account) (Label, bool) {
	if l == nil {
		return Label{}, false
	}
	if label, ok := l.exact[a]; ok {
		return label, true
	}
	label, ok := l.anyEVM[a.Key()]
	return label, ok && a.Chain().IsEVM()
}

// Len is how many accounts have a label.
func (l *Labels) Len() int {
	if l == nil {
		return 0
	}
	return len(l.exact) + len(l.anyEVM)
}

// Stop says whether a trace ends at an account, and why: the Stop of trace.Options.
func (l *Labels) Stop(a flow.Account) (reason string, ok bool) {
	label, ok := l.Of(a)
	if !ok || !label.Service {
		return "", false
	}
	if label.Category == "" {
		return label.Name, true
	}
	return label.Name + " (" + label.Category + ")", true
}

// maxLabels bounds a list of labels that is read whole.
const maxLabels = 5_000_000

// ReadLabels adds the rows of a CSV with the columns address, label, category, is_service and optionally source, in any
// order. A row with a bad address is refused and remembered in Bad; the rest stands.
func (l *Labels) ReadLabels(name string, r io.Reader) error {
	if l.exact == nil {
		l.exact, l.anyEVM = map[flow.Account]Label{}, map[string]Label{}
	}
	rows := csv.NewReader(r)
	rows.FieldsPerRecord = -1
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return fmt.Errorf("labels %s: header: %w", name, err)
	}
	column := map[string]int{}
	for i, h := range header {
		column[strings.TrimPrefix(strings.ToLower(strings.TrimSpace(h)), "\ufeff")] = i
	}
	if _, ok := column["address"]; !ok {
		return fmt.Errorf("labels %s: the header has no column \"address\"", name)
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		line, _ := rows.FieldPos(0)
		if err != nil {
			l.Bad = append(l.Bad, fmt.Sprintf("%s:%d: %v", name, line, err))
			if errors.Is(err, csv.ErrFieldCount) || errors.Is(err, csv.ErrQuote) || errors.Is(err, csv.ErrBareQuote) {
				continue
			}
			return fmt.Errorf("labels %s: %w", name, err)
		}
		if l.Len() >= maxLabels {
			return fmt.Errorf("labels %s: more than %d rows", name, maxLabels)
		}
		field := func(name string) string {
			if i, ok := column[name]; ok && i < len(row) {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		text := field("address")
		a, err := flow.ParseAccount(text)
		if err != nil {
			l.Bad = append(l.Bad, fmt.Sprintf("%s:%d: %v", name, line, err))
			continue
		}
		label := Label{Name: field("label"), Category: field("category"), Source: field("source"), Service: isYes(field("is_service"))}
		if strings.Count(text, ":") == 0 && a.Chain().IsEVM() {
			l.anyEVM[a.Key()] = label
		} else {
			l.exact[a] = label
		}
	}
}

func isYes(s string) bool {
	switch strings.ToLower(s) {
	case "1", "true", "yes", "y":
		return true
	}
	return false
}
