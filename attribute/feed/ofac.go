package feed

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/attribute"
)

// sanction is a label of somebody on the SDN list. Who holds the key of an EVM address has it on every EVM chain.
func (l *lister) sanction(where, what, address, ticker, name, evidence string, from, to int64) error {
	a, ok, err := l.account(where, address, ticker)
	if !ok || err != nil {
		return err
	}
	return l.take(where, what, attribute.Label{Subject: attribute.OfAnyEVM(a), Name: name, Actor: name, Category: attribute.Sanction,
		Confidence: attribute.AuthorityData, Evidence: evidence, ValidFrom: from, ValidTo: to})
}

// listed is the name of labels of lists that hold addresses only.
const listed = "OFAC SDN"

// sdnHistoryRow reads an address with the days between which it was listed.
func (l *lister) sdnHistoryRow(r row) error {
	from, ok1 := day(r.of("first_seen"))
	to, ok2 := day(r.of("delisted_on"))
	if !ok1 || !ok2 {
		return l.refuse(r.where, r.text(), attribute.BadRow, "first_seen or delisted_on is no day")
	}
	ticker, _, _ := strings.Cut(r.of("tickers"), "|")
	name := r.of("entity")
	if name == "" {
		name = listed
	}
	evidence := strings.TrimSpace("OFAC SDN " + r.of("sdn_uid"))
	if programs := r.of("programs"); programs != "" {
		evidence += ": " + programs
	}
	return l.sanction(r.where, r.text(), r.of("address"), ticker, name, evidence, from, to)
}

// listingEventRow reads that an address came onto the list under a ticker, or left it. It is listed while it is under any.
func (l *lister) listingEventRow(r row) error {
	at, ok := day(r.of("observed_date"))
	if !ok || at == 0 {
		return l.refuse(r.where, r.text(), attribute.BadRow, "observed_date is no day")
	}
	a, ok, err := l.account(r.where, r.of("address"), r.of("ticker"))
	if !ok || err != nil {
		return err
	}
	if l.open == nil {
		l.open = map[attribute.Subject]listing{}
	}
	s := attribute.OfAnyEVM(a)
	open, is := l.open[s]
	ticker := r.of("ticker")
	switch event := r.of("event"); {
	case event == "add" && is:
		open.under[ticker] = true
	case event == "add":
		l.open[s] = listing{len(l.Labels), map[string]bool{ticker: true}}
		return l.take(r.where, r.text(), attribute.Label{Subject: s, Name: listed, Category: attribute.Sanction, Confidence: attribute.AuthorityData, ValidFrom: at})
	case event == "remove" && is && open.under[ticker]:
		delete(open.under, ticker)
		if len(open.under) == 0 {
			l.Labels[open.label].ValidTo = at
			delete(l.open, s)
		}
	default:
		return l.refuse(r.where, r.text(), attribute.BadRow, "event %.20q of an address that is not listed under %.20q", event, ticker)
	}
	l.Rows++
	l.Taken++
	return nil
}

// A listing is a label that has not ended yet, and the tickers that it stands under.
type listing struct {
	label int
	under map[string]bool
}

// remark finds the addresses in the remarks of the SDN list: "Digital Currency Address - XBT 1Abc…;".
var remark = regexp.MustCompile(`Digital Currency Address - ([A-Za-z0-9]{1,10}) ([^\s;,]{1,200})`)

