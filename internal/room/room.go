// Package room keeps a program from writing to a disk that is about to be full.
package room

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Config is the configuration of a Guard. The zero value is valid.
type Config struct {
	Low     uint64        // bytes that must be free; 2 GiB, but at most 5 % of the disk, if 0
	Resume  uint64        // bytes that must be free before it goes on; half more than Low, or 3 GiB, but at most 7 % of the disk, if both are 0; at least Low
	Ballast int64         // bytes of the ballast; 256 MiB, but at most 1 % of the disk, if 0; none if negative
	Every   time.Duration // how often to look while waiting; 1 s if 0
	// Tell, if any, is told every change of what is low, and of the ballast, by whoever looked. It may not call the Guard,
	// except for State.
	Tell func(State)
	Now  func() time.Time                          // time.Now if nil
	Disk func(dir string) (space Space, err error) // asks the system if nil
}

// A Space is how much room a disk has, in bytes.
type Space struct {
	Free  uint64 `json:"free"` // for this program: without what is kept for the system's owner
	Total uint64 `json:"total"`
}

// A State is what a Guard saw when it looked last.
type State struct {
	Space
	Low     bool      `json:"low"`     // there is too little room: who asks waits
	Since   time.Time `json:"since"`   // since when it is as Low says
	Ballast uint64    `json:"ballast"` // bytes that Release would free
	// Trouble says why the disk could not be asked or the ballast not be made; empty if all is well.
	Trouble string    `json:"trouble,omitempty"`
	Looked  time.Time `json:"looked"`
}

// A Guard watches the disk that a folder is on. Below Config.Low it lets nobody on until Config.Resume is free again.
//
// It keeps a ballast in the folder: a file whose blocks are taken, and nothing else. It is let go when less than a quarter of
// its size is free, or by Release, or by hand (it may be deleted at any time), so that a full disk still has the room
// that the program needs to end well and to be started again. It is made again when there is room for it.
//
// It is safe for several goroutines, and has none of its own.
type Guard struct {
	dir    string
	config Config
	mu     sync.Mutex // one look at a time
	state  atomic.Pointer[State]
}

// Watch looks at the disk of a folder for the first time. Errors: errors.ErrUnsupported on a system whose disks it cannot
// ask about.
func Watch(dir string, c Config) (*Guard, error) {
	if c.Every <= 0 {
		c.Every = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Disk == nil {
		c.Disk = disk
	}
	g := &Guard{dir: dir, config: c}
	g.state.Store(&State{Since: c.Now()})
	if err := os.Remove(g.unfinished()); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("room in %s: %w", dir, err)
	}
	if _, err := g.Look(); err != nil {
		return nil, err
	}
	return g, nil
}

// State is what was seen when somebody looked last. It does not wait.
func (g *Guard) State() State { return *g.state.Load() }

// Wait returns when there is room, or ctx is done, or the disk cannot be asked. It looks once in any case, which costs
// a few microseconds.
func (g *Guard) Wait(ctx context.Context) error {
	s, err := g.Look()
	if err != nil || !s.Low {
		return err
	}
	t := time.NewTicker(g.config.Every)
	defer t.Stop()
	for s.Low {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for room in %s, %d bytes are free: %w", g.dir, s.Free, ctx.Err())
		case <-t.C:
		}
		if s, err = g.Look(); err != nil {
			return err
		}
	}
	return nil
}

// Look asks the disk, and lets the ballast go or makes it again where that is due.
func (g *Guard) Look() (State, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, err := g.lookLocked()
	return g.setLocked(s), err
}

