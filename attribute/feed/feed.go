// Package feed is lists of labels in the forms in which others publish them.
package feed

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

var (
	// ErrFormat is returned for a list whose format is not named and cannot be told, or is not known.
	ErrFormat = errors.New("unknown format of a list of labels")
	// ErrSchema is returned for a list that is not what its format says, as a whole.
	ErrSchema = errors.New("not in the form of its format")
	// ErrSize is returned for a list that is larger than any honest one.
	ErrSize = errors.New("too large")
)

// Formats are the formats that Read reads, with what each is, in the order of the help text.
var Formats = []struct{ Name, Reads string }{
	{"spoor", "labels as \"spoor label export\" writes them: one JSON object a line, nothing is lost"},
	{"csv", "a table with a header: address,label,category,is_service, or the columns of a list that is known"},
	{"tagpack", "a GraphSense TagPack (YAML)"},
	{"ofac-xml", "OFAC's SDN list, sdn_advanced.xml"},
	{"ofac-csv", "OFAC's SDN list, SDN.CSV: the addresses in the remarks"},
	{"ofac-addresses", "the SDN addresses that 0xB10C extracts daily: one a line, or a JSON array, the ticker in the file's name"},
	{"addresses", "one address a line, or a JSON array"},
	{"eth-labels", "accounts.json of dawsbot/eth-labels"},
	{"etherscan-labels", "combinedAllLabels.json of brianleect/etherscan-labels"},
	{"scamsniffer", "address.json, domains.json or combined.json of scamsniffer/scam-database"},
	{"misp-galaxy", "a cluster of the MISP galaxy: actors and their synonyms"},
	{"ftm", "OpenSanctions entities in FollowTheMoney JSON, one a line"},
}

// Config says what a list does not say itself. The zero value is valid.
type Config struct {
	Format     string           // one of Formats; told from the name and the beginning if empty
	Source     attribute.Source // what is empty is taken from the list, else made from the file's name
	Label      string           // name of labels of lists that hold none
	Category   string           // category of labels of lists that hold none
	Confidence string           // confidence of labels that have none, on the GraphSense scale
	MaxBytes   int64            // a larger list is refused; 1 GB if 0
	MaxLabels  int              // a longer list is refused; 5 million if 0
}

// maxText bounds names, actors and links, in bytes; the rest is cut off.
const maxText = 1000

// maxRefused bounds how many rows may be refused before the list as a whole is: a file of another kind, given by mistake.
const maxRefused = 1_000_000

// Read reads a whole list, not compressed. name is its file name, for messages and to tell the format. A row that cannot be
// trusted is refused with a reason and the rest stands. Errors: ErrFormat, ErrSchema, ErrSize, those of r.
func Read(name string, r io.Reader, c Config) (*attribute.Listing, error) {
	if c.MaxBytes <= 0 {
		c.MaxBytes = 1 << 30
	}
	if c.MaxLabels <= 0 {
		c.MaxLabels = 5_000_000
	}
	in := &bounded{r: r, left: c.MaxBytes}
	head := make([]byte, 4096)
	n, err := io.ReadFull(in, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("list %s: %w", name, err)
	}
	head = head[:n]
	if c.Format == "" {
		if c.Format, err = Detect(name, head); err != nil {
			return nil, err
		}
	}
	l := &lister{name: path.Base(strings.ReplaceAll(name, "\\", "/")), config: c}
	l.Source = c.Source
	if l.Source.ID == "" {
		l.Source.ID = idOf(l.name)
	}
	if l.confidence, err = attribute.ParseConfidence(c.Confidence); err != nil {
		return nil, err
	}
	all := io.MultiReader(strings.NewReader(string(head)), in)
	switch c.Format {
	case "spoor":
		err = l.readSpoor(all)
	case "csv":
		err = l.readTable(all)
	case "tagpack":
		err = l.readTagPack(all)
	case "ofac-xml":
		err = l.readSDNAdvanced(all)
	case "ofac-csv":
		err = l.readSDNTable(all)
	case "ofac-addresses":
		err = l.readSDNAddresses(all)
	case "addresses":
		err = l.readAddresses(all)
	case "eth-labels":
		err = l.readEthLabels(all)
	case "etherscan-labels":
		err = l.readEtherscanLabels(all)
	case "scamsniffer":
		err = l.readScamSniffer(all)
	case "misp-galaxy":
		err = l.readGalaxy(all)
	case "ftm":
		err = l.readFtM(all)
	default:
		return nil, fmt.Errorf("format %.60q: %w", c.Format, ErrFormat)
	}
	if err != nil {
		return nil, fmt.Errorf("list %s (%s): %w", name, c.Format, err)
	}
	for i := range l.Labels {
		uri := l.Labels[i].Source.URI // a row may name its own
		l.Labels[i].Source = l.Source
		if uri != "" {
			l.Labels[i].Source.URI = uri
		}
	}
	if err := l.Check(); err != nil {
		return nil, err
	}
	return &l.Listing, nil
}

