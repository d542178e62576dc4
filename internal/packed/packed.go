// Package packed reads files that may be compressed.
package packed

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// mostWindow bounds the memory that a compressed file may ask for.
const mostWindow = 128 << 20

// A File is one file on disk.
type File struct {
	Path  string
	Size  int64 // as it lies there
	Named bool  // it was named itself, and not found in a folder
}

// List finds the files at paths: a file is itself, a folder all regular files below it in the order of their names, and a
// pattern (* ? [) what fits it. Files and folders whose names begin with a dot are passed over inside folders.
func List(paths []string) ([]File, error) {
	var all []string
	for _, p := range paths {
		_, err := os.Lstat(p)
		if err == nil || !strings.ContainsAny(p, "*?[") {
			all = append(all, p)
			continue
		}
		found, err := filepath.Glob(p)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", p, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("list %s: %w", p, fs.ErrNotExist)
		}
		all = append(all, found...)
	}
	var files []File
	for _, p := range all {
		err := filepath.WalkDir(p, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case name != p && strings.HasPrefix(d.Name(), "."):
				if d.IsDir() {
					return filepath.SkipDir
				}
				return nil
			case d.IsDir():
				return nil
			}
			info, err := os.Stat(name) // follows links
			if err != nil {
				return err
			}
			if info.Mode().IsRegular() {
				files = append(files, File{name, info.Size(), name == p})
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", p, err)
		}
	}
	return files, nil
}

// A Reader reads the plain content of a file: of one compressed by gzip, zstd, xz or bzip2 what is inside, of any other
// the file itself. What it is is told by the first bytes, not by the name.
type Reader struct {
	file  *os.File
	taken atomic.Int64
	plain io.Reader
	stop  func()
}

// Open opens a file.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{file: f}
	if err := r.detect(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func (r *Reader) detect() error {
	in := bufio.NewReaderSize(counter{r}, 64<<10)
	begin, err := in.Peek(128)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case bytes.HasPrefix(begin, []byte{0x1f, 0x8b}):
		r.plain, err = gzip.NewReader(in)
	case bytes.HasPrefix(begin, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		var z *zstd.Decoder
		z, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(mostWindow))
		if err == nil {
			r.plain, r.stop = z, z.Close
		}
	case bytes.HasPrefix(begin, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		if err = checkXZ(begin); err == nil {
			r.plain, err = xz.NewReader(in)
		}
	case bytes.HasPrefix(begin, []byte("BZh")):
		r.plain, err = bzip2.NewReader(in), nil
	default:
		r.plain, err = in, nil
	}
	if errors.Is(err, io.EOF) && r.plain != in {
		return io.ErrUnexpectedEOF
	}
	return err
}

// checkXZ refuses a file whose first block asks for a huge dictionary (xz-file-format 1.2.0, sections 3.1 and 5.3.1). The
// library makes room for what the header says before it has read a byte of the content.
func checkXZ(begin []byte) error {
	const blockHeader, lzma2 = 12, 0x21
	if len(begin) <= blockHeader+1 {
		return nil // the decoder says what is missing
	}
	flags, rest := begin[blockHeader+1], begin[blockHeader+2:]
	number := func() (v uint64) {
		for shift := 0; len(rest) > 0 && shift < 63; shift += 7 {
			b := rest[0]
			rest = rest[1:]
			v |= uint64(b&0x7f) << shift
			if b < 0x80 {
				break
			}
		}
		return v
	}
	for _, size := range []byte{0x40, 0x80} { // compressed and uncompressed size, if there
		if flags&size != 0 {
			number()
		}
	}
	for range flags&3 + 1 {
		id, n := number(), number()
		if n > uint64(len(rest)) {
			return fmt.Errorf("xz: a filter with %d bytes of properties", n)
		}
		if id == lzma2 && n == 1 && rest[0] < 40 {
			if size := uint64(2|rest[0]&1) << (rest[0]/2 + 11); size > mostWindow {
				return fmt.Errorf("xz: a dictionary of %d bytes, at most %d are read", size, mostWindow)
			}
		}
		rest = rest[n:]
	}
	return nil
}

// counter reads from the file and counts.
type counter struct{ r *Reader }

// Read implements io.Reader.
func (c counter) Read(b []byte) (int, error) {
	n, err := c.r.file.Read(b)
	c.r.taken.Add(int64(n))
	return n, err
}

// Read implements io.Reader. A compressed file that is cut short ends with io.ErrUnexpectedEOF.
func (r *Reader) Read(b []byte) (int, error) { return r.plain.Read(b) }

// Taken is how many bytes of the file were read so far. It may be called from any goroutine.
func (r *Reader) Taken() int64 { return r.taken.Load() }

// IsPacked reports whether the file is compressed.
func (r *Reader) IsPacked() bool {
	_, same := r.plain.(*bufio.Reader)
	return !same
}

// Close releases the file.
func (r *Reader) Close() error {
	if r.stop != nil {
		r.stop()
	}
	return r.file.Close()
}
