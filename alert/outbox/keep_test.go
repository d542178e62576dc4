package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

func provisional(key string) alert.Alert {
	a := found(key, finding.High)
	a.Key, a.Kind = "pending/"+key, alert.Provisional
	return a
}

// said is everything that was said, the oldest first, with what holds by now.
func said(t *testing.T, o *Outbox, f Filter) string {
	t.Helper()
	var all []string
	for e, err := range o.List(t.Context(), f) {
		must(t, err)
		all = append(all, e.Alert.ID()+" "+string(e.State))
	}
	slices.Reverse(all)
	return strings.Join(all, ", ")
}

func TestProvisional(t *testing.T) {
	o := open(t, to())
	defer func() { must(t, o.Close()) }()
	ctx := t.Context()
	put := func(height uint64, all ...alert.Alert) {
		t.Helper()
		must(t, o.Add(ctx, at(height), all))
	}
	want := func(what, want string) {
		t.Helper()
		if got := said(t, o, Filter{Messages: true}); got != want {
			t.Errorf("%s: it is said %q; want %q", what, got, want)
		}
	}
	put(1, provisional("a"), provisional("b"), provisional("a"))
	put(2, found("a", finding.High))
	want("on the chain", "pending/a superseded, pending/b standing, a standing")
	put(3, found("c", finding.High))
	put(3, provisional("c"))
	want("later than the block", "pending/a superseded, pending/b standing, a standing, c standing")
	must(t, o.Back(ctx, chain, 0))
	put(3, provisional("a"))
	must(t, o.Settle(ctx, chain, 9))
	want("undone", "pending/a superseded, pending/b standing, a withdrawn, c withdrawn, a#1 withdrawn, c#1 withdrawn")
	put(10, provisional("c"))
	want("the key was never told", "pending/a superseded, pending/b standing, a withdrawn, c withdrawn, a#1 withdrawn, c#1 withdrawn")
	twin := found("b", finding.High)
	twin.Key = "pending/b"
	put(11, twin)
	want("under one key", "pending/a superseded, pending/b standing, a withdrawn, c withdrawn, a#1 withdrawn, c#1 withdrawn, pending/b#1 standing")
	other := provisional("z")
	other.Tx, other.Case = found("a", finding.High).Tx, "another case"
	put(12, other)
	if got := said(t, o, Filter{State: Standing}); got != "pending/b#1 standing, pending/z standing" {
		t.Errorf("what stands is %q", got)
	}
	if got := said(t, o, Filter{Case: "another case"}); got != "pending/z standing" {
		t.Errorf("of the other case is said %q", got)
	}
	newest := uint64(0)
	for e, err := range o.List(ctx, Filter{}) {
		must(t, err)
		newest = e.Number
		break
	}
	for e, err := range o.List(ctx, Filter{Before: newest}) {
		must(t, err)
		if e.Number >= newest {
			t.Errorf("message %d is listed before %d", e.Number, newest)
		}
	}
}

func TestBeginAndRelease(t *testing.T) {
	o := open(t, to())
	defer func() { must(t, o.Close()) }()
	ctx := t.Context()
	closed := found("b", finding.High)
	closed.Case = "closed"
	state := found("s", finding.High)
	state.Kind = alert.State
	polygon := flow.Point{Chain: flow.EVMChain(137), Height: 9}
	must(t, o.Add(ctx, at(5), []alert.Alert{found("a", finding.High), closed, state}))
	must(t, o.Add(ctx, at(4), []alert.Alert{found("low", finding.High)}))
	must(t, o.Add(ctx, polygon, []alert.Alert{found("p", finding.High)}))
	must(t, o.Begin(ctx, chain, 5))
	if got, want := said(t, o, Filter{State: Doubtful}), "a doubtful, b doubtful"; got != want {
		t.Errorf("in doubt is %q; want %q", got, want)
	}
	must(t, o.Release(ctx, "closed"))
	must(t, o.Settle(ctx, chain, 5))
	must(t, o.Begin(ctx, chain, 0))
	if got, want := said(t, o, Filter{Messages: true}), "a withdrawn, b standing, s standing, low doubtful, p standing, a#1 withdrawn"; got != want {
		t.Errorf("it is said %q; want %q", got, want)
	}
	for e, err := range o.List(ctx, Filter{State: Withdrawn}) {
		must(t, err)
		if want := "the blocks of eip155:1 from 5 on were read again after a restart"; !strings.Contains(e.Alert.Text, want) {
			t.Errorf("the correction says %q; want %q in it", e.Alert.Text, want)
		}
	}
	s, err := o.State(ctx)
	if err != nil || s.Doubtful != 1 {
		t.Errorf("%d in doubt, %v", s.Doubtful, err)
	}
}

