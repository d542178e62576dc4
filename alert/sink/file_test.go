package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/alert"
)

// keysIn are the keys of the alerts in a file, each of whose lines must be whole.
func keysIn(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for line := range bytes.Lines(b) {
		var m struct{ Key string }
		if err := json.Unmarshal(line, &m); err != nil || line[len(line)-1] != '\n' {
			t.Fatalf("%s: a line that is not whole: %q", path, line)
		}
		keys = append(keys, m.Key)
	}
	return keys
}

func TestFileMendsWhatACrashLeft(t *testing.T) {
	whole := append(must(marshal(many(1)[0])), '\n')
	second := append(must(marshal(many(2)[1])), '\n')
	for cut := range len(second) + 1 {
		if cut > 20 && cut%199 != 0 && cut < len(second)-3 { // each one costs a sync
			continue
		}
		path := filepath.Join(t.TempDir(), "alerts.ndjson")
		if err := os.WriteFile(path, append(bytes.Clone(whole), second[:cut]...), 0o600); err != nil {
			t.Fatal(err)
		}
		f := must(NewFile(FileConfig{Name: "file", Path: path}))
		if err := f.Send(t.Context(), many(3)[2:]); err != nil {
			t.Fatal(err)
		}
		want := 2
		if cut >= len(second)-1 {
			want = 3 // nothing but the end of the line was missing
		}
		if got := keysIn(t, path); len(got) != want || got[0] != many(1)[0].Key || got[want-1] != many(3)[2].Key {
			t.Fatalf("cut at %d: %q", cut, got)
		}
	}
}

func TestFileRotates(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alerts.ndjson")
	line := int64(len(must(marshal(many(1)[0]))) + 1)
	f := must(NewFile(FileConfig{Name: "file", Path: path, Max: 3 * line, Keep: 2}))
	all := many(11)
	for _, a := range all {
		if err := f.Send(t.Context(), []alert.Alert{a}); err != nil {
			t.Fatal(err)
		}
	}
	got := fmt.Sprint(keysIn(t, path+".2"), keysIn(t, path+".1"), keysIn(t, path))
	var want [3][]string
	for i, a := range all[3:] {
		want[i/3] = append(want[i/3], a.Key)
	}
	if got != fmt.Sprint(want[0], want[1], want[2]) {
		t.Errorf("files hold %s; want %s", got, want)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("%v, %v; want three files", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; alerts are nobody else's", info.Mode(), err)
	}
}

func TestFileMayBeMovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.ndjson")
	f := must(NewFile(FileConfig{Name: "file", Path: path}))
	for i, a := range many(2) {
		if err := f.Send(t.Context(), []alert.Alert{a}); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, fmt.Sprintf("%s.old%d", path, i)); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := keysIn(t, path+".old0"), keysIn(t, path+".old1"); len(a) != 1 || len(b) != 1 || a[0] == b[0] {
		t.Errorf("%q, then %q", a, b)
	}
}

func TestFileErrors(t *testing.T) {
	dir := t.TempDir()
	f := must(NewFile(FileConfig{Name: "file", Path: dir})) // a folder: it cannot be written to
	if err := f.Send(t.Context(), many(1)); err == nil || errors.Is(err, alert.ErrRefused) {
		t.Errorf("a folder: %v; want an error that may pass", err)
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("absent: /dev/full")
	}
	f = must(NewFile(FileConfig{Name: "file", Path: "/dev/full"}))
	if err := f.Send(t.Context(), many(1)); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("a device: %v", err)
	}
}

func TestStream(t *testing.T) {
	var b bytes.Buffer
	s := must(NewStream(StreamConfig{Name: "out"}, &b))
	if err := s.Send(t.Context(), []alert.Alert{arrival(), hostile()}); err != nil || strings.Count(b.String(), "\n") != 2 || strings.ContainsAny(b.String(), "\x1b\x00\u202e") {
		t.Errorf("%v\n%s", err, b.String())
	}
	b.Reset()
	s = must(NewStream(StreamConfig{Name: "out", Words: true}, &b))
	if err := s.Send(t.Context(), []alert.Alert{arrival(), hostile()}); err != nil || !strings.Contains(b.String(), "\nNOT YET ON THE CHAIN, LOW: ") || strings.ContainsAny(b.String(), "\x1b\x00\u202e") {
		t.Errorf("%v\n%s", err, b.String())
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	b.Reset()
	if err := s.Send(done, many(1)); !errors.Is(err, context.Canceled) || b.Len() > 0 {
		t.Errorf("after the end: %v, %q", err, b.String())
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("absent: /dev/full")
	}
	defer full.Close()
	if err := must(NewStream(StreamConfig{Name: "out"}, full)).Send(t.Context(), many(1)); err == nil || errors.Is(err, alert.ErrRefused) {
		t.Errorf("a full disk: %v; want an error that may pass", err)
	}
}

func FuzzMend(f *testing.F) {
	f.Add([]byte("{}\n{\"a\""))
	f.Add([]byte("{}"))
	f.Add([]byte("\n\n"))
	f.Add([]byte{0, 0xff})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, before []byte) {
		path := filepath.Join(dir, "alerts")
		if err := os.WriteFile(path, before, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := must(NewFile(FileConfig{Name: "file", Path: path})).Send(context.Background(), many(1)); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		line := append(must(marshal(many(1)[0])), '\n')
		kept, ok := bytes.CutSuffix(after, line)
		if !ok || len(kept) > 0 && kept[len(kept)-1] != '\n' || !bytes.HasPrefix(append(before, '\n'), kept) {
			t.Errorf("%q became %q", before, after)
		}
	})
}
