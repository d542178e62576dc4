package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/spoor-dev/spoor/alert"
)

// FileConfig is the configuration of a File.
type FileConfig struct {
	Name string `yaml:"name"`
	Path string `yaml:"path" doc:"the file"`
	Max  int64  `yaml:"max" doc:"bytes from which on a new file is begun; 100 MiB if left out"`
	Keep int    `yaml:"keep" doc:"how many full files are kept beside it, as path.1 (the newest) and so on; 10 if left out"`
}

// A File appends alerts to a file, one JSON object a line, and returns when they are on the disk. Nobody else may write
// to it, but it may be moved away or removed at any time. It is safe for several goroutines.
type File struct {
	config FileConfig
	mu     sync.Mutex // one writer at a time
	named  bool       // guarded by mu: the file's name is durable since this program began
}

// NewFile makes a File. The folder has to be there.
func NewFile(c FileConfig) (*File, error) {
	if err := checkName("file", c.Name); err != nil {
		return nil, err
	}
	if c.Max <= 0 {
		c.Max = 100 << 20
	}
	if c.Keep <= 0 {
		c.Keep = 10
	}
	f := &File{config: c}
	if info, err := os.Stat(filepath.Dir(c.Path)); err != nil {
		return nil, f.at(err)
	} else if c.Path == "" || !info.IsDir() {
		return nil, f.at(fmt.Errorf("path %.200q: not a file in a folder", c.Path))
	}
	return f, nil
}

// Name is how the configuration calls the sink.
func (f *File) Name() string { return f.config.Name }

func (f *File) at(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sink %s: %w", f.config.Name, err)
}

// Send appends a group.
func (f *File) Send(ctx context.Context, group []alert.Alert) error {
	var b []byte
	for _, a := range group {
		line, err := marshal(a)
		if err != nil {
			return f.at(err)
		}
		b = append(append(b, line...), '\n')
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return f.at(err)
	}
	return f.at(f.append(b))
}

// append puts lines at the end. It opens the file anew each time, so that it may be moved away in between.
func (f *File) append(b []byte) error {
	file, size, err := f.open()
	if err != nil {
		return err
	}
	if size > 0 && size+int64(len(b)) > f.config.Max {
		if err := errors.Join(file.Close(), f.rotate()); err != nil {
			return err
		}
		if file, size, err = f.open(); err != nil {
			return err
		}
	}
	defer file.Close()
	if _, err := file.Write(b); err != nil {
		return errors.Join(err, file.Truncate(size))
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if size > 0 && f.named {
		return nil
	}
	if err := syncDir(filepath.Dir(f.config.Path)); err != nil {
		return err
	}
	f.named = true
	return nil
}

// open opens the file to be appended to, with its last line whole, and returns its size.
func (f *File) open() (*os.File, int64, error) {
	file, err := os.OpenFile(f.config.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, err
	}
	size, err := mend(file)
	if err != nil {
		file.Close()
		return nil, 0, fmt.Errorf("%s: mend the last line: %w", f.config.Path, err)
	}
	return file, size, nil
}

// maxTorn bounds how far back the beginning of a torn line is looked for, in bytes.
const maxTorn = 16 << 20

// mend returns the size of a file, whose last line ends: one that a crash left unfinished is ended if nothing but its end
// is missing, and else cut off. It was not acknowledged, so it is sent again.
func mend(file *os.File) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("it is not a regular file")
	}
	size := info.Size()
	last := make([]byte, 1)
	if size == 0 {
		return 0, nil
	}
	if _, err := file.ReadAt(last, size-1); err != nil {
		return 0, err
	}
	if last[0] == '\n' {
		return size, nil
	}
	tail := make([]byte, min(size, maxTorn))
	if _, err := file.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return 0, err
	}
	line := tail[bytes.LastIndexByte(tail, '\n')+1:]
	if len(line) == maxTorn {
		return 0, fmt.Errorf("it has more than %d bytes", maxTorn)
	}
	if json.Valid(line) {
		_, err := file.Write([]byte("\n"))
		return size + 1, err
	}
	size -= int64(len(line))
	return size, file.Truncate(size)
}

// rotate moves the file to path.1, what is there to path.2, and so on; the oldest goes.
func (f *File) rotate() error {
	at := func(i int) string { return f.config.Path + "." + strconv.Itoa(i) }
	for i := f.config.Keep - 1; i > 0; i-- {
		if err := os.Rename(at(i), at(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(f.config.Path, at(1))
}

// syncDir makes the names in a folder durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
