package feed

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

// readSpoor reads labels as they were exported. Seen is not read: what counts is when they came to be known here.
func (l *lister) readSpoor(r io.Reader) error {
	return eachLine(r, func(n int, line []byte) error {
		var label attribute.Label
		d := json.NewDecoder(strings.NewReader(string(line)))
		d.DisallowUnknownFields()
		err := d.Decode(&label)
		switch where := l.where(n); {
		case errors.Is(err, flow.ErrChecksum):
			return l.refuse(where, string(line), attribute.BadChecksum, "%v", err)
		case errors.Is(err, flow.ErrAddress):
			return l.refuse(where, string(line), attribute.NotAddress, "%v", err)
		case err != nil:
			return l.refuse(where, string(line), attribute.BadRow, "%v", err)
		case label.Subject.IsZero():
			return l.refuse(where, string(line), attribute.BadRow, "no subject")
		default:
			l.from(label.Source)
			if id := label.Source.ID; id != "" && id != l.Source.ID && l.config.Source.ID == "" {
				return l.refuse(where, string(line), attribute.BadRow, "of source %.100q in a list of %q: export and import each source by itself, or name one with --source", id, l.Source.ID)
			}
			return l.take(where, string(line), label)
		}
	})
}

// eachLine visits the lines of a file that are not empty.
func eachLine(r io.Reader, visit func(n int, line []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 8<<20)
	for n := 1; lines.Scan(); n++ {
		if len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		if err := visit(n, lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return nil
}

// readEthLabels reads an array of {address, chainId, label, nameTag}.
func (l *lister) readEthLabels(r io.Reader) error {
	l.from(attribute.Source{ID: "eth-labels", URI: "https://github.com/dawsbot/eth-labels"})
	return eachJSON(r, func(i int, raw json.RawMessage) error {
		var a struct {
			Address string      `json:"address"`
			ChainID json.Number `json:"chainId"`
			Label   string      `json:"label"`
			NameTag string      `json:"nameTag"`
		}
		where := fmt.Sprintf("%s[%d]", l.name, i)
		if err := json.Unmarshal(raw, &a); err != nil {
			return l.refuse(where, string(raw), attribute.BadRow, "%v", err)
		}
		return l.takeExplorer(where, a.Address, a.Address, a.ChainID.String(), a.NameTag, []string{a.Label})
	})
}

// readEtherscanLabels reads an object of {name, labels} by address.
func (l *lister) readEtherscanLabels(r io.Reader) error {
	l.from(attribute.Source{ID: "etherscan-labels", URI: "https://github.com/brianleect/etherscan-labels"})
	return eachMember(r, func(address string, raw json.RawMessage) error {
		var a struct {
			Name   string   `json:"name"`
			Labels []string `json:"labels"`
		}
		if err := json.Unmarshal(raw, &a); err != nil {
			return l.refuse(l.name+": "+text(address, 100), string(raw), attribute.BadRow, "%v", err)
		}
		return l.takeExplorer(l.name+": "+text(address, 100), address, address, "ethereum", a.Name, a.Labels)
	})
}

// eachMember visits the members of a JSON object in their order.
func eachMember(r io.Reader, visit func(key string, raw json.RawMessage) error) error {
	d := json.NewDecoder(r)
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("%w: no JSON object: %v", ErrSchema, err)
	}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return fmt.Errorf("byte %d: %w: %v", d.InputOffset(), ErrSchema, err)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return fmt.Errorf("byte %d: %w: %w", d.InputOffset(), ErrSchema, err)
		}
		if err := visit(key, raw); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("end of the object: %w: %w", ErrSchema, err)
	}
	return nil
}

