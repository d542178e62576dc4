// Package store is the contract of everything that keeps transactions and finds them again by who was touched.
package store

import (
	"context"
	"errors"

	"github.com/spoor-dev/spoor/flow"
)

var (
	// ErrNotFound is returned for a block, transaction or outpoint which the store does not hold, and for filling in a
	// block above which it holds none that is final.
	ErrNotFound = errors.New("not in the store")
	// ErrNotHead is returned for a block that does not go on top of the chain, and for an undo of one that is not there.
	ErrNotHead = errors.New("not on top of the chain")
	// ErrFinal is returned for a fork deeper than finality: an undo below a block that was declared final, and a block to
	// fill in which does not link to its final neighbours.
	ErrFinal = errors.New("below a final block")
	// ErrFormat is returned on opening a store that another version of the format wrote.
	ErrFormat = errors.New("another format version")
	// ErrFull is returned when the disk has too little room left to go on safely. Nothing is half-written.
	ErrFull = errors.New("disk full")
)

// An ID is a store's own short name for an account of one chain. IDs stay what they are while the store lives, except
// that an undone block takes the IDs with it that only it used. 0 is nobody.
type ID uint64

// An Entry is one leg of a movement, seen from the account that is asked for. It is a fact.
type Entry struct {
	Pos    flow.Pos
	Asset  flow.Asset
	Amount flow.Amount // of this leg; for an In leg whose origin is not known there is no entry
	Other  ID          // the other side where the movement has one leg on either side; 0 for an issue or a burn
	Index  uint32      // the movement's own index: log index or trace place
	Leg    uint32      // place of the leg among the In or the Out legs
	Kind   flow.Kind
	Gives  bool // the account is on the In side
	Many   bool // the movement has several legs on a side (or an unknown one): see the transaction
}

// An Ask is a question for the entries of one holder.
type Ask struct {
	Holder ID
	From   flow.Pos // the first place of interest; the zero Pos is everything
	Limit  int      // at most so many entries, 0 for all; an answer of Limit entries may have more behind it
	Back   bool     // from there back: the entries at From and before it, newest first
}

// A Snapshot is one consistent state of a store; blocks that arrive later are not seen by it. It is safe for several
// goroutines. Close releases it.
type Snapshot interface {
	// Chains lists the chains of the store in order.
	Chains() []flow.Chain
	// Tip is the newest block of a chain; ok is false for a chain without blocks.
	Tip(c flow.Chain) (p flow.Point, ok bool)
	// Recent lists at most n of the newest blocks that the store holds, newest first.
	Recent(ctx context.Context, c flow.Chain, n int) ([]flow.Point, error)
	// Block is a whole block, byte for byte what was appended. Errors: ErrNotFound.
	Block(ctx context.Context, c flow.Chain, height uint64) (flow.Block, error)
	// Point is the block at a height. Errors: ErrNotFound.
	Point(ctx context.Context, c flow.Chain, height uint64) (flow.Point, error)
	// FirstAt is the first block whose time is t or later. Errors: ErrNotFound if there is none. Block times are assumed to
	// rise; on UTXO chains they may fall back by up to two hours.
	FirstAt(ctx context.Context, c flow.Chain, t int64) (flow.Point, error)
	// Tx is a whole transaction by its id. Errors: ErrNotFound.
	Tx(ctx context.Context, c flow.Chain, id flow.Hash) (flow.Tx, error)
	// TxAt are the whole transactions at these places (their Movement part is ignored), in the order asked. Errors:
	// ErrNotFound.
	TxAt(ctx context.Context, c flow.Chain, at []flow.Pos) ([]flow.Tx, error)
	// IDs are the short names of accounts of one chain, 0 where the store has never seen the account.
	IDs(ctx context.Context, c flow.Chain, accounts []flow.Account) ([]ID, error)
	// Accounts is the inverse of IDs: 0 is the zero Account. Errors: ErrNotFound for an ID that was never given out.
	Accounts(ctx context.Context, c flow.Chain, ids []ID) ([]flow.Account, error)
	// Entries answers many questions at once: visit(i, entries) is called exactly once for each asks[i], with all
	// entries of that holder from that place on, in chain order, In legs before Out legs of one movement; going back,
	// exactly the reverse. The slice is only valid during the call, and without a Limit it is as long as the history. visit may be called from several goroutines at once and in any order of i; its first
	// error ends the look-up and is returned.
	Entries(ctx context.Context, c flow.Chain, asks []Ask, visit func(i int, entries []Entry) error) error
	// Outputs are the owner and amount of these outpoints, a zero Leg where the store has never seen the transaction.
	Outputs(ctx context.Context, c flow.Chain, of []flow.Outpoint) ([]flow.Leg, error)
	// Spends are the places of the transactions that spend these outpoints; ok[i] is false where none is known.
	Spends(ctx context.Context, c flow.Chain, of []flow.Outpoint) (at []flow.Pos, ok []bool, err error)
	// Holes lists the runs of heights between the chain's first block and its tip that the store does not hold.
	Holes(ctx context.Context, c flow.Chain) ([]Hole, error)
	// Close releases the snapshot.
	Close() error
}

// A Hole is a run of heights that the store does not hold, both ends included.
type Hole struct{ From, To uint64 }

// A Store keeps chains. One goroutine goes forward and back, another may fill holes beside it; any number read through
// snapshots meanwhile.
type Store interface {
	// Append puts blocks on top of their chains, each whole or not at all, in this order, and stops at the first that
	// cannot go there. A block goes on top if its height is above the tip's and, at the very next height, its Parent is
	// the tip's hash (where both are known). A block which the tip already is, by height and hash, is passed over. One whose
	// transactions are of another block, do not rise in index, or name accounts of another chain is refused.
	// When Append returns, the blocks are visible to new snapshots; they survive a crash from then on too, unless the
	// store was opened for bulk loading: then from the next Sync. n is the number of blocks which were put on.
	Append(ctx context.Context, blocks []flow.Block) (n int, err error)
	// Fill puts blocks into heights that the store does not hold, in holes or below the chain's first block, each whole or
	// not at all, in this order, and stops at the first that cannot go there. A height can be filled once a block above it
	// was declared final; the filled block is final with it. Its Parent must be the hash of the block right below, and it
	// the Parent of the one right above, where these are held and both sides are known. A block which is held already, by
	// height and hash, is passed over. The blocks of other heights stay byte for byte as they are: an input whose output
	// is now there stays open where it was. But for IDs, every answer is then as if the block had come in its turn.
	// When Fill returns, the blocks are visible to new snapshots and survive a crash. n is the number of blocks which were
	// put in. Errors: ErrNotFound where no final block is above; ErrFinal where the block or its links contradict what is
	// held.
	Fill(ctx context.Context, blocks []flow.Block) (n int, err error)
	// Undo takes the tip off, which must be top by height and hash. Errors: ErrNotHead, ErrFinal.
	Undo(ctx context.Context, top flow.Point) error
	// Final declares a block of the chain, and all below it, past undoing; a crash may take the declaration back, not the
	// block. Errors: ErrNotFound where the store does not hold that block.
	Final(ctx context.Context, p flow.Point) error
	// Sync makes everything appended so far survive a crash.
	Sync(ctx context.Context) error
	// Snapshot is the state of now.
	Snapshot() (Snapshot, error)
	// Compact finishes a bulk load: it folds what is final into the form that is fast to look up.
	Compact(ctx context.Context) error
	// Close closes the store. Snapshots must be closed before.
	Close() error
}
