package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spoor-dev/spoor/alert/outbox"
	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/decode"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/store"
)

// A Source is a chain that is read from something else than the nodes of the configuration.
type Source struct {
	source.Source
	Decoder       decode.Decoder
	Confirmations uint64 // how deep a fork may be at most
}

// A chain is one chain that is followed.
type chain struct {
	live    *Live
	chain   flow.Chain
	config  config.Chain
	source  source.Source
	nodes   *engine.Nodes // where the source is from, if it is one of nodes
	decoder decode.Decoder

	running atomic.Bool // blocks are taken in
	eating  sync.Mutex  // held while a block goes from the store to the alerts

	mu    sync.Mutex
	seen  map[flow.Hash]time.Time // when blocks that are not eaten yet were heard of
	stats ingest.Stats
	tip   flow.Point // the newest block that was eaten
	saved uint64     // its height when the memory was kept last
	eaten time.Time  // when
	final flow.Point
	fills ingest.Stats
}

// newChain prepares the nodes of a chain.
func (l *Live) newChain(c config.Chain) (*chain, error) {
	ch := &chain{live: l, chain: c.Chain, config: c, seen: map[flow.Hash]time.Time{}}
	fc := l.options.Follow
	fc.Seen, fc.Tell = ch.heard, ch.tell
	var err error
	if ch.nodes, err = engine.OpenNodes(c, fc); err != nil {
		return nil, err
	}
	ch.source, ch.decoder = ch.nodes.Source, ch.nodes.Decoder
	return ch, nil
}

// sourceChain is a chain that is read from a source of the caller's.
func (l *Live) sourceChain(s Source) *chain {
	return &chain{live: l, chain: s.Chain(), config: config.Chain{Chain: s.Chain(), Confirmations: s.Confirmations}, source: s.Source, decoder: s.Decoder,
		seen: map[flow.Hash]time.Time{}}
}

// close ends the connections of the nodes.
func (c *chain) close() {
	if c.nodes != nil {
		c.nodes.Close()
	}
}

// mostSeen bounds the blocks that were heard of and never came.
const mostSeen = 4096

// heard notes when a block was first heard of.
func (c *chain) heard(p flow.Point, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) >= mostSeen {
		clear(c.seen)
	}
	if _, there := c.seen[p.Hash]; !there {
		c.seen[p.Hash] = at
	}
}

// seenAt is when a block was heard of: now, if nobody said so.
func (c *chain) seenAt(h flow.Hash) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.seen[h]
	if !ok {
		return c.live.now()
	}
	delete(c.seen, h)
	return at
}

// tell turns what a source noticed into messages about the state of Spoor.
func (c *chain) tell(e follow.Event) {
	severity, title, text := finding.Info, "", e.Reason
	switch e.Kind {
	case follow.NodeLied:
		severity, title = finding.High, fmt.Sprintf("Node %s gave what cannot be", e.Node)
	case follow.NodeStale:
		severity, title = finding.Low, fmt.Sprintf("Node %s lacks the newest blocks", e.Node)
	case follow.Forked:
		title, text = fmt.Sprintf("A fork of %s", engine.Count(e.Depth, "block")), fmt.Sprintf("The branch of %s won. Alerts that do not stand on it are corrected.", e.Point)
		if e.Depth >= deepFork {
			severity = finding.High
		}
	case follow.HoleOpened:
		severity, title = finding.High, fmt.Sprintf("Blocks %d to %d are missing", e.Hole.From, e.Hole.To)
		text = e.Hole.Reason + ". What moved in them is not seen until they are filled."
	case follow.Unconfirmed:
		severity, title = finding.Low, "Blocks are taken that too few nodes confirm"
	case follow.AllIll:
		severity, title, text = finding.High, "No node answers: the chain is not followed", c.whyIll()
	case follow.Recovered:
		title = "A node answers again: the chain is followed"
	case follow.Confirmed:
		title = "Enough nodes confirm the blocks again"
	case follow.NodeRecovered:
		title = fmt.Sprintf("Node %s answers well again", e.Node)
	case follow.NodeSwitched:
		title = fmt.Sprintf("Node %s is followed now", e.Node)
	}
	if title == "" {
		return
	}
	c.live.notice(notice{fmt.Sprintf("%s/%s/%s", e.Kind, c.chain, e.Node), severity, c.chain, fmt.Sprintf("%s: %s", c.chain, title), text})
}

// whyIll is what keeps each node from answering.
func (c *chain) whyIll() string {
	var all strings.Builder
	for _, n := range c.nodes.Source.Status().Nodes {
		fmt.Fprintf(&all, "%s: %s; ", n.Name, cmp.Or(n.Lie, n.Error, "no answer"))
	}
	return all.String() + "it goes on by itself as soon as one answers well."
}

