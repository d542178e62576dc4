package table_test

import (
	"os"
	"path/filepath"
	"testing"
)

// shared finds a file of the data that is kept beside the repository; the test is skipped by name where it is absent.
func shared(t testing.TB, name string) string {
	t.Helper()
	if root := os.Getenv("SPOOR_SHARED"); root != "" {
		if p := filepath.Join(root, name); exists(p) {
			return p
		}
	} else if dir, err := os.Getwd(); err == nil {
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			if p := filepath.Join(dir, "shared", name); exists(p) {
				return p
			}
		}
	}
	t.Skipf("absent: shared/%s", name)
	return ""
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}
