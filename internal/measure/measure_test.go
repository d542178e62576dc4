package measure

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPathFindsWhatIsThere(t *testing.T) {
	root := t.TempDir()
	t.Setenv("SPOOR_SHARED", root)
	want := filepath.Join(root, "data", "x.csv")
	if err := os.MkdirAll(filepath.Dir(want), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(want, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Path(t, "data/x.csv"); got != want {
		t.Errorf("Path = %q; want %q", got, want)
	}
}

func TestPathSkipsWhatIsAbsent(t *testing.T) {
	t.Setenv("SPOOR_SHARED", t.TempDir())
	skipped, reached := false, false
	t.Run("absent", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		Path(t, "data/nothing.csv")
		reached = true
	})
	if !skipped || reached {
		t.Errorf("absent data: skipped %v, went on %v; want a skip", skipped, reached)
	}
}
