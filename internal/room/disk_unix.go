//go:build linux || darwin

package room

import "syscall"

// disk asks the system about the disk of a folder.
func disk(dir string) (Space, error) {
	var s syscall.Statfs_t
	for {
		err := syscall.Statfs(dir, &s)
		if err == syscall.EINTR {
			continue
		}
		block := uint64(s.Bsize)
		return Space{Free: s.Bavail * block, Total: s.Blocks * block}, err
	}
}
