package trace

import "iter"

// A book finds the records of accounts, for all ledgers of one case and chain together: each ledger has a column. They
// follow much the same accounts, so that what one of them looks up is at hand for the others.
type book struct {
	rows    map[accountKey][]*record
	columns int
}

func newBook(columns int) *book { return &book{map[accountKey][]*record{}, columns} }

// account is the record of an account in an asset; nil if claim has never reached it.
func (l *Ledger) account(k accountKey) *record {
	if row := l.book.rows[k]; row != nil {
		return row[l.column]
	}
	return nil
}

// accounts yields the records of all accounts, in no order.
func (l *Ledger) accounts() iter.Seq[*record] {
	return func(yield func(*record) bool) {
		for _, row := range l.book.rows {
			if r := row[l.column]; r != nil && !yield(r) {
				return
			}
		}
	}
}

// enter adds the record of an account.
func (b *book) enter(column int, r *record) {
	k := accountKey{r.holder.Account, r.holder.Asset}
	row := b.rows[k]
	if row == nil {
		row = make([]*record, b.columns)
		b.rows[k] = row
	}
	row[column] = r
}

// strike takes the record of an account out.
func (b *book) strike(column int, k accountKey) {
	row := b.rows[k]
	row[column] = nil
	for _, r := range row {
		if r != nil {
			return
		}
	}
	delete(b.rows, k)
}
