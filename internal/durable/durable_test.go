package durable_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/spoor-dev/spoor/internal/durable"
)

// TestACrashDoesNotTakeAFolder: what Make has made is there after a crash that loses all that was not synced.
func TestACrashDoesNotTakeAFolder(t *testing.T) {
	fs := vfs.NewCrashableMem()
	if err := durable.Make(fs, "a/b/c", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.CrashClone(vfs.CrashCloneCfg{}).Stat("a/b/c"); err != nil {
		t.Errorf("after a crash: %v", err)
	}
}

// TestLogsNeedTheirRoomAgain: what lies in the log is written once more when a database is opened.
func TestLogsNeedTheirRoomAgain(t *testing.T) {
	fs := vfs.NewMem()
	put := func(name string, size int) {
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := fs.MkdirAll("d", 0o700); err != nil {
		t.Fatal(err)
	}
	least, err := durable.OpenRoom(fs, "d")
	if err != nil {
		t.Fatal(err)
	}
	put("d/000001.log", 5000)
	put("d/000002.sst", 70000)
	if need, err := durable.OpenRoom(fs, "d"); err != nil || need != least+5000 {
		t.Errorf("%d bytes, %v; want %d", need, err, least+5000)
	}
	if _, err := durable.OpenRoom(fs, "nowhere"); err == nil {
		t.Error("a folder that is not there needs no room")
	}
}
