package feed

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

// A row is one row of a table, whose fields are found by the names of their columns.
type row struct {
	where  string
	column map[string]int
	fields []string
}

// of is the field of the first of these columns that the table has and the row fills.
func (r row) of(names ...string) string {
	for _, n := range names {
		if i, ok := r.column[n]; ok && i < len(r.fields) {
			if s := strings.TrimSpace(r.fields[i]); s != "" {
				return s
			}
		}
	}
	return ""
}

func (r row) text() string { return strings.Join(r.fields, ",") }

// A shape is a table that is known by its columns.
type shape struct {
	columns string // all must be there
	source  attribute.Source
	read    func(*lister, row) error
}

// shapes are the tables that are known. The first whose columns are all there is taken.
var shapes = []shape{
	{columns: "address tickers first_seen delisted_on entity programs", source: usGovernment("ofac-sdn"), read: (*lister).sdnHistoryRow},
	{columns: "observed_date event address ticker", source: usGovernment("ofac-sdn-events"), read: (*lister).listingEventRow},
	{columns: "pack address label category abuse confidence", source: attribute.Source{ID: "graphsense-tagpacks", Licence: "MIT"}, read: (*lister).flatTagRow},
	{columns: "explorer address label nametag", source: attribute.Source{ID: "eth-labels"}, read: (*lister).explorerRow},
	{columns: "chain address name labels", source: attribute.Source{ID: "etherscan-labels"}, read: (*lister).explorerRow},
	{columns: "banned_address wallet_tag", source: attribute.Source{ID: "forta-malicious", Licence: "MIT"}, read: (*lister).fortaRow},
	{columns: "contract_address contract_tag", source: attribute.Source{ID: "forta-contracts", Licence: "MIT"}, read: (*lister).fortaRow},
	{columns: "address etherscan_tag etherscan_labels", source: attribute.Source{ID: "forta-phishing", Licence: "MIT"}, read: (*lister).fortaRow},
	{columns: "model address fields", source: attribute.Source{ID: "dune-spellbook", URI: "https://github.com/duneanalytics/spellbook", Licence: "MIT"}, read: (*lister).spellbookRow},
	{columns: "domain address", source: attribute.Source{ID: "scamsniffer", Licence: "GPL-3.0"}, read: (*lister).scamRow},
	{columns: "first_seen address", source: attribute.Source{ID: "scamsniffer-addresses", Licence: "GPL-3.0"}, read: (*lister).scamRow},
	{columns: "first_seen domain", source: attribute.Source{ID: "scamsniffer-domains", Licence: "GPL-3.0"}, read: (*lister).scamRow},
	{columns: "first_month domain", source: attribute.Source{ID: "polkadot-phishing", Licence: "Apache-2.0"}, read: (*lister).scamRow},
	{columns: "address", read: (*lister).plainRow},
}

func usGovernment(id string) attribute.Source {
	return attribute.Source{ID: id, URI: "https://sanctionslist.ofac.treas.gov/", Licence: "US-Government-work"}
}

func tableOf(columns map[string]int) (shape, bool) {
	for _, s := range shapes {
		all := true
		for c := range strings.FieldsSeq(s.columns) {
			_, ok := columns[c]
			all = all && ok
		}
		if all {
			return s, true
		}
	}
	return shape{}, false
}

// maxRow bounds a row, in bytes: a longer one is a quote that does not end.
const maxRow = 4 << 20

func (l *lister) readTable(r io.Reader) error {
	in := &bounded{r: r, left: maxRow}
	rows := csv.NewReader(in)
	rows.FieldsPerRecord = -1
	rows.ReuseRecord = true
	head, err := rows.Read()
	if err != nil {
		return fmt.Errorf("header: %w: %w", ErrSchema, err)
	}
	columns := map[string]int{}
	for i, h := range head {
		h = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))
		if _, twice := columns[h]; twice && h != "" {
			return fmt.Errorf("header: %w: column %.60q stands twice", ErrSchema, h)
		}
		columns[h] = i
	}
	table, ok := tableOf(columns)
	if !ok {
		return fmt.Errorf("header: %w: no column \"address\", nor the columns of a list that is known", ErrSchema)
	}
	l.from(table.source)
	return l.eachRow(rows, in, func(line int, fields []string) error {
		return table.read(l, row{l.where(line), columns, fields})
	})
}

