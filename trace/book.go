package trace

import (
	"iter"

	"github.com/spoor-dev/spoor/flow"
)

// A book holds what the ledgers of one case and chain have in common. They follow much the same accounts by much the same
// ways, so that what one of them looks up or writes is at hand for the others. Each ledger has a column.
type book struct {
	rows    map[accountKey]*row
	owners  map[flow.Account]*owner
	columns int
	entered uint64 // rows so far: who found none finds none until there are more
	ways    ways
	log     journal
	seat    *seat // where the ledgers stand on a Desk, if they do
}

// A row is what claim has reached, and what each ledger knows of it.
type row struct {
	holder  Holder
	owner   *owner      // nil for a coin, which is in no book
	records []*record   // by column; nil for a coin
	parties [2]*parties // of the crowd around it, as they were listed last
	room    [4]*record
}

// An owner is an account, in whatever assets.
type owner struct {
	rows int
	live []int // how many records are followed, by column
	all  int   // in all columns
	room [4]int
}

// bind makes the book of ledgers, each with a column of its own.
func bind(ledgers []*Ledger, undoDepth int) {
	b := &book{rows: map[accountKey]*row{}, owners: map[flow.Account]*owner{}, columns: len(ledgers)}
	b.log = journal{ledgers: ledgers, depth: undoDepth}
	for i, l := range ledgers {
		l.book, l.log, l.column = b, &b.log, i
	}
}

// account is the record of an account in an asset; nil if claim has never reached it.
func (l *Ledger) account(k accountKey) *record { return l.recordOf(l.book.rows[k]) }

// recordOf is what the ledger itself knows of a row; nil if it is nothing.
func (l *Ledger) recordOf(w *row) *record {
	if w == nil {
		return nil
	}
	return w.records[l.column]
}

// accounts yields the records of all accounts, in no order.
func (l *Ledger) accounts() iter.Seq[*record] {
	return func(yield func(*record) bool) {
		for _, w := range l.book.rows {
			if r := w.records[l.column]; r != nil && !yield(r) {
				return
			}
		}
	}
}

// row is the row of an account in an asset, which it makes if there is none.
func (b *book) row(k accountKey) *row {
	w := b.rows[k]
	if w != nil {
		return w
	}
	o := b.owners[k.account]
	if o == nil {
		o = &owner{}
		o.live = sized(o.room[:], b.columns)
		b.owners[k.account] = o
	}
	o.rows++
	w = &row{holder: Holder{Account: k.account, Asset: k.asset}, owner: o}
	w.records = sized(w.room[:], b.columns)
	b.rows[k] = w
	b.entered++
	return w
}

// sized is n zeros, in the room there is if they fit.
func sized[T any](room []T, n int) []T {
	if n > len(room) {
		return make([]T, n)
	}
	return room[:n]
}

// strike takes a record out, and its row if nobody has one.
func (b *book) strike(column int, w *row) {
	w.records[column] = nil
	for _, r := range w.records {
		if r != nil {
			return
		}
	}
	delete(b.rows, accountKey{w.holder.Account, w.holder.Asset})
	if w.owner.rows--; w.owner.rows == 0 {
		delete(b.owners, w.holder.Account)
	}
}