// readSDNTable reads SDN.CSV: number, name, type, programme, …, and remarks in the last of 12 columns; also SDN_COMMENTS.CSV, where remarks go on.
func (l *lister) readSDNTable(r io.Reader) error {
	l.from(usGovernment("ofac-sdn"))
	l.Dated = true
	in := &bounded{r: r, left: maxRow}
	rows := csv.NewReader(in)
	rows.FieldsPerRecord = -1
	rows.LazyQuotes = true
	return l.eachRow(rows, in, func(line int, fields []string) error {
		if len(fields) == 1 && strings.Trim(fields[0], "\x1a \t") == "" { // the end of file of an old system
			return nil
		}
		if len(fields) < 2 {
			return l.refuse(l.where(line), strings.Join(fields, ","), attribute.BadRow, "%d columns", len(fields))
		}
		name, programme := listed, ""
		if len(fields) >= 4 {
			name, programme = fields[1], fields[3]
		}
		found := remark.FindAllStringSubmatch(fields[len(fields)-1], -1)
		if len(found) == 0 {
			l.pass()
			return nil
		}
		for _, f := range found { // each address is a row of its own
			evidence := fmt.Sprintf("OFAC SDN %s: %s", strings.TrimSpace(fields[0]), strings.Trim(programme, "[] "))
			if err := l.sanction(l.where(line), f[0], f[2], f[1], name, evidence, 0, 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// readSDNAddresses reads a list of 0xB10C/ofac-sanctioned-digital-currency-addresses.
func (l *lister) readSDNAddresses(r io.Reader) error {
	ticker := ""
	if _, after, ok := strings.Cut(strings.TrimSuffix(strings.TrimSuffix(l.name, ".txt"), ".json"), "sanctioned_addresses_"); ok {
		ticker = strings.ToUpper(after)
	}
	id := "ofac-0xb10c"
	if ticker != "" {
		id += "-" + strings.ToLower(ticker)
	}
	l.from(attribute.Source{ID: text(id, 100), URI: "https://github.com/0xB10C/ofac-sanctioned-digital-currency-addresses", Licence: "US-Government-work"})
	l.Dated = true
	return l.eachAddress(r, func(where, address string) error {
		return l.sanction(where, address, address, ticker, listed, "", 0, 0)
	})
}

// readAddresses reads a list of addresses of which the caller says what they are.
func (l *lister) readAddresses(r io.Reader) error {
	category := attribute.ParseCategory(l.config.Category)
	l.Dated = category == attribute.Sanction || category == attribute.BlackList
	return l.eachAddress(r, func(where, address string) error {
		a, ok, err := l.account(where, address, "")
		if !ok || err != nil {
			return err
		}
		on := a.Chain()
		if strings.Count(address, ":") < 2 {
			on = chainNamed("")
		}
		return l.take(where, address, attribute.Label{Subject: subject(a, on, category), Name: l.config.Label, Category: category, Service: category.IsService()})
	})
}

// eachAddress visits the addresses of a list: one a line, with what follows "#" left out, or a JSON array of texts.
func (l *lister) eachAddress(r io.Reader, visit func(where, address string) error) error {
	in := bufio.NewReader(r)
	for {
		b, err := in.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if b == '[' {
			if err := in.UnreadByte(); err != nil {
				return err
			}
			return eachJSON(in, func(i int, raw json.RawMessage) error {
				var s string
				where := fmt.Sprintf("%s[%d]", l.name, i)
				if err := json.Unmarshal(raw, &s); err != nil {
					return l.refuse(where, string(raw), attribute.BadRow, "an element that is no text")
				}
				return visit(where, s)
			})
		}
		if b > ' ' && b != 0xef && b != 0xbb && b != 0xbf {
			if err := in.UnreadByte(); err != nil {
				return err
			}
			break
		}
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.Trim(line, " \t\r\",;"); line != "" {
			if err := visit(l.where(n), line); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return nil
}

// eachJSON visits the elements of a JSON array.
func eachJSON(r io.Reader, visit func(i int, raw json.RawMessage) error) error {
	d := json.NewDecoder(r)
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("%w: no JSON array: %v", ErrSchema, err)
	}
	for i := 0; d.More(); i++ {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return fmt.Errorf("element %d: %w: %w", i, ErrSchema, err)
		}
		if err := visit(i, raw); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("end of the array: %w: %w", ErrSchema, err)
	}
	return nil
}

// sdnDate is a day of the advanced list.
type sdnDate struct {
	Year  int `xml:"Year"`
	Month int `xml:"Month"`
	Day   int `xml:"Day"`
}

func (d sdnDate) seconds() int64 {
	if d.Year < 1970 || d.Year > 3000 {
		return 0
	}
	return time.Date(d.Year, time.Month(max(d.Month, 1)), max(d.Day, 1), 0, 0, 0, 0, time.UTC).Unix()
}

type sdnFeatureType struct {
	ID   string `xml:"ID,attr"`
	Name string `xml:",chardata"`
}

type sdnParty struct {
	ID       string `xml:"FixedRef,attr"`
	Profiles []struct {
		ID         string `xml:"ID,attr"`
		Identities []struct {
			Aliases []struct {
				Primary bool `xml:"Primary,attr"`
				Names   []struct {
					Parts []struct {
						Value string `xml:"NamePartValue"`
					} `xml:"DocumentedNamePart"`
				} `xml:"DocumentedName"`
			} `xml:"Alias"`
		} `xml:"Identity"`
		Features []struct {
			Type     string `xml:"FeatureTypeID,attr"`
			Versions []struct {
				Details []string `xml:"VersionDetail"`
			} `xml:"FeatureVersion"`
		} `xml:"Feature"`
	} `xml:"Profile"`
}

type sdnEntry struct {
	Profile string `xml:"ProfileID,attr"`
	Events  []struct {
		Date sdnDate `xml:"Date"`
	} `xml:"EntryEvent"`
	Measures []struct {
		Comment string `xml:"Comment"`
	} `xml:"SanctionsMeasure"`
}

// sdnAddress is an address that waits for the entry of its owner, which stands further below.
type sdnAddress struct{ where, profile, ticker, address, name, party string }

// readSDNAdvanced reads sdn_advanced.xml as it comes: types of features, then parties, then entries.
func (l *lister) readSDNAdvanced(r io.Reader) error {
	l.from(usGovernment("ofac-sdn"))
	l.Dated = true
	const mark = "Digital Currency Address - "
	d := xml.NewDecoder(r)
	types := map[string]string{} // ticker by type of feature
	var waiting []sdnAddress
	entries := map[string]sdnEntry{}
	depth := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("byte %d: %w: %w", d.InputOffset(), ErrSchema, err)
		}
		if _, end := token.(xml.EndElement); end {
			depth--
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if depth++; depth > 100 {
			return fmt.Errorf("byte %d: %w: nested too deep", d.InputOffset(), ErrSchema)
		}
		var into any
		var feature sdnFeatureType
		var party sdnParty
		var entry sdnEntry
		var issued sdnDate
		switch start.Name.Local {
		case "FeatureType":
			into = &feature
		case "DistinctParty":
			into = &party
		case "SanctionsEntry":
			into = &entry
		case "DateOfIssue":
			into = &issued
		default:
			continue
		}
		at := fmt.Sprintf("%s: byte %d", l.name, d.InputOffset())
		depth--
		if err := d.DecodeElement(into, &start); err != nil {
			return fmt.Errorf("byte %d: %w: %w", d.InputOffset(), ErrSchema, err)
		}
		switch into {
		case &feature:
			if ticker, ok := strings.CutPrefix(strings.TrimSpace(feature.Name), mark); ok {
				types[feature.ID] = ticker
			}
		case &issued:
			if l.Source.Date == 0 {
				l.Source.Date = issued.seconds()
			}
		case &entry:
			entries[entry.Profile] = entry
		case &party:
			found := partyAddresses(party, types, at)
			if len(found) == 0 {
				l.pass()
			}
			if waiting = append(waiting, found...); len(waiting) > l.config.MaxLabels {
				return fmt.Errorf("%s: %w: more than %d addresses", at, ErrSize, l.config.MaxLabels)
			}
		}
	}
	for _, w := range waiting {
		e := entries[w.profile]
		from := int64(0)
		for _, event := range e.Events {
			if s := event.Date.seconds(); s > 0 && (from == 0 || s < from) {
				from = s
			}
		}
		var programmes []string
		for _, m := range e.Measures {
			if c := strings.TrimSpace(m.Comment); c != "" {
				programmes = append(programmes, c)
			}
		}
		evidence := fmt.Sprintf("OFAC SDN %s: %s", w.party, strings.Join(programmes, ", "))
		if err := l.sanction(w.where, w.address, w.address, w.ticker, w.name, evidence, from, 0); err != nil {
			return err
		}
	}
	if len(types) == 0 && l.Rows > 0 {
		return fmt.Errorf("%w: no feature is a \"%s…\"", ErrSchema, strings.TrimSpace(mark))
	}
	return nil
}

func partyAddresses(p sdnParty, types map[string]string, where string) []sdnAddress {
	var out []sdnAddress
	for _, profile := range p.Profiles {
		name := ""
		for _, identity := range profile.Identities {
			for _, alias := range identity.Aliases {
				if len(alias.Names) == 0 || name != "" && !alias.Primary {
					continue
				}
				var parts []string
				for _, part := range alias.Names[0].Parts {
					parts = append(parts, strings.TrimSpace(part.Value))
				}
				name = strings.Join(parts, ", ")
			}
		}
		for _, feature := range profile.Features {
			ticker, ok := types[feature.Type]
			if !ok {
				continue
			}
			for _, version := range feature.Versions {
				for _, address := range version.Details {
					if address = strings.TrimSpace(address); address != "" {
						out = append(out, sdnAddress{where, profile.ID, ticker, address, name, p.ID})
					}
				}
			}
		}
	}
	return out
}