// eachRow visits the rows of a table; one that is no CSV is refused.
func (l *lister) eachRow(rows *csv.Reader, in *bounded, visit func(line int, fields []string) error) error {
	for {
		in.left = maxRow
		fields, err := rows.Read()
		var broken *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &broken) && broken.Line == broken.StartLine:
			if err := l.refuse(l.where(broken.Line), "", attribute.BadRow, "%v", broken.Err); err != nil {
				return err
			}
			continue
		case errors.As(err, &broken):
			return fmt.Errorf("line %d: %w: a quote that begins here and does not end", broken.StartLine, ErrSchema)
		case err != nil:
			return err
		}
		line, _ := rows.FieldPos(0)
		if err := visit(line, fields); err != nil {
			return err
		}
	}
}

// plainRow reads address,label,category,is_service and what else a table of no known list may have: chain or network, currency,
// actor, confidence, source, valid_from, valid_to.
func (l *lister) plainRow(r row) error {
	a, ok, err := l.account(r.where, r.of("address"), r.of("currency", "ticker"))
	if !ok || err != nil {
		return err
	}
	category := attribute.ParseCategory(r.of("category", "type", "label_type"))
	if category == "" {
		category = attribute.ParseCategory(l.config.Category)
	}
	service := category.IsService()
	if s := r.of("is_service", "service"); s != "" {
		if service, ok = yes(s); !ok {
			return l.refuse(r.where, r.text(), attribute.BadRow, "is_service %.40q: it is 1 or 0", s)
		}
	} else if _, there := r.column["is_service"]; there {
		service = false
	}
	confidence, err := attribute.ParseConfidence(r.of("confidence"))
	if err != nil {
		return l.refuse(r.where, r.text(), attribute.BadRow, "%v", err)
	}
	from, ok1 := day(r.of("valid_from"))
	to, ok2 := day(r.of("valid_to"))
	published, ok3 := day(r.of("published"))
	if !ok1 || !ok2 || !ok3 {
		return l.refuse(r.where, r.text(), attribute.BadRow, "a date that is none: write YYYY-MM-DD")
	}
	on := chainNamed(r.of("chain", "network"))
	if parts := strings.Split(r.of("address"), ":"); len(parts) == 3 {
		on = a.Chain()
	}
	label := attribute.Label{
		Subject: subject(a, on, category), Name: r.of("label", "name", "nametag"), Actor: r.of("actor"), Category: category, Service: service,
		Confidence: confidence, ValidFrom: from, ValidTo: to, Evidence: r.of("evidence", "url"), Source: attribute.Source{URI: text(r.of("source"), maxText)},
	}
	if label.Name == "" {
		label.Name = l.config.Label
	}
	if published > l.Source.Date && l.config.Source.Date == 0 {
		l.Source.Date = published
	}
	return l.take(r.where, r.text(), label)
}

func yes(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "1", "true", "t", "yes", "y":
		return true, true
	case "0", "false", "f", "no", "n":
		return false, true
	}
	return false, false
}

// flatTagRow reads a tag of TagPacks that were flattened to a table.
func (l *lister) flatTagRow(r row) error {
	return l.takeTag(r.where, r.text(), tag{
		Address: r.of("address"), Currency: r.of("currency"), Network: r.of("network"), Label: r.of("label"), Source: r.of("source"),
		Category: r.of("category"), Abuse: r.of("abuse"), Actor: r.of("actor"), Confidence: r.of("confidence"), LastMod: r.of("lastmod"),
	}, text(r.of("pack"), 200))
}

// explorerRow reads a name tag of a block explorer, with its labels.
func (l *lister) explorerRow(r row) error {
	return l.takeExplorer(r.where, r.text(), r.of("address"), r.of("explorer", "chain"), r.of("nametag", "name"), strings.FieldsFunc(r.of("labels", "label"), func(c rune) bool { return c == ';' }))
}

// takeExplorer files a name tag. Copies of sanctions lists in explorers do not follow delistings: they are crawled, and as sure as that.
func (l *lister) takeExplorer(where, what, address, on, name string, labels []string) error {
	a, ok, err := l.account(where, address, "")
	if !ok || err != nil {
		return err
	}
	var category attribute.Category
	actor := ""
	for _, s := range labels {
		c := attribute.ParseCategory(s)
		switch {
		case strings.HasPrefix(string(c), "x:") && !c.IsIllicit():
			if actor == "" {
				actor = s
			}
			if category == "" {
				category = c
			}
		case category == "" || strings.HasPrefix(string(category), "x:") || c.IsIllicit():
			category = c
		}
	}
	if name == "" {
		name = strings.Join(labels, ", ")
	}
	return l.take(where, what, attribute.Label{Subject: subject(a, chainNamed(on), category), Name: name, Actor: actor, Category: category,
		Service: category.IsService(), Confidence: attribute.WebCrawl})
}

