package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/bundle"
	"github.com/spoor-dev/spoor/attribute/feed"
	"github.com/spoor-dev/spoor/attribute/labelstore"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/packed"
	"github.com/spoor-dev/spoor/store"
)

// LabelFolder is where the labels of a store lie.
func LabelFolder(storeDir string) string { return filepath.Join(storeDir, "labels") }

// A LabelBook is all labels at hand, and where they are from.
type LabelBook struct {
	*attribute.Book
	Shipped   bool  // they are those that ship inside the program: nobody has imported any
	Sanctions int64 // of those that ship inside: the date of the list of sanctions, in seconds since 1970 UTC
}

// ReadLabelBook reads the labels of a folder; those that ship inside the program if the folder holds none.
func ReadLabelBook(dir string) (LabelBook, error) {
	book, err := labelstore.ReadBook(dir)
	if err == nil || !errors.Is(err, labelstore.ErrAbsent) {
		return LabelBook{Book: book}, err
	}
	if book, err = bundle.Book(); err != nil {
		return LabelBook{}, err
	}
	date, err := bundle.SanctionsDate()
	return LabelBook{Book: book, Shipped: true, Sanctions: date}, err
}

// UseBook makes the labels of a book count as they were known and held at a moment, wherever no list that was read says
// something of an account. Of several labels of an account that of a service counts, then the surest.
func (l *Labels) UseBook(b *attribute.Book, at int64) {
	l.book, l.at, l.inBook = b, at, 0
	last := attribute.Subject{}
	service := false
	h := sha256.New()
	var row []byte
	for label := range b.InForce(at, at) {
		if _, isAccount := label.Subject.Account(); !isAccount || label.Stance != attribute.Asserts {
			continue
		}
		if label.Subject != last {
			last, service = label.Subject, false
			l.inBook++
		}
		if label.Service && !service {
			service = true
			l.services++
		}
		row, _ = label.Subject.AppendBinary(row[:0]) // an account has a stored form
		row = fmt.Appendf(row, " %q %q %q %q %t %d\n", label.Name, label.Actor, label.Category, label.Source.ID, label.Service, label.Confidence)
		h.Write(row)
	}
	l.bookHash = flow.Hash(h.Sum(nil))
}

// ofBook is the one of these labels that a trace shows and ends by; ok is false where nobody asserts anything.
func ofBook(labels []attribute.Label) (l Label, ok bool) {
	labels = slices.DeleteFunc(labels, func(l attribute.Label) bool { return l.Stance != attribute.Asserts })
	if len(labels) == 0 {
		return l, false
	}
	best := slices.MinFunc(labels, func(a, b attribute.Label) int {
		if a.Service != b.Service {
			if a.Service {
				return -1
			}
			return 1
		}
		return cmp.Or(-cmp.Compare(a.Confidence.Level(), b.Confidence.Level()), a.Compare(b))
	})
	name := best.Name
	if name == "" {
		name = cmp.Or(best.Actor, string(best.Category), best.Source.ID)
	}
	return Label{Name: name, Category: string(best.Category), Service: best.Service, Source: best.Source.ID}, true
}

// ReadLabelList reads a list of labels from a file, which may be compressed; "-" is in. Errors: those of feed.Read.
func ReadLabelList(path string, in io.Reader, c feed.Config) (*attribute.Listing, error) {
	if path == "-" {
		return feed.Read("standard-input", in, c)
	}
	f, err := packed.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return feed.Read(plainName(filepath.Base(path)), f, c)
}

// plainName is the name of a file without the ending of what packed it.
func plainName(name string) string {
	switch ending := filepath.Ext(name); ending {
	case ".gz", ".bz2", ".xz", ".zst":
		return name[:len(name)-len(ending)]
	}
	return name
}

// ShippedLabels are the lists that ship inside the program.
func ShippedLabels() ([]*attribute.Listing, error) { return bundle.Listings() }

// ChainLabels reads from the blocks of a store what issuers of tokens and the sanctions oracle say about accounts. progress, which
// may be nil, is told how many blocks were read.
func ChainLabels(ctx context.Context, s store.Snapshot, progress func(blocks int)) ([]*attribute.Listing, error) {
	events := feed.NewEvents()
	read := 0
	for _, c := range s.Chains() {
		if !c.IsEVM() {
			continue
		}
		tip, ok := s.Tip(c)
		if !ok {
			continue
		}
		first, err := s.FirstAt(ctx, c, 0)
		if err != nil {
			return nil, fmt.Errorf("first block of %s: %w", c, err)
		}
		holes, err := s.Holes(ctx, c)
		if err != nil {
			return nil, err
		}
		for h := first.Height; h <= tip.Height; h++ {
			if i := slices.IndexFunc(holes, func(o store.Hole) bool { return o.From <= h && h <= o.To }); i >= 0 {
				h = holes[i].To
				continue
			}
			if err := chainLabelsOf(ctx, s, events, c, h); err != nil {
				return nil, fmt.Errorf("block %d of %s: %w", h, c, err)
			}
			if read++; progress != nil && read%1000 == 0 {
				progress(read)
			}
		}
	}
	return events.Listings(), nil
}

func chainLabelsOf(ctx context.Context, s store.Snapshot, events *feed.Events, c flow.Chain, height uint64) error {
	block, err := s.Block(ctx, c, height)
	if errors.Is(err, store.ErrNotFound) { // a chain that is kept in part
		return nil
	}
	if err != nil {
		return err
	}
	for _, tx := range block.Txs {
		if err := events.Add(tx); err != nil {
			return err
		}
	}
	return nil
}
