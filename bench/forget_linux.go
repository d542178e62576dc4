package bench

import (
	"os"

	"golang.org/x/sys/unix"
)

// forget drops a file's pages from the page cache.
func forget(f *os.File) bool {
	return f.Sync() == nil && unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) == nil
}