// readScamSniffer reads an array of addresses or of domains, or an object of addresses by domain.
func (l *lister) readScamSniffer(r io.Reader) error {
	id := "scamsniffer"
	for _, part := range []string{"address", "domains"} {
		if strings.HasPrefix(strings.ToLower(l.name), part) {
			id += "-" + part
		}
	}
	l.from(attribute.Source{ID: id, URI: "https://github.com/scamsniffer/scam-database", Licence: "GPL-3.0"})
	in := bufio.NewReader(r)
	head, err := in.Peek(1)
	for err == nil && head[0] <= ' ' {
		if _, err = in.Discard(1); err == nil {
			head, err = in.Peek(1)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: empty", ErrSchema)
	}
	if head[0] == '{' {
		return eachMember(in, func(domain string, raw json.RawMessage) error {
			var addresses []string
			where := l.name + ": " + text(domain, 100)
			if err := json.Unmarshal(raw, &addresses); err != nil {
				return l.refuse(where, string(raw), attribute.BadRow, "%v", err)
			}
			if len(addresses) == 0 {
				return l.takeScam(where, domain, domain, "", 0)
			}
			for _, a := range addresses {
				if err := l.takeScam(where, a, domain, a, 0); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return eachJSON(in, func(i int, raw json.RawMessage) error {
		var s string
		where := fmt.Sprintf("%s[%d]", l.name, i)
		if err := json.Unmarshal(raw, &s); err != nil {
			return l.refuse(where, string(raw), attribute.BadRow, "%v", err)
		}
		if strings.HasPrefix(strings.ToLower(s), "0x") || !strings.Contains(s, ".") {
			return l.takeScam(where, s, "", s, 0)
		}
		return l.takeScam(where, s, s, "", 0)
	})
}

// readGalaxy reads the actors of a cluster of the MISP galaxy. A synonym is a name that somebody uses for the actor and may be
// another's: it is as sure as a heuristic.
func (l *lister) readGalaxy(r io.Reader) error {
	var cluster struct {
		Name   string            `json:"name"`
		Type   string            `json:"type"`
		UUID   string            `json:"uuid"`
		Values []json.RawMessage `json:"values"`
	}
	if err := json.NewDecoder(&bounded{r: r, left: 256 << 20}).Decode(&cluster); err != nil {
		return fmt.Errorf("%w: %w", ErrSchema, err)
	}
	if cluster.Values == nil {
		return fmt.Errorf("%w: no values", ErrSchema)
	}
	l.from(attribute.Source{ID: text("misp-"+cluster.Type, 100), URI: "https://github.com/MISP/misp-galaxy", Licence: "CC0-1.0"})
	category := attribute.Category("x:threat_actor")
	if cluster.Type != "threat-actor" {
		category = attribute.ParseCategory("x:" + cluster.Type)
	}
	for i, raw := range cluster.Values {
		var v struct {
			Value string `json:"value"`
			UUID  string `json:"uuid"`
			Meta  struct {
				Refs     []string `json:"refs"`
				Synonyms []string `json:"synonyms"`
			} `json:"meta"`
		}
		where := fmt.Sprintf("%s: values[%d]", l.name, i)
		if err := json.Unmarshal(raw, &v); err != nil {
			if err := l.refuse(where, string(raw), attribute.BadRow, "%v", err); err != nil {
				return err
			}
			continue
		}
		main, err := attribute.OfActor(v.Value)
		if err != nil {
			if err := l.refuse(where, v.Value, attribute.BadRow, "%v", err); err != nil {
				return err
			}
			continue
		}
		evidence := ""
		if len(v.Meta.Refs) > 0 {
			evidence = v.Meta.Refs[0]
		}
		labels := []attribute.Label{{Subject: main, Name: v.Value, Actor: v.UUID, Category: category, Confidence: attribute.Forensic, Evidence: evidence}}
		for _, name := range v.Meta.Synonyms[:min(len(v.Meta.Synonyms), 200)] {
			if s, err := attribute.OfActor(name); err == nil && s != main {
				labels = append(labels, attribute.Label{Subject: s, Name: v.Value, Actor: v.UUID, Category: category, Confidence: attribute.Heuristic, Evidence: evidence})
			}
		}
		if err := l.take(where, v.Value, labels...); err != nil {
			return err
		}
	}
	return nil
}

// An entity is an entity of FollowTheMoney.
type entity struct {
	ID         string              `json:"id"`
	Caption    string              `json:"caption"`
	Schema     string              `json:"schema"`
	Properties map[string][]string `json:"properties"`
	Datasets   []string            `json:"datasets"`
	FirstSeen  string              `json:"first_seen"`
}

// holder is what is kept of an entity that may hold wallets.
type holder struct {
	name       string
	sanctioned bool
}

// readFtM reads the wallets of OpenSanctions, and the names of those who hold them, who may stand further below.
func (l *lister) readFtM(r io.Reader) error {
	l.from(attribute.Source{ID: "opensanctions", URI: "https://www.opensanctions.org/", Licence: "CC-BY-NC-4.0"})
	l.Dated = true
	type wallet struct {
		where string
		entity
	}
	var wallets []wallet
	holders := map[string]holder{}
	err := eachLine(r, func(n int, line []byte) error {
		var e entity
		if err := json.Unmarshal(line, &e); err != nil {
			return l.refuse(l.where(n), string(line), attribute.BadRow, "%v", err)
		}
		if e.Schema == "CryptoWallet" {
			if wallets = append(wallets, wallet{l.where(n), e}); len(wallets) > l.config.MaxLabels {
				return fmt.Errorf("%s: %w: more than %d wallets", l.where(n), ErrSize, l.config.MaxLabels)
			}
			return nil
		}
		l.pass()
		if e.ID != "" {
			name := e.Caption
			if name == "" && len(e.Properties["name"]) > 0 {
				name = e.Properties["name"][0]
			}
			holders[e.ID] = holder{text(name, 200), says(e.Properties["topics"], "sanction")}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, w := range wallets {
		addresses, currency := w.Properties["publicKey"], ""
		if len(w.Properties["currency"]) > 0 {
			currency = w.Properties["currency"][0]
		}
		if len(addresses) == 0 {
			if err := l.refuse(w.where, w.ID, attribute.BadRow, "a wallet without publicKey"); err != nil {
				return err
			}
			continue
		}
		topics := w.Properties["topics"]
		category, name := attribute.Category(""), text(w.Caption, 200)
		for _, id := range w.Properties["holder"] {
			if h, ok := holders[id]; ok {
				name = h.name
				if h.sanctioned {
					category = attribute.Sanction
				}
			}
		}
		switch {
		case says(topics, "sanction"):
			category = attribute.Sanction
		case category == "" && says(topics, "crime.theft"):
			category = "x:stolen_funds"
		case category == "" && says(topics, "crime"):
			category = "abuse"
		}
		from, _ := day(w.FirstSeen)
		for _, address := range addresses {
			a, ok, err := l.account(w.where, address, currency)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			err = l.take(w.where, address, attribute.Label{Subject: attribute.OfAnyEVM(a), Name: name, Actor: w.ID, Category: category,
				Confidence: attribute.AuthorityData, Evidence: "OpenSanctions " + w.ID + ": " + strings.Join(w.Datasets, ", "), ValidFrom: from})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// says reports whether one of the topics is this one or a kind of it.
func says(topics []string, topic string) bool {
	for _, t := range topics {
		if t == topic || strings.HasPrefix(t, topic+".") {
			return true
		}
	}
	return false
}
