package feed

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/spoor-dev/spoor/attribute"
)

// A tag is one tag of a TagPack. What a tag does not say the header of the pack says for all.
type tag struct {
	Address    string   `yaml:"address"`
	TxHash     string   `yaml:"tx_hash"`
	Currency   string   `yaml:"currency"`
	Network    string   `yaml:"network"`
	Label      string   `yaml:"label"`
	Source     string   `yaml:"source"`
	Category   string   `yaml:"category"`
	Abuse      string   `yaml:"abuse"`
	Concepts   []string `yaml:"concepts"`
	Actor      string   `yaml:"actor"`
	Confidence string   `yaml:"confidence"`
	TagType    string   `yaml:"tag_type"`
	LastMod    string   `yaml:"lastmod"`
}

// inherit fills what the tag does not say from the header.
func (t *tag) inherit(h tag) {
	for _, f := range []struct{ own, header *string }{
		{&t.Currency, &h.Currency}, {&t.Network, &h.Network}, {&t.Label, &h.Label}, {&t.Source, &h.Source}, {&t.Category, &h.Category},
		{&t.Abuse, &h.Abuse}, {&t.Actor, &h.Actor}, {&t.Confidence, &h.Confidence}, {&t.TagType, &h.TagType}, {&t.LastMod, &h.LastMod},
	} {
		if *f.own == "" {
			*f.own = *f.header
		}
	}
	if t.Concepts == nil {
		t.Concepts = h.Concepts
	}
}

// maxPack bounds a TagPack, which is held as a tree while it is read.
const maxPack = 64 << 20

// readTagPack reads a TagPack. A tag whose shape is wrong is refused, and so is one that names what is on no scale.
func (l *lister) readTagPack(r io.Reader) error {
	data, err := io.ReadAll(&bounded{r: r, left: maxPack})
	if err != nil {
		return err
	}
	var pack struct {
		tag   `yaml:",inline"`
		Title string    `yaml:"title"`
		URI   string    `yaml:"uri"`
		Tags  yaml.Node `yaml:"tags"`
	}
	var broken *yaml.TypeError
	if err := yaml.Unmarshal(data, &pack); err != nil && !errors.As(err, &broken) {
		return fmt.Errorf("%w: %w", ErrSchema, err)
	} else if err != nil {
		return fmt.Errorf("header: %w: %s", ErrSchema, strings.Join(broken.Errors, "; "))
	}
	if pack.Tags.Kind != yaml.SequenceNode {
		return fmt.Errorf("%w: no list of tags", ErrSchema)
	}
	id := idOf(l.name)
	date, _ := day(pack.LastMod)
	l.from(attribute.Source{ID: text("tagpack-"+id, 100), URI: pack.URI, Date: date})
	for _, node := range pack.Tags.Content {
		where := l.where(node.Line)
		var t tag
		if err := node.Decode(&t); err != nil {
			if err := l.refuse(where, node.Value, attribute.BadRow, "%v", err); err != nil {
				return err
			}
			continue
		}
		t.inherit(pack.tag)
		if err := l.takeTag(where, t.Address, t, ""); err != nil {
			return err
		}
	}
	return nil
}

// takeTag files a tag. One that names a category and an abuse gives a label for each. pack is where it comes from, if not
// from this file.
func (l *lister) takeTag(where, what string, t tag, pack string) error {
	if t.Address == "" && t.TxHash != "" { // of a transaction: nobody
		l.pass()
		return nil
	}
	confidence, err := attribute.ParseConfidence(t.Confidence)
	if err != nil {
		return l.refuse(where, what, attribute.BadRow, "%v", err)
	}
	if _, ok := day(t.LastMod); !ok && len(t.LastMod) > 40 {
		return l.refuse(where, what, attribute.BadRow, "lastmod %.40q is no day", t.LastMod)
	}
	a, ok, err := l.account(where, t.Address, t.Currency)
	if !ok || err != nil {
		return err
	}
	var categories []attribute.Category
	add := func(s string) {
		if c := attribute.ParseCategory(s); c != "" {
			for _, have := range categories {
				if have == c {
					return
				}
			}
			categories = append(categories, c)
		}
	}
	if strings.EqualFold(t.TagType, "mention") { // to be spoken of is not to own
		add("mention")
	} else {
		add(t.Category)
		add(t.Abuse)
		for _, c := range t.Concepts[:min(len(t.Concepts), 20)] {
			add(c)
		}
	}
	if categories == nil {
		categories = []attribute.Category{""}
	}
	on := t.Network
	if on == "" {
		on = t.Currency
	}
	var labels []attribute.Label
	for _, c := range categories {
		labels = append(labels, attribute.Label{Subject: subject(a, chainNamed(on), c), Name: t.Label, Actor: t.Actor, Category: c,
			Service: c.IsService(), Confidence: confidence, Evidence: t.Source, Source: attribute.Source{URI: pack}})
	}
	return l.take(where, what, labels...)
}