func TestAddRefuses(t *testing.T) {
	o := open(t, to())
	defer func() { must(t, o.Close()) }()
	good := found("good", finding.High)
	for name, change := range map[string]func(*alert.Alert){
		"no key":         func(a *alert.Alert) { a.Key = "" },
		"a long key":     func(a *alert.Alert) { a.Key = strings.Repeat("k", maxKey+1) },
		"an ID as key":   func(a *alert.Alert) { a.Key = "a#12" },
		"no text":        func(a *alert.Alert) { a.Key = "\xff" },
		"a case with 0":  func(a *alert.Alert) { a.Case = "a\x00b" },
		"no severity":    func(a *alert.Alert) { a.Severity = 0 },
		"wild severity":  func(a *alert.Alert) { a.Severity = 6 },
		"a correction":   func(a *alert.Alert) { a.Kind = alert.Correction },
		"an unknown one": func(a *alert.Alert) { a.Kind = "x" },
	} {
		bad := good
		change(&bad)
		if err := o.Add(t.Context(), at(1), []alert.Alert{good, bad}); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	if got := said(t, o, Filter{}); got != "" {
		t.Errorf("a part of what was refused is kept: %s", got)
	}
	must(t, o.Add(t.Context(), at(1), []alert.Alert{good}))
	good.Kind = alert.State
	if err := o.Add(t.Context(), at(1), []alert.Alert{good}); err == nil {
		t.Error("a key of two kinds is taken")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := o.Add(ctx, at(1), []alert.Alert{found("x", finding.High)}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

func TestPrune(t *testing.T) {
	r := &receiver{name: "desk"}
	c := to(r)
	c.Keep, c.MaxAge = 3*time.Hour, time.Hour
	live(t, c, func(t *testing.T, o *Outbox) {
		ctx := t.Context()
		put := func(height uint64, keys ...string) {
			t.Helper()
			for _, k := range keys {
				must(t, o.Add(ctx, at(height), []alert.Alert{found(k, finding.High)}))
			}
			synctest.Wait()
		}
		put(1, "a", "b")
		put(9, "c", "d")
		must(t, o.Back(ctx, chain, 9))
		must(t, o.Settle(ctx, chain, 9))
		must(t, o.Add(ctx, at(9), []alert.Alert{found("c", finding.High)}))
		synctest.Wait()
		r.set(func([]alert.Alert) error { return alert.ErrRefused })
		put(1, "refused")
		r.set(nil)
		pass(2 * time.Hour)
		must(t, o.Final(ctx, chain, 5))
		must(t, o.Final(ctx, chain, 3)) // finality does not go back
		r.set(sick)
		put(2, "queued")
		pass(time.Hour + 30*time.Minute) // Deliver prunes by the hour
		if got, want := said(t, o, Filter{Messages: true}), "c#2 standing, queued standing"; got != want {
			t.Errorf("left is %q; want %q", got, want)
		}
		if s := sink(t, o, "desk"); s.Dead != 1 {
			t.Errorf("%d dead letters; want the one that is too old to be sent", s.Dead)
		}
		before := r.ids()
		r.set(nil)
		put(1, "a", "b")
		put(9, "c")
		must(t, o.Begin(ctx, chain, 0))
		must(t, o.Settle(ctx, chain, 99))
		synctest.Wait()
		if got := strings.TrimPrefix(r.ids(), before+"|"); got != "queued#1|c#3" && got != "c#3|queued#1" && got != "queued#1 c#3" && got != "c#3 queued#1" {
			t.Errorf("it took %q; want nothing of what is final", got)
		}
		put(9, "d") // its text is gone, and its key is not
		if !strings.HasSuffix(r.ids(), "d#2") {
			t.Errorf("it took %q; want d#2 in the end", r.ids())
		}
	})
}

// A disk that is full from a moment on: Add says so, and nothing that it took is lost.
func TestDiskFull(t *testing.T) {
	for nth := range int64(6) {
		mem := vfs.NewCrashableMem()
		left := atomic.Int64{}
		left.Store(1 << 40)
		c := to()
		c.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasSuffix(op.Path, ".log") && left.Add(-1) < 0 {
				return syscall.ENOSPC
			}
			return nil
		}))
		o := open(t, c)
		left.Store(nth)
		taken := []string{}
		var err error
		for i := 0; err == nil && i < 100; i++ {
			key := fmt.Sprint("k", i)
			if err = o.Add(t.Context(), at(1), []alert.Alert{found(key, finding.High)}); err == nil {
				taken = append(taken, key)
			}
		}
		if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "no space left") {
			t.Fatalf("disk full: %v; want ErrBroken and why", err)
		}
		if err := o.Back(t.Context(), chain, 0); !errors.Is(err, ErrBroken) {
			t.Errorf("afterwards: %v; want ErrBroken", err)
		}
		if s, err := o.State(t.Context()); err != nil || s.Broken == "" {
			t.Errorf("its state is %+v, %v", s, err)
		}
		if err := o.Deliver(t.Context()); !errors.Is(err, ErrBroken) {
			t.Errorf("deliver: %v; want ErrBroken", err)
		}
		_ = o.Close() // Pebble says again that it could not write
		c.FS = mem.CrashClone(vfs.CrashCloneCfg{})
		o = open(t, c)
		for _, key := range taken {
			if !strings.Contains(said(t, o, Filter{}), key+" ") {
				t.Errorf("%s was taken and is lost", key)
			}
		}
		must(t, o.Close())
	}
}

