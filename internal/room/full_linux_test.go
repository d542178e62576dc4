package room

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestFullDisk fills a real disk, as others do, and gives the room back.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("absent: the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	var told []State
	g, err := Watch(dir, Config{Low: 2 << 20, Resume: 4 << 20, Ballast: 1 << 20, Every: time.Millisecond, Tell: func(s State) { told = append(told, s) }})
	if err != nil {
		t.Fatal(err)
	}
	if s := g.State(); s.Total != 8<<20 || s.Free != 7<<20 || s.Ballast != 1<<20 || s.Low {
		t.Errorf("at first: %+v", s)
	}
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 16<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("16 MiB on 8: %v; want %v", err, syscall.ENOSPC)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if err := g.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a full disk: %v; want to wait", err)
	}
	if s := g.State(); !s.Low || s.Ballast != 0 || s.Free != 1<<20 {
		t.Errorf("full: %+v", s)
	}
	if err := os.WriteFile(filepath.Join(dir, "state"), make([]byte, 1<<20), 0o600); err != nil {
		t.Errorf("the room of the ballast is not there for the last words: %v", err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := g.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := g.State(); s.Low || s.Ballast != 1<<20 || s.Free != 6<<20 {
		t.Errorf("after it: %+v", s)
	}
	if len(told) != 3 {
		t.Errorf("told %+v", told)
	}
}

func TestBallastTakesRealBlocks(t *testing.T) {
	dir := t.TempDir()
	if _, err := Watch(dir, Config{Low: 1, Resume: 1, Ballast: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "noise"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	noise, err := os.OpenFile(filepath.Join(dir, "noise"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer noise.Close()
	if err := errors.Join(write(noise, 1<<20), noise.Sync()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{BallastName, "noise"} {
		var s syscall.Stat_t
		if err := syscall.Stat(filepath.Join(dir, name), &s); err != nil {
			t.Fatal(err)
		}
		if s.Size != 1<<20 || s.Blocks*512 < 1<<20 {
			t.Errorf("%s: %d bytes in %d blocks of 512", name, s.Size, s.Blocks)
		}
	}
}

func BenchmarkLook(b *testing.B) {
	g, err := Watch(b.TempDir(), Config{Low: 1, Resume: 1, Ballast: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := g.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
