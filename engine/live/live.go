// Package live is Spoor while it runs: nodes fill the store, open cases and watch lists eat what arrives, people are told.
package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/alert/outbox"
	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/room"
	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/watch"
)

// Options are what a Live is given besides its configuration. Store, Labels and Log are needed.
type Options struct {
	// Store is written to by this Live alone while it runs. It stays the caller's, to close after Run.
	Store store.Store
	// Labels reads the labels, at the beginning and at every Reload.
	Labels func() (*engine.Labels, error)
	// LabelFiles are the files and folders that Labels reads: when one of them changes, they are read again. If nil, only
	// Reload does so.
	LabelFiles func() []string
	Log        *slog.Logger
	// Sinks go beside those of the configuration, and get everything.
	Sinks []alert.Sink
	// Sources replace the nodes of the configuration, for tests and benchmarks.
	Sources []Source
	Now     func() time.Time // the clock; time.Now if nil
	// Follow is how patient nodes are treated where the configuration does not say it, for tests.
	Follow follow.Config
	// Disk asks how much room there is on the disk of a folder; the system if nil. It is for tests.
	Disk func(dir string) (room.Space, error)
	// Outbox is how the outbox is kept where the configuration does not say it, for tests.
	Outbox outbox.Config
	// FillEvery is how often holes are looked for; a minute if 0.
	FillEvery time.Duration
}

// A Live is a running Spoor. Make it with New, then call Run once.
type Live struct {
	options Options
	now     func() time.Time
	log     *slog.Logger
	store   *oneWriter
	outbox  *outbox.Outbox
	room    *room.Guard
	metrics *metrics
	began   time.Time
	notices chan notice
	urgent  chan struct{} // a case is to be opened at once
	low     atomic.Bool   // the disk has too little room
	seen    atomic.Pointer[view]
	busy    atomic.Pointer[string] // what takes a while just now; nil if nothing does
	sinks   []alert.Sink           // of the configuration; changed by Reload alone
	stamps  []engine.LabelStamp    // of the files with labels, when they were read first

	chains []*chain // fixed

	reloading sync.Mutex // held while a configuration or labels are taken
	saving    sync.Mutex // held while the memory is put together and kept; before mu

	mu       sync.Mutex // of everything below
	config   config.Config
	labels   *engine.Labels
	contacts contacts
	watch    *watch.Watch
	cases    []*openCase
	lists    []watch.List
	digests  digests           // of labels and lists
	trouble  map[string]string // by what is in trouble, why
}

// Folder is where a Live keeps what it must not forget, below the folder of the store.
func Folder(storeDir string) string { return filepath.Join(storeDir, "live") }

// MakeRoom lets the ballast of a store's folder go, for who cannot open the store because the disk is full. It reports
// whether there was one.
func MakeRoom(storeDir string) bool {
	return os.Remove(filepath.Join(storeDir, room.BallastName)) == nil
}

// New opens the outbox and prepares the nodes; nothing is asked of them yet. A Live that was made must be closed.
func New(c config.Config, o Options) (l *Live, err error) {
	l = &Live{options: o, now: o.Now, log: o.Log, store: &oneWriter{Store: o.Store}, config: c, trouble: map[string]string{},
		contacts: newContacts(c.Contacts), notices: make(chan notice, mostNotices), urgent: make(chan struct{}, 1)}
	if l.now == nil {
		l.now = time.Now
	}
	l.began = l.now()
	l.seen.Store(&view{cases: []CaseState{}})
	l.metrics = newMetrics(l)
	if o.LabelFiles != nil {
		l.stamps = engine.StampLabels(o.LabelFiles()) // before they are read: no change is missed
	}
	if l.labels, err = o.Labels(); err != nil {
		return nil, err
	}
	if l.lists, err = readLists(c); err != nil {
		return nil, err
	}
	l.digests = digestsOf(l.labels, l.lists)
	for _, ch := range c.Chains {
		one, err := l.newChain(ch)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("chain %s: %w", ch.Chain, err), l.closeChains())
		}
		l.chains = append(l.chains, one)
	}
	for _, s := range o.Sources {
		l.chains = append(l.chains, l.sourceChain(s))
	}
	if err := os.MkdirAll(c.Store, 0o755); err != nil {
		return nil, errors.Join(err, l.closeChains())
	}
	ballast := int64(*c.Disk.Ballast)
	if ballast == 0 {
		ballast = -1
	}
	if l.room, err = room.Watch(c.Store, room.Config{Low: uint64(c.Disk.Low), Resume: uint64(c.Disk.Resume), Ballast: ballast, Tell: l.roomChanged, Disk: o.Disk}); err != nil {
		return nil, errors.Join(err, l.closeChains())
	}
	config, err := l.outboxConfig(c)
	if err == nil {
		l.outbox, err = outbox.Open(filepath.Join(Folder(c.Store), "outbox"), config)
		l.sinks = sinksOf(config)[len(o.Sinks):]
	}
	if err != nil {
		return nil, errors.Join(err, l.closeChains())
	}
	return l, nil
}