func TestOpenOnADiskThatIsFull(t *testing.T) {
	for nth := range int64(12) {
		mem := vfs.NewCrashableMem()
		left := atomic.Int64{}
		left.Store(nth)
		c := to()
		c.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && left.Add(-1) < 0 {
				return syscall.ENOSPC
			}
			return nil
		}))
		o, err := Open("outbox", c)
		if err == nil {
			t.Fatalf("%d writes were enough", nth)
		}
		if o != nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("after %d writes: %v; want to know why", nth, err)
		}
	}
}

// small is a file system with so many bytes free.
type small struct {
	vfs.FS
	free *uint64
}

func (s small) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: *s.free}, nil
}

func TestTooLittleRoom(t *testing.T) {
	free := uint64(1 << 20)
	c := to()
	c.FS = small{c.FS, &free}
	o := open(t, c)
	defer func() { must(t, o.Close()) }()
	one := []alert.Alert{found("a", finding.High)}
	if err := o.Add(t.Context(), at(1), one); !errors.Is(err, ErrFull) {
		t.Fatalf("with 1 MiB free: %v; want ErrFull", err)
	}
	if got := said(t, o, Filter{}); got != "" {
		t.Errorf("it is said %q", got)
	}
	free = 1 << 30
	must(t, o.Add(t.Context(), at(1), one))
	free = 0
	must(t, o.Add(t.Context(), at(1), one)) // nothing is written
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	o, err := Open(dir, Config{MinFree: 1})
	must(t, err)
	must(t, o.Add(t.Context(), at(1), []alert.Alert{found("a", finding.High)}))
	if _, err := Open(dir, Config{}); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := Open(t.TempDir(), Config{Routes: []Route{{}}}); err == nil {
		t.Error("a route without a name is taken")
	}
	must(t, o.db.Set([]byte(formatKey), []byte("99"), pebble.Sync))
	must(t, o.Close())
	if err := o.Add(t.Context(), at(1), []alert.Alert{found("b", finding.High)}); err == nil {
		t.Error("it takes something when it is closed")
	}
	if _, err := o.State(t.Context()); err == nil {
		t.Error("it has a state when it is closed")
	}
	if _, err := Open(dir, Config{}); !errors.Is(err, ErrFormat) {
		t.Errorf("another format: %v", err)
	}
	file := dir + "/file"
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := Open(file, Config{}); err == nil {
		t.Error("a file is opened as a folder")
	}
}

