package labelstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/attribute"
)

// bookName is the file with the packed book. It can be made again from the store at any time.
const bookName = "labels.book"

// maxBook bounds what is read of a packed book.
const maxBook = 8 << 30

// readBook reads the packed book of a folder.
func readBook(dir string) (*attribute.Book, error) {
	f, err := os.Open(filepath.Join(dir, bookName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxBook {
		return nil, fmt.Errorf("%s: %w: %d bytes", bookName, attribute.ErrPacked, info.Size())
	}
	var text strings.Builder
	text.Grow(int(info.Size()))
	if _, err := io.Copy(&text, io.LimitReader(f, info.Size())); err != nil {
		return nil, err
	}
	return attribute.OpenBook(text.String())
}

// rebuild packs all labels of the store, writes the packed book, and shows it.
func (s *Store) rebuild(generation uint64) error {
	p := attribute.NewPacker()
	var group []attribute.Label // of one subject
	flush := func() error {
		slices.SortFunc(group, attribute.Label.Compare)
		for _, l := range group {
			if err := p.Add(l); err != nil {
				return err
			}
		}
		group = group[:0]
		return nil
	}
	err := s.scan(labelPrefix, func(key, record []byte) error {
		l, err := parseLabel(key, record, s.list)
		if err != nil {
			return err
		}
		if len(group) > 0 && group[0].Subject != l.Subject {
			if err := flush(); err != nil {
				return err
			}
		}
		group = append(group, l)
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	if err := writeBook(s.dir, p.Finish(generation)); err != nil {
		return fmt.Errorf("%s: %w", bookName, err)
	}
	p = nil
	book, err := readBook(s.dir)
	if err != nil {
		return err
	}
	s.book.Store(book)
	return nil
}

// writeBook puts the file in place whole or not at all.
func writeBook(dir string, pieces [][]byte) (err error) {
	path := filepath.Join(dir, bookName)
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	for _, piece := range pieces {
		if err == nil {
			_, err = f.Write(piece)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// markName is a file that is there while an import may have been committed whose labels are not in the packed book yet.
const markName = "labels.pending"

func (s *Store) mark() error {
	if err := os.WriteFile(filepath.Join(s.dir, markName), nil, 0o644); err != nil {
		return err
	}
	return syncFolder(s.dir)
}

// unmark need not survive a crash: a mark that is left makes the next reader look, and no more.
func (s *Store) unmark() error {
	err := os.Remove(filepath.Join(s.dir, markName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func isMarked(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, markName))
	return err == nil
}