// fortaRow reads the lists of malicious accounts of forta-network/labelled-datasets.
func (l *lister) fortaRow(r row) error {
	a, ok, err := l.account(r.where, r.of("banned_address", "contract_address", "address"), "")
	if !ok || err != nil {
		return err
	}
	name := r.of("wallet_tag", "contract_tag", "etherscan_tag")
	said := strings.ToLower(r.of("data_source", "etherscan_labels", "contract_creator_etherscan_label") + " " + name)
	category := attribute.Category("abuse")
	for _, known := range []struct {
		word string
		is   attribute.Category
	}{{"phish", attribute.Phishing}, {"exploit", attribute.Exploit}, {"heist", attribute.Hack}, {"hack", attribute.Hack}, {"scam", attribute.Scam}} {
		if strings.Contains(said, known.word) {
			category = known.is
			break
		}
	}
	if name == "" {
		name = r.of("contract_creator_tag", "notes")
	}
	return l.take(r.where, r.text(), attribute.Label{Subject: attribute.OfAnyEVM(a), Name: name, Category: category, Confidence: attribute.WebCrawl,
		Evidence: r.of("contract_creation_tx", "source", "data_source")})
}

// spellbookRow reads labels of Dune's spellbook, whose last column depends on the model that they come from.
func (l *lister) spellbookRow(r row) error {
	a, ok, err := l.account(r.where, r.of("address"), "")
	if !ok || err != nil {
		return err
	}
	model := r.of("model")
	fields := strings.Split(r.of("fields"), "|")
	var category attribute.Category
	for _, known := range []struct {
		word string
		is   attribute.Category
	}{{"_cex", attribute.Exchange}, {"ofac", attribute.Sanction}, {"hackers", attribute.Hack}, {"bridges", attribute.Bridge}, {"funds", "x:fund"}} {
		if strings.Contains(model, known.word) {
			category = known.is
		}
	}
	if category == "" {
		return l.refuse(r.where, r.text(), attribute.BadRow, "model %.60q: not known", model)
	}
	name, actor := "", ""
	on := flow.Chain{}
	if strings.HasPrefix(model, "labels_") && len(fields) >= 2 {
		on, name = chainNamed(fields[0]), fields[1]
		actor, _, _ = strings.Cut(name, ":")
	} else {
		actor, name = fields[0], fields[0]
		if len(fields) > 1 {
			name = fields[0] + ": " + strings.TrimPrefix(fields[1], fields[0]+": ")
			if strings.HasPrefix(fields[1], fields[0]) {
				name = fields[1]
			}
		}
		if parts := strings.Split(model, "_"); len(parts) > 1 {
			on = chainNamed(parts[1])
		}
	}
	return l.take(r.where, r.text(), attribute.Label{Subject: subject(a, on, category), Name: name, Actor: actor, Category: category,
		Service: category.IsService(), Confidence: attribute.WebCrawl, Evidence: "model " + model})
}

// scamRow reads domains and addresses of scams, each with the day on which it was first seen, or with each other.
func (l *lister) scamRow(r row) error {
	from := r.of("first_seen", "first_month")
	if len(from) == len("2006-01") {
		from += "-01"
	}
	since, ok := day(from)
	if !ok {
		return l.refuse(r.where, r.text(), attribute.BadRow, "first seen on %.40q, which is no day", from)
	}
	return l.takeScam(r.where, r.text(), r.of("domain"), r.of("address"), since)
}

// takeScam files a domain, an address that its visitors were to pay, or both.
func (l *lister) takeScam(where, what, domain, address string, since int64) error {
	var labels []attribute.Label
	if address != "" {
		a, ok, err := l.account(where, address, "")
		if !ok || err != nil {
			return err
		}
		labels = append(labels, attribute.Label{Subject: attribute.OfAnyEVM(a), Name: "scam address", Category: attribute.Phishing, Evidence: domain})
	}
	if domain != "" && address == "" {
		s, err := attribute.ParseDomain(domain)
		if err != nil {
			return l.refuse(where, what, attribute.BadRow, "%v", err)
		}
		labels = append(labels, attribute.Label{Subject: s, Name: "scam domain", Category: attribute.Phishing})
	}
	if len(labels) == 0 {
		return l.refuse(where, what, attribute.BadRow, "neither a domain nor an address")
	}
	for i := range labels {
		labels[i].Confidence, labels[i].ValidFrom = attribute.TrustedProvider, since
	}
	return l.take(where, what, labels...)
}
