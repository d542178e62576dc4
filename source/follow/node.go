// Package follow reads a chain from live nodes, and finds out which of them lie: back-fill, head, forks, finality.
package follow

import (
	"context"
	"errors"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

var (
	// ErrNotFound is returned by a Node for a height or a block that it does not have.
	ErrNotFound = errors.New("the node does not have it")
	// ErrNoPush is returned by a Node that cannot say by itself that there is something new.
	ErrNoPush = errors.New("the node does not push")
)

// A Header is what a node says about one of its blocks, before any of it was checked.
type Header struct {
	Point  flow.Point
	Parent flow.Hash
}

// A Node is one endpoint that serves one chain. It answers what it has and does not judge; it bounds the size and the
// time of every answer. It is safe for several goroutines. What it returns is a claim of a stranger.
type Node interface {
	// Name tells people which endpoint this is: its host, never a key or a password.
	Name() string
	// Chain is the chain that the node says it serves; it is asked once, before all else. An error is temporary.
	Chain(ctx context.Context) (flow.Chain, error)
	// Head is the newest block of the node's own branch.
	Head(ctx context.Context) (Header, error)
	// Headers are those of n blocks of the node's own branch from a height on, fewer where the branch ends. They are not
	// taken in one moment: the caller checks that they are linked. Errors: ErrNotFound where there is none at that height.
	Headers(ctx context.Context, from uint64, n int) ([]Header, error)
	// Block is the whole block of a header, raw as the chain's decoder reads it. It is asked by hash wherever the node can
	// be. Errors: ErrNotFound.
	Block(ctx context.Context, h Header) (source.Block, error)
	// Final is the newest block which the node says will never be undone; ok is false where it does not say.
	Final(ctx context.Context) (p flow.Point, ok bool, err error)
	// Watch calls wake each time when the node says by itself that there is something new, until ctx is done or the
	// connection is lost. wake does not block. Errors: ErrNoPush; then the caller polls.
	Watch(ctx context.Context, wake func()) error
}
