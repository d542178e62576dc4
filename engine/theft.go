package engine

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/flow"
)

// A Text is a word, which JSON may also write as a number.
type Text string

// UnmarshalJSON reads text or a number; null is no word.
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9') {
		*t = Text(b)
		return nil
	}
	return json.Unmarshal(b, (*string)(t))
}

// A TheftSource is one source of a theft as people write it, not yet looked up in a store.
type TheftSource struct {
	Account string `json:"account"`
	Asset   string `json:"asset,omitempty"`     // CAIP-19, a token contract, or a coin's ticker; every asset (or the coin, with an amount) if empty
	Amount  Text   `json:"amount,omitempty"`    // in the smallest unit; all that leaves the account if empty
	Time    Text   `json:"from_time,omitempty"` // see ParseTime
	Block   Text   `json:"from_block,omitempty"`
}

// check says what is wrong with the form of a source, before any store is asked.
func (s TheftSource) check() error {
	if _, err := flow.ParseAccount(s.Account); err != nil {
		return err
	}
	if s.Amount != "" {
		v, err := flow.ParseAmount(string(s.Amount))
		if err != nil {
			return err
		}
		if v.IsZero() {
			return errors.New("amount 0: nothing was stolen")
		}
	}
	if s.Block != "" && s.Time != "" {
		return errors.New("both a time and a block: name one of them")
	}
	if s.Block != "" {
		if _, err := parseHeight(string(s.Block)); err != nil {
			return err
		}
	}
	if s.Time != "" {
		if _, err := ParseTime(string(s.Time)); err != nil {
			return err
		}
	}
	return nil
}

// A TheftFile describes a theft: what a --theft file holds.
type TheftFile struct {
	Name         string        `json:"name"`
	Sources      []TheftSource `json:"sources"`
	Transactions []string      `json:"transactions,omitempty"` // ids, or id:index for an output of a UTXO transaction
	Thieves      []string      `json:"thieves,omitempty"`      // of the transactions' gainers, only these
}

// Check says what is wrong with the form of a theft, before any store is asked.
func (t TheftFile) Check() error {
	for i, s := range t.Sources {
		if err := s.check(); err != nil {
			return fmt.Errorf("source %d: %w", i+1, err)
		}
	}
	for i, text := range t.Transactions {
		if _, err := parseTxName(text); err != nil {
			return fmt.Errorf("transaction %d: %w", i+1, err)
		}
	}
	for i, text := range t.Thieves {
		if _, err := flow.ParseAccount(text); err != nil {
			return fmt.Errorf("thief %d: %w", i+1, err)
		}
	}
	switch {
	case len(t.Thieves) > 0 && len(t.Transactions) == 0:
		return errors.New("a thief is one of those who gained in a transaction, and no transaction is named")
	case len(t.Sources)+len(t.Transactions) == 0:
		return errors.New("names no source and no transaction")
	}
	return nil
}

// maxTheftFile bounds a theft file, which is read whole.
const maxTheftFile = 64 << 20

// ReadTheft reads a theft file: JSON, a CSV with the columns address,start_block,start_timestamp (either may be empty),
// or a plain list of addresses. In the last two, all that leaves the addresses from then on is stolen. A theft without a
// name gets the last part of the file's. Errors name the line or the number of what is wrong.
func ReadTheft(name string, r io.Reader) (TheftFile, error) {
	t, err := readTheft(r)
	if err == nil {
		err = t.Check()
	}
	if err != nil {
		return TheftFile{}, fmt.Errorf("theft %s: %w", name, err)
	}
	if t.Name == "" {
		t.Name = filepath.Base(name)
	}
	return t, nil
}

func readTheft(r io.Reader) (t TheftFile, err error) {
	text, err := io.ReadAll(io.LimitReader(r, maxTheftFile+1))
	if err != nil {
		return t, err
	}
	if len(text) > maxTheftFile {
		return t, fmt.Errorf("larger than %d MB", maxTheftFile>>20)
	}
	// What is cut off here is no line, so that errors name the lines of the file.
	body := strings.TrimRight(strings.TrimPrefix(string(text), "\ufeff"), " \t\r\n")
	if !strings.HasPrefix(strings.TrimSpace(body), "{") {
		t.Sources, err = readTheftRows(body)
		return t, err
	}
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return t, fmt.Errorf("JSON%s: %w", jsonLine(body, err), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return t, errors.New("JSON: more behind the end of the theft")
	}
	return t, nil
}

