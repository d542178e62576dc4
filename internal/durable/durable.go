// Package durable makes the folders of embedded databases so that a crash does not take them, and says how much room
// opening one needs.
package durable

import (
	"errors"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Make makes a folder, and those above it that are not there, and syncs what each stands in: a crash does not take them
// with all that is in them.
func Make(fs vfs.FS, dir string, perm os.FileMode) error {
	if _, err := fs.Stat(dir); err == nil {
		return nil
	}
	above := fs.PathDir(dir)
	if above != dir {
		if err := Make(fs, above, perm); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, perm); err != nil {
		return err
	}
	d, err := fs.OpenDir(above)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// OpenRoom is how many bytes Pebble may write when it opens a folder: where the disk is full it tries again and again,
// for ever.
func OpenRoom(fs vfs.FS, dir string) (uint64, error) {
	need := uint64(1 << 20)
	names, err := fs.List(dir)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			return 0, err
		}
		need += uint64(info.Size()) // what is in it goes into a table
	}
	return need, nil
}
