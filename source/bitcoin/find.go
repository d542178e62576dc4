package bitcoin

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	// coreName is a block file as Bitcoin Core names it, compressed or not.
	coreName = regexp.MustCompile(`^blk[0-9]{5,}\.dat(\.(gz|bz2|xz|zst))?$`)
	// anyName is what is taken in a folder that Bitcoin Core did not make.
	anyName = regexp.MustCompile(`\.dat(\.(gz|bz2|xz|zst))?$`)
	// lastNumber is the last run of digits in a name.
	lastNumber = regexp.MustCompile(`([0-9]+)[^0-9]*$`)
)

// find lists the files that the paths mean, in the order of the paths and, within one, of the names.
func find(paths []string) ([]file, error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("open blocks: no path: %w", ErrForm)
	}
	var files []file
	for _, path := range paths {
		names, err := expand(path)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if slices.ContainsFunc(files, func(f file) bool { return f.path == name }) {
				continue
			}
			info, err := os.Stat(name)
			if err != nil {
				return nil, err
			}
			if !info.Mode().IsRegular() {
				return nil, fmt.Errorf("open %s: not a file: %w", name, ErrForm)
			}
			key, err := keyBeside(name)
			if err != nil {
				return nil, err
			}
			files = append(files, file{path: name, size: info.Size(), key: key})
		}
	}
	return files, nil
}

func expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return list(path)
	case err == nil:
		return []string{path}, nil
	case !errors.Is(err, fs.ErrNotExist) || !strings.ContainsAny(path, `*?[`):
		return nil, err
	}
	names, err := filepath.Glob(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("open %s: nothing has such a name: %w", path, fs.ErrNotExist)
	}
	slices.SortFunc(names, byNumber)
	return names, nil
}

// list is the block files of a folder: those with the names of Bitcoin Core, in it or in its subfolder blocks; where
// there are none, all whose name ends like a block file's.
func list(dir string) ([]string, error) {
	for _, try := range []struct {
		dir  string
		name *regexp.Regexp
	}{{dir, coreName}, {filepath.Join(dir, "blocks"), coreName}, {dir, anyName}} {
		entries, err := os.ReadDir(try.dir)
		if err != nil && !(try.dir != dir && errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
		var names []string
		for _, e := range entries {
			n := e.Name()
			if try.name.MatchString(n) && n != keyFile && !strings.HasPrefix(n, "rev") && !e.IsDir() {
				names = append(names, filepath.Join(try.dir, n))
			}
		}
		if len(names) > 0 {
			slices.SortFunc(names, byNumber)
			return names, nil
		}
	}
	return nil, fmt.Errorf("open %s: no blk*.dat in the folder: %w", dir, ErrForm)
}

// byNumber puts shorter names first and so blk99999.dat before blk100000.dat.
func byNumber(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// keyFile holds the 8 bytes with which Bitcoin Core obscures the block files beside it.
const keyFile = "xor.dat"

func keyBeside(path string) (key [8]byte, err error) {
	name := filepath.Join(filepath.Dir(path), keyFile)
	raw, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return key, nil
	case err != nil:
		return key, err
	case len(raw) != len(key):
		return key, fmt.Errorf("%s: %d bytes, want %d: %w", name, len(raw), len(key), ErrDamaged)
	}
	return [8]byte(raw), nil
}

// numberIn is the last number in a file's name, which is the height of a file of one block: block481815.dat. The
// names of Bitcoin Core's files count files.
func numberIn(path string) (uint64, bool) {
	base := filepath.Base(path)
	if coreName.MatchString(base) {
		return 0, false
	}
	for {
		ext := filepath.Ext(base)
		if ext == "" || ext == base {
			break
		}
		base = strings.TrimSuffix(base, ext)
	}
	m := lastNumber.FindStringSubmatch(base)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(m[1], 10, 31)
	return n, err == nil
}
