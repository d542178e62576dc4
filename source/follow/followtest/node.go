package followtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/follow"
)

// A Fault is what is wrong with a Node.
type Fault uint8

// The faults. Those up to Silent are no lies.
const (
	Honest        Fault = iota
	Failing             // every call is an error
	Missing             // it has headers, and no blocks
	Hanging             // no call for a block or a header returns before its context is done
	Silent              // no call at all does
	OtherBlock          // it gives the block below the one that it is asked for
	ChangedRaw          // a byte of the block is another
	Garbage             // the block is noise
	Truncated           // the block's end is missing
	Empty               // the block has no content
	WrongParent         // the block names another parent
	FakeHead            // its head is far above its branch, and invented
	FakeBranch          // its newest headers are invented, linked, and two more than the branch has
	Unlinked            // every second header names another parent
	WrongHeights        // headers are of other heights than asked
	OtherChain          // it serves another chain
	OtherFinal          // it calls an invented block final
	FinalAhead          // it calls blocks final that are far above its head
	countOfFaults       // not a fault
)

// Faults are all of them but Honest.
func Faults() []Fault {
	var all []Fault
	for f := Failing; f < countOfFaults; f++ {
		all = append(all, f)
	}
	return all
}

// IsLie reports whether a node with that fault says what cannot be.
func (f Fault) IsLie() bool { return f > Silent }

// String names the fault.
func (f Fault) String() string {
	return [...]string{"honest", "failing", "missing", "hanging", "silent", "other-block", "changed-raw", "garbage", "truncated", "empty", "wrong-parent",
		"fake-head", "fake-branch", "unlinked", "wrong-heights", "other-chain", "other-final", "final-ahead"}[f]
}

// Calls counts what a Node was asked.
type Calls struct{ Chain, Head, Headers, Block, Final, Watch int }

// All is the sum.
func (c Calls) All() int { return c.Chain + c.Head + c.Headers + c.Block + c.Final + c.Watch }

// A Node is a follow.Node whose branch and faults a test sets, at any time. Its zero fields make an honest one that
// answers at once, does not push, and calls nothing final.
type Node struct {
	name string

	mu      sync.Mutex
	chain   flow.Chain
	branch  Branch
	fault   Fault
	latency time.Duration
	pushes  bool
	final   int // height of the block that it calls final; none if negative
	wakes   []chan struct{}
	calls   Calls
	most    int // calls for blocks at once
	flying  int
	orphan  Branch          // what it gives below its head, as far as it goes
	bad     map[uint64]bool // heights whose block it gives with changed content
}

// NewNode is an honest node.
func NewNode(name string, c flow.Chain, b Branch) *Node {
	return &Node{name: name, chain: c, branch: b, final: -1, bad: map[uint64]bool{}}
}

