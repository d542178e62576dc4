package live

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/internal/room"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/pebblestore"
	"github.com/spoor-dev/spoor/store/storetest"
)

// A sized file system says how much room it has.
type sized struct {
	vfs.FS
	free *atomic.Uint64
}

func (s sized) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: s.free.Load(), TotalBytes: 1 << 40}, nil
}

// pageOf asks a Live for one of its pages.
func pageOf(t *testing.T, l *Live, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	l.Handler(nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// TestNoRoom: the disk has too little room for what asks first, and some time later enough again. Each waits, goes on by
// itself, and nothing is lost.
func TestNoRoom(t *testing.T) {
	const plenty = 1 << 40
	for name, c := range map[string]struct {
		free   uint64 // while there is too little
		outbox uint64 // how much it wants
		held   bool   // the ballast is, all the time
		at     uint64 // the tip from which on it is so
	}{
		"guard":  {free: 900, outbox: 1, held: true, at: 8},       // below what the guard wants
		"store":  {free: 1030, outbox: 1, at: 8},                  // enough for the guard, and too little for a block
		"outbox": {free: 100_000_000, outbox: 200_000_000, at: 8}, // enough for the block, and too little for its alerts
		"start":  {free: 100_000_000, outbox: 200_000_000},        // too little to begin with
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := crashConfig(t, "{low: 1000, resume: 300000000, ballast: 2048}")
			ballast := filepath.Join(config.Store, room.BallastName)
			a := newTale(t, 1, 14)
			var fresh []string
			synctest.Test(t, func(t *testing.T) {
				l := newLife(t, "undisturbed", a.straight(), config, 1)
				l.run(0, l.agrees)
				fresh = l.standing()
			})
			synctest.Test(t, func(t *testing.T) {
				l := newLife(t, name, a, config, 1)
				var free atomic.Uint64
				free.Store(plenty)
				if c.at == 0 {
					free.Store(c.free)
				}
				l.disk = func(string) (room.Space, error) { return room.Space{Free: free.Load(), Total: plenty}, nil }
				l.sized = func(_ string, fs vfs.FS) vfs.FS { return sized{fs, &free} }
				l.outbox.MinFree = c.outbox
				l.meanwhile = func(spoor *Live) {
					state := func() State {
						s, err := spoor.State()
						if err != nil {
							t.Fatal(err)
						}
						return s
					}
					for state().Chains[0].Tip.Height < c.at {
						time.Sleep(50 * time.Millisecond)
					}
					free.Store(c.free)
					time.Sleep(2 * time.Minute)
					s := state()
					if !s.Disk.Low || s.Health != Sick || !slices.ContainsFunc(s.Reasons, func(r string) bool { return strings.Contains(r, "too little room") }) {
						t.Errorf("while there is too little room: %s %q, %+v", s.Health, s.Reasons, s.Disk)
					}
					if text := pageOf(t, spoor, "/metrics"); !strings.Contains(text, "\nspoor_disk_low 1\n") {
						t.Error("the metrics do not say that the disk is low")
					}
					if text := pageOf(t, spoor, "/v1/state"); !strings.Contains(text, `"sick"`) {
						t.Errorf("/v1/state: %s", text)
					}
					if _, err := os.Stat(ballast); (err == nil) != c.held {
						t.Errorf("the ballast: %v", err)
					}
					time.Sleep(10 * time.Minute)
					if now := state(); now.Chains[0].Tip != s.Chains[0].Tip {
						t.Errorf("it went on from %s to %s without room", s.Chains[0].Tip, now.Chains[0].Tip)
					}
					free.Store(plenty)
					time.Sleep(2 * time.Minute)
					if s := state(); s.Disk.Low || s.Health != Well {
						t.Errorf("with room again: %s %q, %+v", s.Health, s.Reasons, s.Disk)
					}
					if _, err := os.Stat(ballast); err != nil {
						t.Errorf("the ballast is not made again: %v", err)
					}
				}
				l.run(0, l.agrees)
				if got := l.standing(); !slices.Equal(got, fresh) {
					t.Errorf("these stand: %v\nwant %v", missing(got, fresh), missing(fresh, got))
				}
				st, err := pebblestore.Open("store", pebblestore.Options{FS: l.mem, CacheBytes: 1 << 20, MinFreeBytes: 1})
				if err != nil {
					t.Fatal(err)
				}
				plain := memstore.New()
				if _, err := plain.Append(t.Context(), a.of(a.winner())); err != nil {
					t.Fatal(err)
				}
				if d := storetest.Difference(dumpOf(t, st), dumpOf(t, plain)); d != "" {
					t.Errorf("the store is another than a fresh one: %s", d)
				}
				if err := st.Close(); err != nil {
					t.Error(err)
				}
				low := func(a alert.Alert) bool {
					return a.Severity == finding.Critical && strings.Contains(a.Title, "nearly full")
				}
				if c.outbox == 1 && !slices.ContainsFunc(l.states, low) {
					t.Errorf("nobody was told that the disk is full: %v", l.states)
				}
			})
		})
	}
}
