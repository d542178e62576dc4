// Package measure finds, for tests, the data to measure against that lie beside the repository.
package measure

import (
	"os"
	"path/filepath"
	"testing"
)

// Path is the path of a file or folder of the data, such as "data/onchain/bitcoin-blocks". The data are looked for in the
// folder that the environment variable SPOOR_SHARED names, else in "shared" beside the repository. Where it is absent the
// test is skipped, by name.
func Path(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("SPOOR_SHARED")
	for dir, err := os.Getwd(); root == ""; dir = filepath.Dir(dir) {
		if err != nil || dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the package", err)
		}
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			root = filepath.Join(filepath.Dir(dir), "shared")
		}
	}
	path := filepath.Join(root, filepath.FromSlash(name))
	if _, err := os.Stat(path); os.IsNotExist(err) {
		t.Skipf("absent: shared/%s", name)
	}
	return path
}