// jsonLine says in which line an error of the JSON decoder is, where it knows.
func jsonLine(body string, err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var at int64
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &kind):
		at = kind.Offset
	}
	if at <= 0 || at > int64(len(body)) {
		return ""
	}
	return fmt.Sprintf(", line %d", 1+strings.Count(body[:at], "\n"))
}

// readTheftRows reads a CSV with a header, or a list of addresses. "#" begins a comment at the beginning of a line or after
// a blank.
func readTheftRows(text string) ([]TheftSource, error) {
	column := map[string]int{"address": 0}
	var sources []TheftSource
	first, number := true, 0
	for line := range strings.Lines(text) {
		number++
		row, err := readTheftRow(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if len(row) == 0 {
			continue
		}
		if first && slices.ContainsFunc(row, func(h string) bool { return strings.EqualFold(h, "address") }) {
			for i, h := range row {
				column[strings.ToLower(h)] = i
			}
			first = false
			continue
		}
		first = false
		field := func(name string) string {
			if i, ok := column[name]; ok && i < len(row) {
				return row[i]
			}
			return ""
		}
		s := TheftSource{Account: field("address"), Block: Text(field("start_block"))}
		if s.Block == "" {
			s.Time = Text(field("start_timestamp"))
		}
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// readTheftRow splits one line into its fields; a line that says nothing has none.
func readTheftRow(line string) ([]string, error) {
	line = strings.TrimSpace(line)
	if i := strings.IndexByte(line, '#'); i >= 0 && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
		line = strings.TrimSpace(line[:i])
	}
	if line == "" {
		return nil, nil
	}
	row, err := csv.NewReader(strings.NewReader(line)).Read()
	if err != nil {
		return nil, err
	}
	for i := range row {
		row[i] = strings.TrimSpace(row[i])
	}
	return row, nil
}

// ParseFrom reads ACCOUNT[=AMOUNT ASSET][@TIME], TIME being what ParseTime reads, or block:HEIGHT.
func ParseFrom(text string) (TheftSource, error) {
	var s TheftSource
	rest, when, hasTime := strings.Cut(text, "@")
	if hasTime {
		if when = strings.TrimSpace(when); when == "" {
			return TheftSource{}, fmt.Errorf("theft source %.200q: no time after @", text)
		}
		if height, ok := strings.CutPrefix(when, "block:"); ok {
			s.Block = Text(height)
		} else {
			s.Time = Text(when)
		}
	}
	account, what, hasAmount := strings.Cut(rest, "=")
	s.Account = strings.TrimSpace(account)
	if hasAmount {
		words := strings.Fields(what)
		if len(words) == 0 || len(words) > 2 {
			return TheftSource{}, fmt.Errorf("theft source %.200q: want AMOUNT ASSET after =", text)
		}
		s.Amount = Text(words[0])
		if len(words) == 2 {
			s.Asset = words[1]
		}
	}
	if hasTime && s.Time == "" {
		if _, err := parseHeight(string(s.Block)); err != nil {
			return TheftSource{}, fmt.Errorf("theft source %.200q: %w", text, err)
		}
	}
	if err := s.check(); err != nil {
		return TheftSource{}, fmt.Errorf("theft source: %w", err)
	}
	return s, nil
}

func parseHeight(text string) (uint64, error) {
	h, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("block %.40q: not a height", text)
	}
	return h, nil
}

// lastSecond is where seconds since 1970 end and milliseconds are meant.
const lastSecond = 100_000_000_000

// ParseTime reads RFC 3339, a day (2006-01-02, UTC), or seconds since 1970. A bare year and a day without dashes are
// refused: as seconds they would be a time in 1970.
func ParseTime(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil && n >= 0 && n < lastSecond && len(s) != len("2006") && len(s) != len("20060102") {
		return n, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Unix(), nil
		}
	}
	return 0, fmt.Errorf("time %.40q: write RFC 3339 (2020-10-26T02:53:31Z), a day (2020-10-26), or seconds since 1970", s)
}