// Close closes what New opened.
func (l *Live) Close() error {
	err := errors.Join(l.closeChains(), l.outbox.Close())
	closeSinks(l.sinks)
	return err
}

// closeSinks ends the connections of sinks.
func closeSinks(all []alert.Sink) {
	for _, s := range all {
		if c, ok := s.(interface{ Close() }); ok {
			c.Close()
		}
	}
}

func (l *Live) closeChains() error {
	for _, c := range l.chains {
		c.close()
	}
	return nil
}

// Run follows the chains until ctx is done, and returns when everything that it started has ended. Trouble with a node,
// a block or a sink does not end it; what the disk or the store refuses does, after what was taken in is safe.
func (l *Live) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	start := func(what string, f func(context.Context) error) {
		all.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	start("outbox", l.outbox.Deliver)
	start("free space", l.lookAtDisk)
	start("notices", l.sayNotices)
	if err := l.begin(ctx); err != nil {
		stop(err)
		all.Wait()
		return endOf(ctx)
	}
	start("state", l.keep)
	start("labels", l.followLabels)
	for _, c := range l.chains {
		start(c.chain.String(), c.follow)
		start(c.chain.String(), c.fillHoles)
		start(c.chain.String(), c.lookAhead)
	}
	<-ctx.Done()
	all.Wait()
	return errors.Join(endOf(ctx), l.save(context.WithoutCancel(ctx), true))
}

// endOf is why something ended; nil if it was told to.
func endOf(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// whenRoom does something that writes, and does it again when there is room where the disk was full.
func (l *Live) whenRoom(ctx context.Context, do func() error) error {
	for {
		err := do()
		if !errors.Is(err, store.ErrFull) && !errors.Is(err, outbox.ErrFull) {
			return err
		}
		l.log.Warn("the disk is full", "error", err.Error())
		if _, err := l.room.Release(); err != nil {
			return err
		}
		rest(ctx, again)
		if err := l.room.Wait(ctx); err != nil {
			return err
		}
	}
}

// A notice is something about Spoor itself that people must know.
type notice struct {
	key         string
	severity    finding.Severity
	chain       flow.Chain
	title, text string
}

// mostNotices is how many notices may wait for the outbox.
const mostNotices = 256

// notice hands something over to be told, without waiting for the disk.
func (l *Live) notice(n notice) {
	select {
	case l.notices <- n:
	default:
		l.log.Warn("too much happens at once: this is told here only", "title", n.title, "text", n.text)
	}
}

// sayNotices tells what was handed over, until ctx is done.
func (l *Live) sayNotices(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case n := <-l.notices:
			l.say(ctx, n)
		}
	}
}

// say tells people something about Spoor itself, each time anew.
func (l *Live) say(ctx context.Context, n notice) {
	now := l.now()
	level := slog.LevelInfo
	if n.severity >= finding.Medium {
		level = slog.LevelWarn
	}
	l.log.Log(ctx, level, n.title, "about", n.key, "text", n.text)
	err := l.outbox.Add(ctx, flow.Point{}, []alert.Alert{{
		Key: fmt.Sprintf("state/%s/%d", n.key, now.UnixMicro()), Kind: alert.State, Severity: n.severity,
		Title: finding.Clean(n.title, 200), Text: finding.Clean(n.text, 1000), Chain: n.chain, Seen: now, Made: now,
	}})
	if err != nil && ctx.Err() == nil {
		l.log.Error("a message about Spoor itself was not kept", "about", n.key, "error", err.Error())
	}
}

// lookEvery is how often the disk is looked at while nothing is written.
const lookEvery = 5 * time.Second

// lookAtDisk looks at the disk until ctx is done.
func (l *Live) lookAtDisk(ctx context.Context) error {
	for rest(ctx, lookEvery); ctx.Err() == nil; rest(ctx, lookEvery) {
		if _, err := l.room.Look(); err != nil {
			l.log.Warn("the room on the disk is not known", "error", err.Error())
		}
	}
	return nil
}

// roomChanged tells that the disk has too little room, or enough again.
func (l *Live) roomChanged(s room.State) {
	was := l.low.Swap(s.Low)
	if was == s.Low {
		return
	}
	n := notice{key: "disk", severity: finding.Info, title: "There is room on the disk again", text: "Blocks are taken in again, from where they were left."}
	if s.Low {
		n.severity, n.title = finding.Critical, "The disk is nearly full: no block is taken in"
		n.text = fmt.Sprintf("%s are free. Nothing is lost: it goes on by itself when there is more room.", sizeOf(s.Free))
	}
	l.notice(n)
}

// setTrouble says what is in trouble and why; without a reason it is over.
func (l *Live) setTrouble(what, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if why == "" {
		delete(l.trouble, what)
		return
	}
	l.trouble[what] = why
}
