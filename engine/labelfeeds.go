package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/feed"
	"github.com/spoor-dev/spoor/internal/fetch"
)

// A LabelFeed is a list that was taken in and has an address on the web: how to read it again, and which state of it is known.
type LabelFeed struct {
	Source     attribute.Source `json:"source"` // its Date is not kept: the list says it, or nobody does
	Format     string           `json:"format,omitempty"`
	Name       string           `json:"name,omitempty"`
	Category   string           `json:"category,omitempty"`
	Confidence string           `json:"confidence,omitempty"`
	ETag       string           `json:"etag,omitempty"`     // of the answer that was taken in last
	Modified   string           `json:"modified,omitempty"` // likewise, its Last-Modified
}

// OnTheWeb reports whether the list can be fetched.
func (f LabelFeed) OnTheWeb() bool {
	u, err := url.Parse(f.Source.URI)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}

// FeedOf is a list that was read in this way.
func FeedOf(l *attribute.Listing, c feed.Config) LabelFeed {
	source := l.Source
	source.Date = 0
	return LabelFeed{Source: source, Format: c.Format, Name: c.Label, Category: c.Category, Confidence: c.Confidence}
}

// LabelFeeds are the lists of a label folder by the ids of their sources.
type LabelFeeds map[string]LabelFeed

// feedsFile is where the lists of a label folder are noted.
func feedsFile(labels string) string { return filepath.Join(labels, "feeds.json") }

// maxFeeds bounds the note, in bytes.
const maxFeeds = 4 << 20

// ReadLabelFeeds reads which lists of a label folder can be fetched; none where nothing was noted.
func ReadLabelFeeds(labels string) (LabelFeeds, error) {
	f, err := os.Open(feedsFile(labels))
	if errors.Is(err, fs.ErrNotExist) {
		return LabelFeeds{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := LabelFeeds{}
	text, err := io.ReadAll(io.LimitReader(f, maxFeeds+1))
	if err == nil && len(text) > maxFeeds {
		err = fmt.Errorf("more than %d bytes", maxFeeds)
	}
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return all, nil
}

// Write replaces the note of a label folder.
func (all LabelFeeds) Write(labels string) error {
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	name := feedsFile(labels)
	if err := os.WriteFile(name+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// ErrFetch is returned for a list that could not be fetched.
var ErrFetch = errors.New("the list could not be fetched")

// maxFetched bounds a list that is fetched, in bytes.
const maxFetched = 256 << 20

// FetchLabels fetches a list, unless the server says that it is the one that is known: then the listing is nil. The feed that
// is returned is to be noted once the listing is stored. Errors: ErrFetch, and those of feed.Read.
func FetchLabels(ctx context.Context, by *fetch.Client, f LabelFeed) (*attribute.Listing, LabelFeed, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Source.URI, nil)
	if err != nil {
		return nil, f, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	if f.ETag != "" {
		r.Header.Set("If-None-Match", f.ETag)
	}
	if f.Modified != "" {
		r.Header.Set("If-Modified-Since", f.Modified)
	}
	a, err := by.DoMost(ctx, r, maxFetched)
	switch {
	case err != nil:
		return nil, f, fmt.Errorf("%w: %w", ErrFetch, err)
	case a.Status == http.StatusNotModified:
		return nil, f, nil
	case a.Status != http.StatusOK:
		return nil, f, fmt.Errorf("%w: %s answers with status %d", ErrFetch, r.URL.Host, a.Status)
	}
	name := path.Base(r.URL.Path)
	if name == "/" || name == "." {
		name = "list"
	}
	l, err := feed.Read(strings.ToValidUTF8(name, "_"), bytes.NewReader(a.Body), feed.Config{Format: f.Format, Source: f.Source, Label: f.Name, Category: f.Category, Confidence: f.Confidence})
	if err != nil {
		return nil, f, err
	}
	f.ETag, f.Modified = header(a, "ETag"), header(a, "Last-Modified")
	return l, f, nil
}

// header is a short header of an answer, "" where it is long.
func header(a fetch.Answer, name string) string {
	if v := a.Header.Get(name); len(v) <= 200 {
		return v
	}
	return ""
}
