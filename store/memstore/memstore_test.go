package memstore_test

import (
	"testing"

	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/store/storetest"
)

func open(*testing.T) store.Store { return memstore.New() }

func TestStore(t *testing.T) { storetest.Run(t, open) }
