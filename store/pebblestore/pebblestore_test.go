package pebblestore

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/storetest"
)

func openMem(t *testing.T, o Options) *Store {
	t.Helper()
	o.fs = vfs.NewMem()
	o.CacheBytes = 8 << 20
	s, err := Open("store", o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return openMem(t, Options{}) })
}

// With segments of a few movements every answer is put together from many segments and a head.
func TestStoreOfSmallSegments(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return openMem(t, Options{SegmentMovements: 3}) })
}
