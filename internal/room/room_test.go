package room

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A fake is a disk of 1,000,000 bytes on which others take room, and the ballast of a guard.
type fake struct {
	dir   string
	taken atomic.Uint64 // by others
	err   error
}

const total = 1_000_000

func (f *fake) space(string) (Space, error) {
	used := f.taken.Load()
	for _, name := range []string{BallastName, BallastName + ".new"} {
		if info, err := os.Stat(filepath.Join(f.dir, name)); err == nil {
			used += uint64(info.Size())
		}
	}
	return Space{Free: total - min(total, used), Total: total}, f.err
}

// watch makes a guard of 100,000 and 200,000 bytes, with a ballast of 40,000.
func (f *fake) watch(t testing.TB, tell func(State)) *Guard {
	t.Helper()
	g, err := Watch(f.dir, Config{Low: 100_000, Resume: 200_000, Ballast: 40_000, Tell: tell, Disk: f.space})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func look(t testing.TB, g *Guard) State {
	t.Helper()
	s, err := g.Look()
	if err != nil {
		t.Fatal(err)
	}
	if s != g.State() {
		t.Fatalf("Look said %+v, State %+v", s, g.State())
	}
	return s
}

func TestWaitsBetweenLowAndResume(t *testing.T) {
	f := &fake{dir: t.TempDir()}
	g := f.watch(t, nil)
	for i, c := range []struct {
		taken   uint64
		low     bool
		ballast uint64
	}{
		{0, false, 40_000}, {800_000, false, 40_000}, {860_000, false, 40_000}, {860_001, true, 40_000}, {850_000, true, 40_000}, {760_001, true, 40_000},
		{760_000, false, 40_000}, {950_000, true, 40_000}, {950_001, true, 0}, {960_000, true, 0}, {800_001, true, 0}, {800_000, false, 0}, {760_001, false, 0}, {760_000, false, 40_000},
	} {
		f.taken.Store(c.taken)
		if s := look(t, g); s.Low != c.low || s.Ballast != c.ballast || s.Trouble != "" || s.Free != total-c.taken-c.ballast {
			t.Errorf("step %d, %d bytes taken: %+v; want low %v, ballast %d", i, c.taken, s, c.low, c.ballast)
		}
	}
}

func TestWaitTellsAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{dir: dir}
		var told []State
		g := f.watch(t, func(s State) { told = append(told, s) })
		if err := g.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.taken.Store(900_000)
		began := time.Now()
		time.AfterFunc(90*time.Minute+time.Millisecond, func() { f.taken.Store(100_000) })
		if err := g.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited != 90*time.Minute+time.Second {
			t.Errorf("waited %s", waited)
		}
		if len(told) != 3 || told[0].Ballast != 40_000 || told[0].Low || !told[1].Low || !told[1].Since.Equal(began) || told[2].Low || !told[2].Since.Equal(began.Add(90*time.Minute+time.Second)) {
			t.Errorf("told %+v", told)
		}
		f.taken.Store(900_000)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := g.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v; want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestManyWait(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{dir: dir}
		told := 0
		g := f.watch(t, func(State) { told++ })
		f.taken.Store(970_000)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if err := g.Wait(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if s := g.State(); !s.Low || s.Ballast != 0 {
			t.Errorf("ten wait: %+v", s)
		}
		f.taken.Store(0)
		all.Wait()
		if told != 3 {
			t.Errorf("told %d times; want 3", told)
		}
	})
}

func TestRelease(t *testing.T) {
	f := &fake{dir: t.TempDir()}
	g := f.watch(t, nil)
	f.taken.Store(790_000)
	if n, err := g.Release(); n != 40_000 || err != nil {
		t.Errorf("Release: %d, %v", n, err)
	}
	if s := g.State(); !s.Low || s.Ballast != 0 || s.Free != 210_000 {
		t.Errorf("after Release: %+v", s)
	}
	if n, err := g.Release(); n != 0 || err != nil {
		t.Errorf("Release again: %d, %v", n, err)
	}
	if s := look(t, g); s.Low || s.Ballast != 0 {
		t.Errorf("room for work but not for a ballast: %+v", s)
	}
	f.taken.Store(0)
	if s := look(t, g); s.Ballast != 40_000 {
		t.Errorf("room for a ballast: %+v", s)
	}
	if err := os.Remove(filepath.Join(f.dir, BallastName)); err != nil { // by hand
		t.Fatal(err)
	}
	if s := look(t, g); s.Ballast != 40_000 {
		t.Errorf("deleted by hand, with room for another: %+v", s)
	}
}