// idOf makes the id of a source from a file's name.
func idOf(name string) string {
	for _, ending := range []string{".gz", ".bz2", ".xz", ".zst", ".csv", ".json", ".yaml", ".yml", ".txt", ".xml", ".ndjson", ".jsonl"} {
		name = strings.TrimSuffix(name, ending)
	}
	if name == "" || name == "-" || name == "." {
		return "list"
	}
	return text(name, 100)
}

// bounded is a reader that gives no more than left bytes.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		var one [1]byte
		if n, err := b.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, ErrSize
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// Detect tells the format of a list from its name and its beginning. Errors: ErrFormat.
func Detect(name string, head []byte) (string, error) {
	base := strings.ToLower(path.Base(strings.ReplaceAll(name, "\\", "/")))
	text := strings.TrimSpace(strings.TrimPrefix(string(head), "\ufeff"))
	has := func(parts ...string) bool {
		for _, p := range parts {
			if !strings.Contains(text, p) {
				return false
			}
		}
		return true
	}
	first, _, _ := strings.Cut(text, "\n")
	switch {
	case strings.HasPrefix(base, "sanctioned_addresses_"):
		return "ofac-addresses", nil
	case strings.HasPrefix(text, "<"):
		if has("<Sanctions") || has("sdn_advanced") || has("SDN_ADVANCED") || has("ADVANCED_XML") {
			return "ofac-xml", nil
		}
	case strings.HasPrefix(text, "["):
		switch {
		case has(`"address"`, `"label"`), has(`"address"`, `"nameTag"`):
			return "eth-labels", nil
		case strings.HasPrefix(base, "domains"), base == "address.json":
			return "scamsniffer", nil
		}
		return "addresses", nil
	case strings.HasPrefix(text, "{"):
		switch {
		case strings.HasPrefix(first, "{") && strings.Contains(first, `"subject"`) && strings.Contains(first, `"stance"`):
			return "spoor", nil
		case strings.Contains(first, `"schema"`) && strings.Contains(first, `"properties"`):
			return "ftm", nil
		case has(`"labels"`, "0x"):
			return "etherscan-labels", nil
		case has(`"authors"`), has(`"values"`), has(`"type"`, `"uuid"`), has(`"category"`, `"description"`):
			return "misp-galaxy", nil
		case strings.HasPrefix(base, "combined"):
			return "scamsniffer", nil
		}
	case has("title:", "tags:") || has("title:", "creator:"):
		return "tagpack", nil
	case strings.HasPrefix(base, "sdn") && strings.HasSuffix(base, ".csv"), strings.Contains(text, `"-0- "`) || strings.Contains(text, `,-0- ,`):
		return "ofac-csv", nil
	case strings.Contains(first, ","):
		if _, ok := tableOf(header(first)); ok {
			return "csv", nil
		}
	case len(strings.Fields(first)) == 1 || strings.HasPrefix(first, "#"):
		return "addresses", nil
	}
	return "", fmt.Errorf("list %s: %w", name, ErrFormat)
}

func header(line string) map[string]int {
	columns := map[string]int{}
	for i, h := range strings.Split(line, ",") {
		h = strings.ToLower(strings.Trim(strings.TrimSpace(h), `"`))
		if _, twice := columns[h]; !twice {
			columns[h] = i
		}
	}
	return columns
}

// A lister collects a listing.
type lister struct {
	attribute.Listing
	name       string // of the file
	config     Config
	confidence attribute.Confidence          // of labels that have none
	open       map[attribute.Subject]listing // listings that have not ended, by listingEventRow
}

