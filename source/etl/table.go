package etl

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/spoor-dev/spoor/internal/packed"
)

// A table gives its rows in the order of their blocks. It holds a window of them, which puts right what writers that
// work side by side leave out of order.
type table struct {
	name   string
	cfg    Config
	files  []packed.File
	header [][]string // of each file; nil for JSON lines
	done   atomic.Int64
	open   atomic.Pointer[packed.Reader]

	now    int // the file that is read
	in     *lines
	held   rows
	bytes  int64
	seq    int
	last   uint64 // height of the newest row that was given
	gave   bool
	before uint64 // height of the last row of this file that says its own
	knows  bool
	stray  []row // rows at the begin of a file that do not say their block
}

// taken is how many bytes of the table's files were read.
func (t *table) taken() int64 {
	n := t.done.Load()
	if r := t.open.Load(); r != nil {
		n += r.Taken()
	}
	return n
}

// start puts the files into the order of their first blocks.
func (t *table) start() error {
	t.close()
	t.held, t.bytes, t.seq, t.now, t.gave, t.stray = nil, 0, 0, 0, false, nil
	t.done.Store(0)
	type begin struct {
		file   packed.File
		height uint64
	}
	var order []begin
	for _, f := range t.files {
		l, err := open(f.Path, t.name, t.cfg.MaxRow)
		if err != nil {
			return err
		}
		b := begin{file: f}
		for {
			text, long, err := l.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				l.in.Close()
				return fmt.Errorf("%s: line %d: %w", f.Path, l.line, err)
			}
			if h, ok := l.height(text); ok && !long {
				b.height = h
				break
			}
		}
		if err := l.in.Close(); err != nil {
			return err
		}
		order = append(order, b)
	}
	slices.SortStableFunc(order, func(a, b begin) int { return cmp.Compare(a.height, b.height) })
	for i, b := range order {
		t.files[i] = b.file
	}
	t.header = make([][]string, len(t.files))
	return nil
}

func (t *table) close() {
	if t.in != nil {
		t.in.in.Close()
		t.in = nil
	}
	t.open.Store(nil)
}

// read takes one more row into the window; io.EOF says that there are none.
func (t *table) read() error {
	for t.in == nil {
		if t.now == len(t.files) {
			return io.EOF
		}
		l, err := open(t.files[t.now].Path, t.name, t.cfg.MaxRow)
		if err != nil {
			return err
		}
		t.in, t.header[t.now], t.knows = l, l.columns, false
		t.open.Store(l.in)
	}
	path := t.files[t.now].Path
	text, long, err := t.in.next()
	if errors.Is(err, io.EOF) {
		if len(t.stray) > 0 {
			return fmt.Errorf("%s: line %d: no row of the file says its block: %w", path, t.stray[0].line, ErrNoTable)
		}
		t.close()
		t.done.Add(t.files[t.now].Size)
		t.now++
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: line %d: %w", path, t.in.line, err)
	}
	r := row{file: t.now, line: t.in.line, text: text, long: long, seq: t.seq}
	t.seq++
	h, ok := t.in.height(text)
	switch {
	case ok && !long:
		r.height, t.before, t.knows = h, h, true
	case t.knows:
		r.height = t.before
	default:
		if len(t.stray) >= 1000 {
			return fmt.Errorf("%s: line %d: none of the first 1000 rows says its block", path, r.line)
		}
		r.text = r.text[:min(len(r.text), 1000)]
		t.stray = append(t.stray, r)
		return nil
	}
	if t.gave && r.height < t.last {
		return fmt.Errorf("%s: line %d: %w: block %d comes after block %d, further back than the window of %d bytes", path, r.line,
			ErrOrder, r.height, t.last, t.cfg.Window)
	}
	for _, s := range append(t.stray, r) {
		s.height = r.height
		heap.Push(&t.held, s)
		t.bytes += int64(len(s.text)) + 64
	}
	t.stray = nil
	return nil
}

// peek is the height of the next row; io.EOF says that there are none.
func (t *table) peek(ctx context.Context) (uint64, error) {
	for t.bytes < t.cfg.Window {
		if t.seq%4096 == 0 {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
		}
		if err := t.read(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, err
		}
	}
	if len(t.held) == 0 {
		return 0, io.EOF
	}
	return t.held[0].height, nil
}

// pop is the next row; peek has found that there is one.
func (t *table) pop() row {
	r := heap.Pop(&t.held).(row)
	t.bytes -= int64(len(r.text)) + 64
	t.last, t.gave = r.height, true
	return r
}

// rows is a heap by block, then by place in the table.
type rows []row

func (r rows) Len() int      { return len(r) }
func (r rows) Swap(i, j int) { r[i], r[j] = r[j], r[i] }
func (r rows) Less(i, j int) bool {
	if r[i].height != r[j].height {
		return r[i].height < r[j].height
	}
	return r[i].seq < r[j].seq
}

// Push implements heap.Interface.
func (r *rows) Push(x any) { *r = append(*r, x.(row)) }

// Pop implements heap.Interface.
func (r *rows) Pop() any {
	last := (*r)[len(*r)-1]
	(*r)[len(*r)-1] = row{}
	*r = (*r)[:len(*r)-1]
	return last
}
