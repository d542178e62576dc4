package memstore_test

import (
	"testing"

	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/storetest"
)

func open(*testing.T) store.Store { return memstore.New() }

func TestStore(t *testing.T) { storetest.Run(t, open) }

func TestSame(t *testing.T) { storetest.RunSame(t, open, open) }

// A kept store stays what it is when it is closed, as one on a disk would.
type kept struct{ *memstore.Store }

func (kept) Close() error { return nil }

// TestDurable shows that the suite for stores on disk asks for nothing that the reference does not do.
func TestDurable(t *testing.T) {
	disk := map[string]kept{}
	storetest.RunDurable(t, func(_ *testing.T, dir string) store.Store {
		if _, ok := disk[dir]; !ok {
			disk[dir] = kept{memstore.New()}
		}
		return disk[dir]
	})
}