// from says what source the list is of, where the caller did not.
func (l *lister) from(s attribute.Source) {
	if l.config.Source.ID == "" && s.ID != "" {
		l.Source.ID = s.ID
	}
	if l.Source.URI == "" {
		l.Source.URI = text(s.URI, maxText)
	}
	if l.Source.Licence == "" {
		l.Source.Licence = s.Licence
	}
	if l.Source.Date == 0 {
		l.Source.Date = s.Date
	}
}

// where names a line of the file.
func (l *lister) where(line int) string { return l.name + ":" + strconv.Itoa(line) }

// refuse puts a row in quarantine.
func (l *lister) refuse(where, what string, reason attribute.Reason, format string, args ...any) error {
	l.Rows++
	l.Refused = append(l.Refused, attribute.Refusal{Where: where, Text: text(what, 200), Reason: reason, Detail: text(fmt.Sprintf(format, args...), 500)})
	if len(l.Refused) > maxRefused {
		return fmt.Errorf("%s: %w: more than %d rows are refused", where, ErrSchema, maxRefused)
	}
	return nil
}

// pass counts a row that speaks of nothing which has labels here.
func (l *lister) pass() {
	l.Rows++
	l.Other++
}

// take files the labels of a row, of which there is at least one. A label that calls an address bad which is on the warning list
// puts the row in quarantine.
func (l *lister) take(where, what string, labels ...attribute.Label) error {
	for i := range labels {
		label := &labels[i]
		if label.Category.IsIllicit() {
			if why, ok := warned(label.Subject); ok {
				return l.refuse(where, what, attribute.Warned, "%s is called %s, and is %s", label.Subject, label.Category, why)
			}
		}
		label.Name, label.Actor, label.Evidence = text(label.Name, maxText), text(label.Actor, 200), text(label.Evidence, maxText)
		if label.Confidence == attribute.Unknown {
			label.Confidence = l.confidence
		}
		if label.ValidTo != 0 && label.ValidTo <= label.ValidFrom {
			return l.refuse(where, what, attribute.BadRow, "the label ends before it begins")
		}
	}
	l.Rows++
	l.Taken++
	if len(l.Labels)+len(labels) > cap(l.Labels) { // labels are large: move them few times
		l.Labels = slices.Grow(l.Labels, len(l.Labels)+len(labels)+1)
	}
	l.Labels = append(l.Labels, labels...)
	if len(l.Labels) > l.config.MaxLabels {
		return fmt.Errorf("%s: %w: more than %d labels", where, ErrSize, l.config.MaxLabels)
	}
	return nil
}

// account reads an address; ok is false where it was refused. The ticker, if any, is what the row says of the chain: the address
// itself decides, and a contradiction is remembered.
func (l *lister) account(where, address, ticker string) (a flow.Account, ok bool, err error) {
	address = strings.TrimSpace(address)
	a, err = attribute.ParseAddress(address)
	switch {
	case errors.Is(err, flow.ErrChecksum):
		return a, false, l.refuse(where, address, attribute.BadChecksum, "%v", err)
	case err != nil:
		return a, false, l.refuse(where, address, attribute.NotAddress, "%v", err)
	}
	if want, known := chainOfTicker(ticker); known && !want.admits(a.Chain()) {
		l.Refiled = append(l.Refiled, attribute.Refusal{Where: where, Text: text(address, 200), Reason: attribute.WrongTicker,
			Detail: fmt.Sprintf("the row says %s, the address is of %s: filed by the address", ticker, a.Chain())})
	}
	return a, true, nil
}

// subject is what a label about an account is about. A key holder has an address on every EVM chain: what is said of persons, and
// of crimes, holds on all of them; what is said of a contract or service holds on the chain that the list names.
func subject(a flow.Account, on flow.Chain, c attribute.Category) attribute.Subject {
	if !a.Chain().IsEVM() || on.IsZero() || c.IsIllicit() {
		return attribute.OfAnyEVM(a)
	}
	if b, err := a.On(on); err == nil {
		return attribute.OfAccount(b)
	}
	return attribute.OfAnyEVM(a)
}

// text is the beginning of s as sound UTF-8 without control characters.
func text(s string, most int) string {
	s = strings.TrimSpace(s)
	if len(s) > most {
		s = s[:most]
	}
	clean := utf8.ValidString(s)
	for i := 0; clean && i < len(s); i++ {
		clean = s[i] >= ' ' && s[i] != 0x7f
	}
	if clean {
		return strings.Clone(s)
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "")))
}