// deepFork is the depth from which on a fork is told as severe: deeper than the deepest on the beacon chain was in years
// (7 blocks, May 2022).
const deepFork = 8

// A chain that failed rests for again before it is followed again, and twice as long each time until it goes well.
const (
	again     = time.Second
	mostAgain = time.Minute
)

// follow takes blocks in until ctx is done. What ends a run and may pass is tried again; a fork below what is final does
// not pass.
func (c *chain) follow(ctx context.Context) error {
	pause, told := again, ""
	for {
		c.running.Store(true)
		before := c.snapshotStats()
		stats, err := ingest.Run(ctx, c.source, c.decoder, c.live.store, ingest.Config{
			Stage: (*stage)(c), Room: c.hasRoom(ctx), Delay: time.Millisecond, Known: mostKnown,
			Progress: func(s ingest.Stats, _, _ int64) { c.setStats(before.Plus(s)) },
		})
		c.running.Store(false)
		c.setStats(before.Plus(stats))
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil: // a source that ends
			<-ctx.Done()
			return nil
		case errors.Is(err, store.ErrFinal), errors.Is(err, follow.ErrDeep):
			c.live.say(ctx, notice{"deep-fork/" + c.chain.String(), finding.Critical, c.chain, fmt.Sprintf("%s is not followed any more", c.chain), err.Error()})
			return err
		case errors.Is(err, outbox.ErrBroken):
			return err
		case errors.Is(err, store.ErrFull), errors.Is(err, outbox.ErrFull):
			if _, releaseErr := c.live.room.Release(); releaseErr != nil {
				return errors.Join(err, releaseErr)
			}
		}
		if stats.Blocks > 0 {
			pause, told = again, ""
		}
		c.live.setTrouble(c.chain.String(), err.Error())
		if told != err.Error() {
			told = err.Error()
			c.live.say(ctx, notice{"stopped/" + c.chain.String(), finding.High, c.chain, fmt.Sprintf("Following %s was interrupted", c.chain), err.Error()})
		}
		rest(ctx, pause)
		if ctx.Err() != nil {
			return nil
		}
		pause = min(2*pause, mostAgain)
		// What the store took and the cases did not see is eaten from the store.
		if err := c.live.rebuild(ctx, false, flow.Point{}); err != nil {
			return err
		}
		c.live.setTrouble(c.chain.String(), "")
	}
}

// hasRoom waits for room on the disk, and ends with ctx: what ingest gives it goes on after a stop, to finish what it
// began, and must not wait for room then.
func (c *chain) hasRoom(ctx context.Context) func(context.Context) error {
	return func(context.Context) error { return c.live.room.Wait(ctx) }
}

// mostKnown is how many of its newest blocks the store shows to the nodes: a fork that is deeper cannot be followed.
const mostKnown = 10_000

// rest waits for a while, or until ctx is done.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (c *chain) setStats(s ingest.Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats = s
}

func (c *chain) snapshotStats() ingest.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// fillEvery is how often holes are looked for.
const fillEvery = time.Minute

// fillHoles reads blocks that are missing as soon as a node can give them.
func (c *chain) fillHoles(ctx context.Context) error {
	if c.nodes == nil || !*c.config.Fill {
		return nil
	}
	want := ingest.FillConfig{Room: c.hasRoom(ctx)}
	if from := c.config.Backfill; from != nil {
		want.Below, want.From = true, *from
	}
	tick := time.NewTicker(cmp.Or(c.live.options.FillEvery, fillEvery))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		filled, err := c.lowestHole(ctx)
		if err != nil {
			return err
		}
		stats, err := ingest.Fill(ctx, c.nodes.Source, c.decoder, c.live.store, want)
		if stats.Blocks > 0 {
			c.mu.Lock()
			c.fills = c.fills.Plus(stats)
			c.mu.Unlock()
			c.live.say(ctx, notice{"filled/" + c.chain.String(), finding.Info, c.chain, fmt.Sprintf("%s: %s filled in", c.chain, engine.Count(stats.Blocks, "missing block")), "Open cases are followed anew through them."})
			if err := c.live.rebuild(ctx, true, filled); err != nil {
				return err
			}
		}
		if err != nil && ctx.Err() == nil {
			c.live.log.Warn("holes are not filled", "chain", c.chain.String(), "error", err.Error())
		}
	}
}

// lowestHole is the first block that is missing; zero if none is.
func (c *chain) lowestHole(ctx context.Context) (p flow.Point, err error) {
	s, err := c.live.store.Snapshot()
	if err != nil {
		return p, err
	}
	holes, err := s.Holes(ctx, c.chain)
	if err = errors.Join(err, s.Close()); err != nil || len(holes) == 0 {
		return p, err
	}
	return flow.Point{Chain: c.chain, Height: holes[0].From}, nil
}
