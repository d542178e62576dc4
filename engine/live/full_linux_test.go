package live

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

// A partition is a disk of memory whose size can be changed at any time; nothing is written to fill it.
type partition struct {
	t   *testing.T
	dir string
}

func newPartition(t *testing.T) *partition {
	t.Helper()
	p := &partition{t, t.TempDir()}
	if err := syscall.Mount("tmpfs", p.dir, "tmpfs", 0, "size=4g"); err != nil {
		t.Skipf("absent: the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(p.dir, 0); err != nil {
			t.Error(err)
		}
	})
	return p
}

// leave makes it so large that so many bytes are free.
func (p *partition) leave(free uint64) {
	p.t.Helper()
	var err error
	for range 100 { // somebody writes meanwhile
		var s syscall.Statfs_t
		if err = syscall.Statfs(p.dir, &s); err != nil {
			break
		}
		size := (s.Blocks-s.Bfree)*uint64(s.Bsize) + free
		if err = syscall.Mount("tmpfs", p.dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", size)); err == nil {
			return
		}
	}
	p.t.Fatalf("leave %d bytes free: %v", free, err)
}

// TestFullDisk lets the real program run on a disk that gets full, and has room again.
func TestFullDisk(t *testing.T) {
	disk := newPartition(t)
	path := build(t)
	const plenty = 2 << 30
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	h, to, port := invented(t), newHook(t), freePort(t)
	config := h.configure(t, disk.dir, to, "{low: 700MiB, resume: 800MiB, ballast: 8MiB}")
	steps := func(n int) {
		for range n {
			h.step(rnd, false)
			time.Sleep(10 * time.Millisecond)
		}
	}
	isLow := func(s State) bool { return s.Disk.Low && s.Health == Sick }
	h.open()
	p := startProgram(t, path, config, port)
	p.until("the case is open", func(s State) bool { return len(s.Cases) == 1 && s.Cases[0].Open && s.Disk.Ballast == 8<<20 })
	steps(8)

	disk.leave(600 << 20)
	steps(2)
	p.until("it waits for room", isLow)
	time.Sleep(200 * time.Millisecond) // for a block that it had begun
	before := p.until("it waits for room", isLow)
	steps(20)
	if s := p.until("it answers", isLow); s.Chains[0].Tip != before.Chains[0].Tip {
		t.Errorf("it went on from %s to %s without room", before.Chains[0].Tip, s.Chains[0].Tip)
	}
	if text, err := p.get(t.Context(), "/metrics"); err != nil || !strings.Contains(string(text), "\nspoor_disk_low 1\n") {
		t.Errorf("the metrics do not say that the disk is low: %v", err)
	}
	to.wait("The disk is nearly full", finding.Critical)
	if took := p.stop(); took > 10*time.Second {
		t.Errorf("it took %s to end", took)
	}
	p = startProgram(t, path, config, port)
	p.until("it waits for room from the start", isLow)
	disk.leave(plenty)
	h.step(rnd, true)
	height, hash := h.head()
	p.until("it goes on by itself", h.isAtRest(height, hash))
	to.wait("room on the disk again", finding.Info)

	p.kill()
	disk.leave(0)
	steps(3)
	p = startProgram(t, path, config, port)
	p.until("it begins with the room of the ballast", func(s State) bool { return s.Disk.Low && s.Disk.Ballast == 0 })
	disk.leave(0)
	steps(3)
	p.kill()
	p = startProgram(t, path, config, port) // it cannot even open its files
	select {
	case <-p.ended:
		if said := p.said.String(); p.err == nil || !strings.Contains(said, "disk full") || strings.Contains(said, "goroutine") {
			t.Errorf("without any room it ended with %v: %s", p.err, said)
		}
	case <-time.After(longest):
		t.Error("it neither follows nor ends")
	}
	disk.leave(plenty)
	p = startProgram(t, path, config, port)
	steps(5)
	for range 4 {
		h.step(rnd, true)
	}
	h.finish(t, p, disk.dir, to)
}

// wait waits for a message about Spoor itself whose title holds that.
func (h *hook) wait(title string, severity finding.Severity) {
	h.t.Helper()
	for deadline := time.Now().Add(longest); ; time.Sleep(10 * time.Millisecond) {
		h.mu.Lock()
		for _, said := range h.said {
			if slices.ContainsFunc(said, func(a alert.Alert) bool {
				return a.Kind == alert.State && a.Severity == severity && strings.Contains(a.Title+a.Text, title)
			}) {
				h.mu.Unlock()
				return
			}
		}
		h.mu.Unlock()
		if time.Now().After(deadline) {
			h.t.Fatalf("nobody was told in %s: %s", longest, title)
		}
	}
}
