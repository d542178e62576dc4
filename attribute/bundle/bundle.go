// Package bundle is the labels that ship inside the program.
package bundle

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/feed"
)

//go:embed data
var files embed.FS

// A list is a file of the bundle with what it does not say itself. Provenance and licences are in README.md beside it.
type list struct {
	file, format, day string // of the list
	config            feed.Config
}

const (
	graphsense = "https://github.com/graphsense/graphsense-tagpacks"
	packsTaken = "2026-05-12" // the day of the commit that the packs are from
)

func pack(name string) list {
	return list{name + ".yaml", "tagpack", packsTaken, feed.Config{Source: attribute.Source{ID: "tagpack-" + name, URI: graphsense, Licence: "MIT"}}}
}

// lists are the files, the sanctions first.
var lists = []list{
	{"ofac.csv", "csv", "2025-01-31", feed.Config{Source: attribute.Source{ID: "ofac-sdn", URI: "https://sanctionslist.ofac.treas.gov/", Licence: "US-Government-work"}}},
	{"fbi.csv", "csv", "2023-08-22", feed.Config{Category: "x:stolen_funds", Confidence: "authority_data",
		Source: attribute.Source{ID: "fbi", URI: "https://www.fbi.gov/news/press-releases/fbi-identifies-cryptocurrency-funds-stolen-by-dprk", Licence: "US-Government-work"}}},
	{"spellbook.csv", "csv", "2023-05-30", feed.Config{Source: attribute.Source{ID: "dune-spellbook", URI: "https://github.com/duneanalytics/spellbook", Licence: "MIT"}}},
	pack("tornado_cash"), pack("blender_io"), pack("sinbad_io"), pack("wasabi_collector"), pack("mixing_fc2021"),
	pack("hacks"), pack("lazarus"), pack("lazarus2"), pack("ronin_bridge"), pack("binance_hack"), pack("exchange-wallets-bybit"),
}

// Listings reads the lists of the bundle.
func Listings() ([]*attribute.Listing, error) {
	var all []*attribute.Listing
	for _, l := range lists {
		listing, err := l.read()
		if err != nil {
			return nil, fmt.Errorf("labels that ship inside: %w", err)
		}
		all = append(all, listing)
	}
	return all, nil
}

func (l list) read() (*attribute.Listing, error) {
	data, err := files.ReadFile("data/" + l.file + ".gz")
	if err != nil {
		return nil, err
	}
	plain, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.file, err)
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.file, err)
	}
	date, err := time.Parse(time.DateOnly, l.day)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.file, err)
	}
	c := l.config
	c.Format, c.Source.Date = l.format, date.Unix()
	return feed.Read(l.file, bytes.NewReader(text), c)
}

// Book is the labels of the bundle, each known since the date of its list.
func Book() (*attribute.Book, error) {
	all, err := Listings()
	if err != nil {
		return nil, err
	}
	var labels []attribute.Label
	for _, l := range all {
		p, err := attribute.MakePlan(nil, l, l.Source.Date)
		if err != nil {
			return nil, fmt.Errorf("labels that ship inside: %w", err)
		}
		labels = append(labels, p.New...)
	}
	return attribute.NewBook(labels)
}

// SanctionsDate is the date of the list of sanctions in the bundle, in seconds since 1970 UTC: how old the bundle is where it matters.
func SanctionsDate() (int64, error) {
	i := slices.IndexFunc(lists, func(l list) bool { return l.config.Source.ID == "ofac-sdn" })
	t, err := time.Parse(time.DateOnly, lists[i].day)
	return t.Unix(), err
}
