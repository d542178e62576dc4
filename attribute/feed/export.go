package feed

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

// Exports are the formats that Write writes, with what each loses.
var Exports = []struct{ Name, Writes string }{
	{"spoor", "one JSON object a line; nothing is lost"},
	{"csv", "address,label,category,is_service,actor,confidence,source,evidence,valid_from,valid_to; accounts only"},
	{"tagpack", "a GraphSense TagPack; accounts of assertions only, without times"},
}

// Write writes labels in one of Exports. left counts labels that the format cannot hold. title names the list.
func Write(w io.Writer, format, title string, labels iter.Seq[attribute.Label]) (written, left int, err error) {
	switch format {
	case "spoor":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		for l := range labels {
			if err := e.Encode(l); err != nil {
				return written, left, err
			}
			written++
		}
		return written, left, nil
	case "csv":
		return writeTable(w, labels)
	case "tagpack":
		return writeTagPack(w, title, labels)
	}
	return 0, 0, fmt.Errorf("format %.60q: %w", format, ErrFormat)
}

// spelling is the address of a label: CAIP-10 where it is of one EVM chain, else as its chain writes it. ok is false for what is no account.
func spelling(s attribute.Subject) (flow.Account, string, bool) {
	a, ok := s.Account()
	if !ok {
		return a, "", false
	}
	if s.Kind() == attribute.KindAccount && a.Chain().IsEVM() {
		return a, a.String(), true
	}
	return a, a.Address(), true
}

func writeTable(w io.Writer, labels iter.Seq[attribute.Label]) (written, left int, err error) {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"address", "label", "category", "is_service", "actor", "confidence", "source", "evidence", "valid_from", "valid_to"}); err != nil {
		return 0, 0, err
	}
	for l := range labels {
		_, address, ok := spelling(l.Subject)
		if !ok || l.Stance != attribute.Asserts {
			left++
			continue
		}
		row := []string{address, l.Name, string(l.Category), map[bool]string{true: "1", false: "0"}[l.Service], l.Actor, l.Confidence.String(), l.Source.ID, l.Evidence, moment(l.ValidFrom), moment(l.ValidTo)}
		if err := out.Write(row); err != nil {
			return written, left, err
		}
		written++
	}
	out.Flush()
	return written, left, out.Error()
}

// moment is a time for tables, empty where there is none.
func moment(t int64) string {
	if t == 0 {
		return ""
	}
	if t%86400 == 0 {
		return time.Unix(t, 0).UTC().Format(time.DateOnly)
	}
	return time.Unix(t, 0).UTC().Format(time.RFC3339)
}

// currencies are what TagPacks call the coins of chains.
var currencies = map[string]string{
	flow.Bitcoin.String(): "BTC", flow.Tron.String(): "TRX", "bip122:12a765e31ffd4059bada1e25190f6e98": "LTC", cash: "BCH",
	"bip122:00040fe8ec8471911baa1db1266ea15d": "ZEC", "bip122:00000ffd590b1485b3caadc19b22e637": "DASH", "xrpl:0": "XRP",
	"bip122:1a91e3dace36e2be3bf030a65679fe82": "DOGE", "monero:418015bb9ae982a1975da7d79277c270": "XMR", "slip44:156": "BTG",
	"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp": "SOL",
}

// exportTag is a tag in the order in which packs are written.
type exportTag struct {
	Address    string `yaml:"address"`
	Currency   string `yaml:"currency"`
	Network    string `yaml:"network"`
	Label      string `yaml:"label"`
	Source     string `yaml:"source"`
	Category   string `yaml:"category,omitempty"`
	Abuse      string `yaml:"abuse,omitempty"`
	Actor      string `yaml:"actor,omitempty"`
	Confidence string `yaml:"confidence"`
}

func writeTagPack(w io.Writer, title string, labels iter.Seq[attribute.Label]) (written, left int, err error) {
	if _, err := fmt.Fprintf(w, "title: %s\ncreator: Spoor\ntags:\n", strconv.Quote(title)); err != nil {
		return 0, 0, err
	}
	for l := range labels {
		a, ok := l.Subject.Account()
		if !ok || l.Stance != attribute.Asserts || l.ValidTo != 0 {
			left++
			continue
		}
		currency, ok := currencies[a.Chain().String()]
		if !ok {
			currency = "ETH"
		}
		network := currency
		if a.Chain().IsEVM() && a.Chain() != flow.Ethereum {
			network = a.Chain().String()
		}
		t := exportTag{Address: a.Address(), Currency: currency, Network: network, Label: l.Name, Source: l.Evidence, Actor: l.Actor, Confidence: l.Confidence.String()}
		if t.Source == "" {
			t.Source = l.Source.ID
		}
		if l.Category.IsIllicit() {
			t.Abuse = string(l.Category)
		} else {
			t.Category = string(l.Category)
		}
		text, err := yaml.Marshal([]exportTag{t})
		if err != nil {
			return written, left, err
		}
		if _, err := w.Write(text); err != nil {
			return written, left, err
		}
		written++
	}
	if written == 0 {
		_, err = io.WriteString(w, "  []\n")
	}
	return written, left, err
}