// SetBranch gives the node another branch, longer or not, and tells those who watch.
func (n *Node) SetBranch(b Branch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.branch = b
	for _, w := range n.wakes {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// SetFault makes the node behave so from now on.
func (n *Node) SetFault(f Fault) { n.set(func() { n.fault = f }) }

// SetLatency is how long each answer takes.
func (n *Node) SetLatency(d time.Duration) { n.set(func() { n.latency = d }) }

// SetPush makes the node say by itself that there is something new.
func (n *Node) SetPush(on bool) { n.set(func() { n.pushes = on }) }

// SetFinal is the height of the block that the node calls final; it says none if negative.
func (n *Node) SetFinal(height int) { n.set(func() { n.final = height }) }

// SetBad makes the node give a changed block at that height, or the true one again.
func (n *Node) SetBad(height uint64, on bool) { n.set(func() { n.bad[height] = on }) }

// SetOrphan makes the node give the blocks of a branch that lost, as far as it goes, below a head of the branch that won.
func (n *Node) SetOrphan(b Branch) { n.set(func() { n.orphan = b }) }

func (n *Node) set(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

// Calls is what the node was asked so far.
func (n *Node) Calls() Calls {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.calls
}

// MostAtOnce is how many calls for blocks were under way at one time.
func (n *Node) MostAtOnce() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.most
}

var errFailing = errors.New("503 try again later")

// enter counts a call, waits as long as the node takes, and returns how it is then.
func (n *Node) enter(ctx context.Context, isDeep bool, count func(*Calls)) (Branch, Fault, error) {
	n.mu.Lock()
	count(&n.calls)
	latency, fault := n.latency, n.fault
	n.mu.Unlock()
	if fault == Silent || fault == Hanging && isDeep {
		<-ctx.Done()
		return Branch{}, 0, ctx.Err()
	}
	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return Branch{}, 0, ctx.Err()
		case <-timer.C:
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fault == Failing {
		return Branch{}, 0, errFailing
	}
	return n.branch, n.fault, nil
}

// Name implements follow.Node.
func (n *Node) Name() string { return n.name }

// Chain implements follow.Node.
func (n *Node) Chain(ctx context.Context) (flow.Chain, error) {
	_, fault, err := n.enter(ctx, false, func(c *Calls) { c.Chain++ })
	if err != nil {
		return flow.Chain{}, err
	}
	if fault == OtherChain {
		return flow.EVMChain(666), nil
	}
	return n.chain, nil
}

// invented is a hash that is of no block.
func (n *Node) invented(height uint64) flow.Hash {
	h := flow.Hash{0: 0xfa, 1: 0x15, 2: 0xe0, 24: byte(height >> 8), 25: byte(height)}
	copy(h[3:24], n.name)
	return h
}

// lied is the branch as a node with that fault tells it.
func (n *Node) lied(b Branch, f Fault) []source.Block {
	switch f {
	case FakeBranch:
		from := max(len(b.blocks)-3, 1)
		blocks := slices.Clone(b.blocks[:from])
		for h := from; h < len(b.blocks)+2; h++ {
			at := flow.Point{Chain: n.chain, Height: uint64(h), Hash: n.invented(uint64(h)), Time: int64(h) * Interval}
			blocks = append(blocks, source.Block{Point: at, Parent: blocks[h-1].Point.Hash, Raw: []byte("invented")})
		}
		return blocks
	case Unlinked:
		blocks := slices.Clone(b.blocks)
		for i := 1; i < len(blocks); i += 2 {
			blocks[i].Parent = n.invented(uint64(i))
		}
		return blocks
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := len(n.orphan.blocks); k > 0 && k < len(b.blocks) {
		return slices.Concat(n.orphan.blocks, b.blocks[k:])
	}
	return b.blocks
}

// Head implements follow.Node.
func (n *Node) Head(ctx context.Context) (follow.Header, error) {
	b, fault, err := n.enter(ctx, false, func(c *Calls) { c.Head++ })
	if err != nil {
		return follow.Header{}, err
	}
	blocks := n.lied(b, fault)
	if len(blocks) == 0 {
		return follow.Header{}, follow.ErrNotFound
	}
	h := header(blocks[len(blocks)-1])
	if fault == FakeHead {
		h.Point.Height += 1000
		h.Parent, h.Point.Hash = n.invented(h.Point.Height-1), n.invented(h.Point.Height)
	}
	return h, nil
}

// Headers implements follow.Node.
func (n *Node) Headers(ctx context.Context, from uint64, count int) ([]follow.Header, error) {
	b, fault, err := n.enter(ctx, true, func(c *Calls) { c.Headers++ })
	if err != nil {
		return nil, err
	}
	blocks := n.lied(b, fault)
	if from >= uint64(len(blocks)) {
		return nil, follow.ErrNotFound
	}
	var list []follow.Header
	for _, block := range blocks[from:min(uint64(len(blocks)), from+uint64(count))] {
		h := header(block)
		if fault == WrongHeights {
			h.Point.Height += 7
		}
		list = append(list, h)
	}
	return list, nil
}

// Block implements follow.Node.
func (n *Node) Block(ctx context.Context, h follow.Header) (source.Block, error) {
	n.mu.Lock()
	n.flying++
	n.most = max(n.most, n.flying)
	n.mu.Unlock()
	defer n.set(func() { n.flying-- })
	b, fault, err := n.enter(ctx, true, func(c *Calls) { c.Block++ })
	if err != nil {
		return source.Block{}, err
	}
	blocks := n.lied(b, fault)
	height := h.Point.Height
	if fault == Missing || height >= uint64(len(blocks)) || blocks[height].Point.Hash != h.Point.Hash {
		return source.Block{}, follow.ErrNotFound
	}
	block := blocks[height]
	block.Raw = slices.Clone(block.Raw)
	if n.isBad(height) {
		fault = ChangedRaw
	}
	switch fault {
	case OtherBlock:
		if height > 0 {
			block = blocks[height-1]
		}
	case ChangedRaw:
		block.Raw[len(block.Raw)/2] ^= 1
	case Garbage:
		block.Raw = []byte{0xff, 0, 1, 2, 3}
	case Truncated:
		block.Raw = block.Raw[:len(block.Raw)/2]
	case Empty:
		block.Raw = nil
	case WrongParent:
		block.Parent = n.invented(height)
	}
	return block, nil
}

func (n *Node) isBad(height uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.bad[height]
}

// Final implements follow.Node.
func (n *Node) Final(ctx context.Context) (flow.Point, bool, error) {
	b, fault, err := n.enter(ctx, false, func(c *Calls) { c.Final++ })
	if err != nil {
		return flow.Point{}, false, err
	}
	n.mu.Lock()
	final := n.final
	n.mu.Unlock()
	switch {
	case fault == FinalAhead:
		return flow.Point{Chain: n.chain, Height: uint64(len(b.blocks) + 1000), Hash: n.invented(1)}, true, nil
	case final < 0 || final >= len(b.blocks):
		return flow.Point{}, false, nil
	case fault == OtherFinal:
		return flow.Point{Chain: n.chain, Height: uint64(final), Hash: n.invented(uint64(len(b.blocks)))}, true, nil
	}
	return b.blocks[final].Point, true, nil
}

// Watch implements follow.Node.
func (n *Node) Watch(ctx context.Context, wake func()) error {
	n.mu.Lock()
	n.calls.Watch++
	if !n.pushes {
		n.mu.Unlock()
		return fmt.Errorf("watch %s: %w", n.name, follow.ErrNoPush)
	}
	w := make(chan struct{}, 1)
	n.wakes = append(n.wakes, w)
	n.mu.Unlock()
	defer n.set(func() { n.wakes = slices.DeleteFunc(n.wakes, func(c chan struct{}) bool { return c == w }) })
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w:
			wake()
		}
	}
}