// Whatever stands in the folder, an outbox says what is wrong and goes on with the rest.
func TestDamage(t *testing.T) {
	r := &receiver{name: "desk"}
	c := to(r)
	damage := func(key []byte, value string) func(t *testing.T, o *Outbox) {
		return func(t *testing.T, o *Outbox) { must(t, o.db.Set(key, []byte(value), pebble.Sync)) }
	}
	for name, f := range map[string]func(t *testing.T, o *Outbox){
		"message":      damage(messageKey(1), "{"),
		"no message":   func(t *testing.T, o *Outbox) { must(t, o.db.Delete(messageKey(1), pebble.Sync)) },
		"empty ticket": damage(ticketKey("desk", 1, 1), ""),
	} {
		c.FS = vfs.NewMem()
		*r = receiver{name: "desk"}
		synctest.Test(t, func(t *testing.T) {
			o := open(t, c)
			add(t, o, finding.High, "a", "b")
			f(t, o)
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			if err := o.Deliver(ctx); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			r.want(t, name, "b")
			n := 0
			for l, err := range o.Dead(t.Context(), "") {
				n++
				if err != nil || l.Reason == "" || l.Sink != "desk" {
					t.Errorf("%s: dead letter %+v, %v", name, l, err)
				}
			}
			if n != 1 {
				t.Errorf("%s: %d dead letters; want 1", name, n)
			}
			must(t, o.Close())
		})
	}
	o := open(t, to())
	must(t, o.Add(t.Context(), at(1), []alert.Alert{found("a", finding.High)}))
	for _, value := range []string{"", "{", `{"state":"x"}`, `{"state":"standing","severity":9}`, `{"state":"doubtful","severity":"high"}`} {
		damage(recordKey("a"), value)(t, o)
		err := o.Add(t.Context(), at(1), []alert.Alert{found("a", finding.High)})
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), `"ka"`) {
			t.Errorf("record %q: %v; want ErrDamaged and the key", value, err)
		}
	}
	must(t, o.Close())
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "{", "{}", `{"state":"standing","severity":"high","serial":-1}`, `{"alert":{"key":"a","at":{"chain":"eip155:1"}},"at":1}`,
		`{"key":"a","route":"r","at":9}`, `{"key":"a","lane":"low","reason":"x"}`} {
		f.Add([]byte(s), []byte("mxxxxxxxx"))
	}
	f.Fuzz(func(t *testing.T, value, key []byte) {
		r, err := parse[record](key, value)
		if err == nil && (placeOf("k", r) == nil) != (r.Chain.IsZero() || r.State == Withdrawn || r.State == Superseded) {
			t.Fatalf("record %+v has the place %q", r, placeOf("k", r))
		}
		_, err1 := parse[message](key, value)
		_, err2 := parse[ticket](key, value)
		_, err3 := parse[letter](key, value)
		_, err4 := lastNumber(key)
		_, _, err5 := splitNamed(key)
		_, _, err6 := splitPlace(key)
		for _, err := range []error{err, err1, err2, err3, err4, err5, err6} {
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatalf("%v is not ErrDamaged", err)
			}
		}
	})
}

func TestNewFoldersSurviveACrash(t *testing.T) {
	mem := vfs.NewCrashableMem()
	c := to()
	c.FS = mem
	o, err := Open("a/new/folder", c)
	must(t, err)
	must(t, o.Add(t.Context(), at(1), []alert.Alert{found("k", finding.High)}))
	c.FS = mem.CrashClone(vfs.CrashCloneCfg{})
	after, err := Open("a/new/folder", c)
	must(t, err)
	n := 0
	for _, err := range after.List(t.Context(), Filter{}) {
		must(t, err)
		n++
	}
	if n != 1 {
		t.Errorf("%d alerts after the crash; want 1", n)
	}
	must(t, errors.Join(after.Close(), o.Close()))
}

func TestOpenWithoutRoom(t *testing.T) {
	free := uint64(1 << 40)
	c := to()
	c.FS = small{c.FS, &free}
	o, err := Open("outbox", c)
	must(t, err)
	must(t, o.Add(t.Context(), at(1), []alert.Alert{found("k", finding.High)}))
	must(t, o.Close())
	free = 1 << 19
	if _, err := Open("outbox", c); !errors.Is(err, ErrFull) {
		t.Errorf("open on a full disk: %v; want ErrFull, and not to wait for ever", err)
	}
	free = 1 << 40
	o, err = Open("outbox", c)
	must(t, err)
	must(t, o.Close())
}
