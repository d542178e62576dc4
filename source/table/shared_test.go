package table_test

import (
	"testing"

	"github.com/spoor-dev/spoor/internal/measure"
)

// shared finds a file of the data that is kept beside the repository; the test is skipped by name where it is absent.
func shared(t testing.TB, name string) string {
	t.Helper()
	return measure.Path(t, name)
}