func TestWhatACrashOrAnotherConfigurationLeft(t *testing.T) {
	f := &fake{dir: t.TempDir()}
	for _, name := range []string{BallastName, BallastName + ".new"} {
		if err := os.WriteFile(filepath.Join(f.dir, name), make([]byte, 12_345), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := f.watch(t, nil)
	if s := g.State(); s.Ballast != 40_000 {
		t.Errorf("a ballast of another size: %+v", s)
	}
	if entries, err := os.ReadDir(f.dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	g, err := Watch(f.dir, Config{Low: 100_000, Resume: 200_000, Ballast: -1, Disk: f.space})
	if err != nil || g.State().Ballast != 0 {
		t.Errorf("no ballast wanted: %+v, %v", g.State(), err)
	}
}

func TestTrouble(t *testing.T) {
	f := &fake{dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(f.dir, BallastName), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Watch(f.dir, Config{Disk: f.space}); err == nil {
		t.Error("a folder in the place of the ballast was taken for one")
	}
	if _, err := Watch(filepath.Join(f.dir, "absent"), Config{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if err := os.Remove(filepath.Join(f.dir, BallastName)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(f.dir, BallastName+".new"), 0o700); err != nil {
		t.Fatal(err)
	}
	g := f.watch(t, nil) // removes the folder, which is empty
	f.err = syscall.EIO
	if err := g.Wait(t.Context()); !errors.Is(err, syscall.EIO) || g.State().Trouble == "" {
		t.Errorf("a disk that cannot be asked: %v, %+v", err, g.State())
	}
	f.err = nil
	f.taken.Store(0)
	if _, err := g.Release(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(f.dir, BallastName+".new", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if s := look(t, g); s.Trouble == "" || s.Low || s.Ballast != 0 {
		t.Errorf("a ballast that cannot be made keeps nobody from working, and is told: %+v", s)
	}
}

func TestLimits(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		config               Config
		total                uint64
		low, resume, ballast uint64
	}{
		{Config{}, 1000 * gib, 2 * gib, 3 * gib, 256 << 20},
		{Config{}, 10_000, 500, 700, 100},
		{Config{Low: 10 * gib}, 1000 * gib, 10 * gib, 15 * gib, 256 << 20},
		{Config{Low: 10, Resume: 5, Ballast: -1}, 1000, 10, 10, 0},
		{Config{Resume: 500, Ballast: 7}, 1000, 50, 500, 7},
		{Config{}, 0, 0, 0, 0},
	} {
		g := &Guard{config: c.config}
		if low, resume, ballast := g.limits(c.total); low != c.low || resume != c.resume || ballast != c.ballast {
			t.Errorf("%+v on %d bytes: %d, %d, %d; want %d, %d, %d", c.config, c.total, low, resume, ballast, c.low, c.resume, c.ballast)
		}
	}
}

// TestProperties takes and gives back room at random.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp("", "room")
		if err != nil {
			r.Fatal(err)
		}
		defer os.RemoveAll(dir)
		f := &fake{dir: dir}
		f.taken.Store(rapid.Uint64Range(0, total).Draw(r, "first"))
		g, err := Watch(dir, Config{Low: 100_000, Resume: 200_000, Ballast: 40_000, Disk: f.space})
		if err != nil {
			r.Fatal(err)
		}
		for range rapid.IntRange(1, 30).Draw(r, "steps") {
			before := g.State()
			released := rapid.IntRange(0, 9).Draw(r, "release") == 0
			if released {
				if _, err := g.Release(); err != nil {
					r.Fatal(err)
				}
			}
			f.taken.Store(rapid.Uint64Range(0, total).Draw(r, "taken"))
			s, err := g.Look()
			switch {
			case err != nil:
				r.Fatal(err)
			case s.Free < 100_000 && !s.Low, s.Free >= 200_000 && s.Low:
				r.Fatalf("%+v after %+v", s, before)
			case s.Low != before.Low && !released && s.Free >= 100_000 && s.Free < 200_000 && s.Ballast == before.Ballast:
				r.Fatalf("between the bounds it changed: %+v after %+v", s, before)
			case s.Ballast != 0 && s.Ballast != 40_000, s.Ballast > 0 && s.Free < 10_000:
				r.Fatalf("ballast: %+v", s)
			case s.Ballast > before.Ballast && s.Free < 200_000:
				r.Fatalf("the ballast took the room for work: %+v", s)
			}
		}
	})
}