func (g *Guard) lookLocked() (State, error) {
	s := g.State()
	s.Looked, s.Trouble = g.config.Now(), ""
	err := g.askLocked(&s)
	if err != nil {
		return s, err
	}
	low, resume, ballast := g.limits(s.Total)
	if s.Ballast > 0 && s.Free < s.Ballast/4 {
		if err := g.drop(); err != nil {
			s.Trouble = err.Error()
		} else if err := g.askLocked(&s); err != nil {
			return s, err
		}
	}
	if s.Low {
		s.Low = s.Free < resume
	} else {
		s.Low = s.Free < low
	}
	// What is there of another size does not count: its room becomes free first.
	if ballast != s.Ballast && !s.Low && s.Free+s.Ballast >= resume+ballast {
		if err := g.make(ballast); err != nil {
			s.Trouble = err.Error()
		}
		if err := g.askLocked(&s); err != nil {
			return s, err
		}
	}
	return s, nil
}

// askLocked reads the disk and the ballast into a state.
func (g *Guard) askLocked(s *State) error {
	var err error
	if s.Space, err = g.config.Disk(g.dir); err == nil {
		s.Ballast, err = g.held()
	}
	if err != nil {
		err = fmt.Errorf("room in %s: %w", g.dir, err)
		s.Trouble = err.Error()
	}
	return err
}

// setLocked keeps a state, and tells it if it is another one. It returns what it kept.
func (g *Guard) setLocked(s State) State {
	old := g.State()
	if s.Low != old.Low {
		s.Since = s.Looked
	}
	g.state.Store(&s)
	if g.config.Tell != nil && (s.Low != old.Low || s.Ballast != old.Ballast || s.Trouble != old.Trouble) {
		g.config.Tell(s)
	}
	return s
}

// limits are the bounds on a disk of that size, in bytes.
func (g *Guard) limits(total uint64) (low, resume, ballast uint64) {
	low, resume, ballast = g.config.Low, g.config.Resume, uint64(max(g.config.Ballast, 0))
	if low == 0 {
		low = min(2<<30, total/20)
	}
	if resume == 0 {
		if resume = min(3<<30, total/100*7); g.config.Low > 0 {
			resume = low + low/2
		}
	}
	if g.config.Ballast == 0 {
		ballast = min(256<<20, total/100)
	}
	return low, max(low, resume), ballast
}

// Release lets the ballast go, for a store that says that the disk is full, and returns how many bytes that were. From
// then on there is too little room until Config.Resume is free.
func (g *Guard) Release() (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	held, err := g.held()
	if err == nil && held > 0 {
		err = g.drop()
	}
	if err != nil {
		return 0, fmt.Errorf("room in %s: let the ballast go: %w", g.dir, err)
	}
	s := g.State()
	s.Low, s.Ballast, s.Looked, s.Trouble = true, 0, g.config.Now(), ""
	err = g.askLocked(&s)
	g.setLocked(s)
	return held, err
}

// BallastName is the name of the ballast in its folder.
const BallastName = "spoor-ballast"

func (g *Guard) path() string { return filepath.Join(g.dir, BallastName) }

// unfinished is where a ballast is made; a crash may leave one.
func (g *Guard) unfinished() string { return g.path() + ".new" }

// held is how large the ballast is, 0 if there is none.
func (g *Guard) held() (uint64, error) {
	info, err := os.Lstat(g.path())
	switch {
	case os.IsNotExist(err):
		return 0, nil
	case err != nil:
		return 0, err
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%s is not a file", g.path())
	}
	return uint64(info.Size()), nil
}

func (g *Guard) drop() error { return os.Remove(g.path()) }

// make makes the ballast anew, of so many bytes; 0 is none. It has its name only when all of its blocks are taken.
func (g *Guard) make(size uint64) error {
	if err := g.drop(); err != nil && !os.IsNotExist(err) {
		return err
	}
	if size == 0 {
		return nil
	}
	err := fill(g.unfinished(), size)
	if err == nil {
		err = os.Rename(g.unfinished(), g.path())
	}
	if err != nil {
		_ = os.Remove(g.unfinished()) // the error before it is the one that counts
		return fmt.Errorf("make a ballast of %d bytes: %w", size, err)
	}
	return nil
}

// fill makes a file of so many bytes whose blocks are all taken.
func fill(path string, size uint64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = allocate(f, int64(size))
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
