package pebblestore

import (
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// A join is how Pebble makes one value of the short pieces that several folds have written under one key: it sets one
// behind the other, the older before the newer. So a holder's pieces come together while tables are compacted, and cost
// one key.
type join struct{ b []byte }

func newJoin(_, value []byte) (pebble.ValueMerger, error) { return &join{slices.Clone(value)}, nil }

// MergeNewer adds a newer value.
func (j *join) MergeNewer(value []byte) error {
	j.b = append(j.b, value...)
	return nil
}

// MergeOlder adds an older value.
func (j *join) MergeOlder(value []byte) error {
	j.b = slices.Insert(j.b, 0, value...)
	return nil
}

// Finish returns the whole.
func (j *join) Finish(bool) ([]byte, io.Closer, error) { return j.b, nil, nil }
