package room

import (
	"errors"
	"os"
	"syscall"
)

// allocate takes the blocks of a file, without writing them where the file system can do that.
func allocate(f *os.File, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, errors.ErrUnsupported):
			return write(f, size)
		}
		return err
	}
}
