package follow

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// Config is the configuration of a Source. Chain must be set; all else works as zero.
type Config struct {
	// Chain is what the nodes must serve. One that says it serves another is not asked again until its bench is over.
	Chain flow.Chain
	// From is the first block of a reader that holds nothing; with FromHead it begins at the head instead.
	From     uint64
	FromHead bool
	// Check recomputes what a block claims; its error means that the block is not what it says. It is called by several
	// goroutines at once, and for every block before it is yielded. Without it only height, hash and parent are compared
	// with what was asked for, and a node can say what it likes.
	Check func(ctx context.Context, b source.Block) error
	// Poll is how often each node is asked for its head; 1 s if 0. A node that pushes is asked at once besides.
	Poll time.Duration
	// Patience is how long nodes that disagree are waited for before the better branch is followed unconfirmed, and how
	// long a head below the reader's may last before the node is told of as stale; 30 s if 0.
	Patience time.Duration
	// Depth is how many of the reader's newest blocks are remembered: a fork that is deeper ends the stream with
	// ErrDeep. 10,000 if 0.
	Depth int
	// Confirmations is how far behind the head a block is final where no node says it; 64 if 0, none ever if negative.
	Confirmations int
	// Agree is how many nodes must say the same hash at a height before the block is yielded, and how many must call a
	// block final; 2 if 0. It is never more than the nodes which answer.
	Agree int
	// Behind is how many blocks a node may lack of the best before it is stale; 3 if 0.
	Behind uint64
	// Margin is by how many blocks another branch, said by as many nodes, must be longer than the reader's own to be
	// followed; 1 if 0.
	Margin uint64
	// Bench is how long a node that lied is not asked; it doubles with every other lie up to an hour. 1 min if 0. A node
	// that errs sits for a sixtieth of it, doubling up to Bench.
	Bench time.Duration
	// Timeout is how long one call may take; 10 s if 0.
	Timeout time.Duration
	// Slow is after how long a call for a block counts as slow: fewer are made at once then, and another node is asked
	// too. 2 s if 0.
	Slow time.Duration
	// GiveUp is for how long a block is tried that no node gives, while later ones are given, before it is skipped as a
	// Hole; 2 min if 0, never if negative. An outage of all nodes opens no hole.
	GiveUp time.Duration
	// Ahead is how many blocks may be on their way at once, Bytes how large they may be together; 64 and 64 MiB if 0.
	// One block is always under way.
	Ahead int
	Bytes int64
	// Window is how many headers are asked for at once; 128 if 0.
	Window int
	// Seen, if any, is told when the header of a block was first heard of: before the block is yielded, once for each,
	// and for some that never will be. It is called by one goroutine at a time and must not wait.
	Seen func(p flow.Point, at time.Time)
	// Tell, if any, is told what people may want to know at once. It is called by one goroutine at a time and must not
	// wait. It may ask for the Status.
	Tell func(Event)
	// Chance is where jitter comes from: numbers in [0, 1), asked for by several goroutines at once. The runtime's own if nil.
	Chance func() float64
}

const (
	mostBench  = time.Hour
	illPerLie  = 60  // a node that errs sits so many times shorter than one that lies
	mostHoles  = 100 // of the newest holes, that a Status lists
	firstLimit = 4   // calls for blocks at once to a node of which nothing is known yet
)

func (c Config) withDefaults(nodes int) Config {
	orDuration := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	orInt := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	orDuration(&c.Poll, time.Second)
	orDuration(&c.Patience, 30*time.Second)
	orDuration(&c.Bench, time.Minute)
	orDuration(&c.Timeout, 10*time.Second)
	orDuration(&c.Slow, 2*time.Second)
	orDuration(&c.GiveUp, 2*time.Minute)
	orInt(&c.Depth, 10_000)
	orInt(&c.Confirmations, 64)
	orInt(&c.Agree, 2)
	orInt(&c.Ahead, 64)
	orInt(&c.Window, 128)
	if c.Behind == 0 {
		c.Behind = 3
	}
	if c.Margin == 0 {
		c.Margin = 1
	}
	if c.Bytes <= 0 {
		c.Bytes = 64 << 20
	}
	if c.Chance == nil {
		c.Chance = rand.Float64
	}
	c.Agree = max(1, min(c.Agree, nodes))
	c.Depth, c.Ahead, c.Window = max(c.Depth, 1), max(c.Ahead, 1), max(c.Window, 2)
	return c
}
