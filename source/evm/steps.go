package evm

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/packed"
	"github.com/spoor-dev/spoor/source"
)

// Steps implements source.Source. What the files hold of one block is put together, and a block that they hold twice is
// given once. Two blocks of one height are an error, which comes before any step.
func (s *Source) Steps(ctx context.Context, known []flow.Point) iter.Seq2[source.Step, error] {
	return func(yield func(source.Step, error) bool) {
		x, err := s.load(ctx)
		if err != nil {
			yield(source.Step{}, err)
			return
		}
		known = slices.DeleteFunc(slices.Clone(known), func(p flow.Point) bool { return p.Chain != s.chain })
		undo := 0 // so many of the newest are not on the files' branch: all above one that is not
		for i, p := range known {
			if x.contradicts(p) {
				undo = i + 1
			}
		}
		for _, p := range known[:undo] {
			if !yield(source.Step{Op: source.Undo, Block: source.Block{Point: p}}, nil) {
				return
			}
		}
		next := uint64(0)
		switch {
		case undo < len(known):
			next = known[undo].Height + 1
		case undo > 0:
			next = known[undo-1].Height
		}
		open := &reader{source: s}
		defer open.close()
		s.given.Store(0)
		from, _ := slices.BinarySearchFunc(x.blocks, next, func(b found, h uint64) int { return cmp.Compare(b.point.Height, h) })
		for i, b := range x.blocks[from:] {
			if err := ctx.Err(); err != nil {
				yield(source.Step{}, err)
				return
			}
			raw, err := open.block(x.pieces[b.from:b.to])
			if err != nil {
				yield(source.Step{}, fmt.Errorf("block %d: %w", b.point.Height, err))
				return
			}
			s.given.Store(s.total / int64(len(x.blocks)) * int64(from+i+1))
			b.point.Chain = s.chain
			if !yield(source.Step{Op: source.Add, Block: source.Block{Point: b.point, Parent: b.parent, Raw: raw}}, nil) {
				return
			}
		}
		s.given.Store(s.total)
	}
}

// A reader reads documents again, and keeps the last file open: neighbours often lie in one.
type reader struct {
	source *Source
	file   int32
	packed *packed.Reader // nil if none is open
	plain  *os.File       // set if the open file is not compressed
	at     int64          // in the plain content
	last   piece          // the document whose parts these are
	parts  []part
}

func (r *reader) close() {
	if r.packed != nil {
		r.packed.Close()
	}
	if r.plain != nil {
		r.plain.Close()
	}
	r.packed, r.plain = nil, nil
}

// part reads one piece.
func (r *reader) part(p piece) (part, error) {
	path := r.source.files[p.file].Path
	if r.parts == nil || r.last.file != p.file || r.last.offset != p.offset {
		text, err := r.read(p)
		if err != nil {
			return part{}, fmt.Errorf("%s: byte %d: %w", path, p.offset, err)
		}
		if r.parts, err = partsOf(text); err != nil {
			return part{}, fmt.Errorf("%s: byte %d: %w", path, p.offset, err)
		}
		r.last = p
	}
	if int(p.part) >= len(r.parts) || r.parts[p.part].kind != p.kind {
		return part{}, fmt.Errorf("%s: byte %d: the file was changed", path, p.offset)
	}
	return r.parts[p.part], nil
}

func (r *reader) read(p piece) ([]byte, error) {
	if r.packed == nil || r.file != p.file || r.plain == nil && r.at > p.offset {
		r.close()
		path := r.source.files[p.file].Path
		in, err := packed.Open(path)
		if err != nil {
			return nil, err
		}
		r.packed, r.file, r.at = in, p.file, 0
		if !in.IsPacked() {
			if r.plain, err = os.Open(path); err != nil {
				return nil, err
			}
		}
	}
	text := make([]byte, p.size)
	if r.plain != nil {
		_, err := r.plain.ReadAt(text, p.offset)
		return text, err
	}
	if _, err := io.CopyN(io.Discard, r.packed, p.offset-r.at); err != nil {
		return nil, err
	}
	_, err := io.ReadFull(r.packed, text)
	r.at = p.offset + p.size
	return text, err
}

// block puts the pieces of one block together: of two copies of the block the one with more transactions stands, and of
// everything else each thing once. Flat traces go before the results of tracers, which say the same.
func (r *reader) block(pieces []piece) ([]byte, error) {
	best := -1
	hasFlat := false
	for i, p := range pieces {
		if p.kind == aBlock && (best < 0 || p.count > pieces[best].count || p.count == pieces[best].count && p.size > pieces[best].size) {
			best = i
		}
		hasFlat = hasFlat || p.kind == flatTraces
	}
	var out bytes.Buffer
	if best < 0 {
		fmt.Fprintf(&out, `{"block":{"number":"%#x"}`, pieces[0].height)
	} else {
		b, err := r.part(pieces[best])
		if err != nil {
			return nil, err
		}
		out.WriteByte('{')
		if b.chain != nil {
			fmt.Fprintf(&out, `"chainId":%s,`, b.chain)
		}
		fmt.Fprintf(&out, `"block":%s`, b.raw)
	}
	for _, list := range []struct {
		name string
		kind kind
	}{{"receipts", someReceipts}, {"traces", flatTraces}, {"traces", frames}, {"logs", looseLogs}} {
		if list.kind == frames && hasFlat {
			continue
		}
		if err := r.list(&out, list.name, list.kind, pieces); err != nil {
			return nil, err
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// list writes the elements of all pieces of one kind, each once, and from the piece that says most about it. What one
// piece holds twice stays there twice.
func (r *reader) list(out *bytes.Buffer, name string, k kind, pieces []piece) error {
	pieces = slices.DeleteFunc(slices.Clone(pieces), func(p piece) bool { return p.kind != k })
	slices.SortStableFunc(pieces, func(a, b piece) int {
		return cmp.Compare(b.size/max(int64(b.count), 1), a.size/max(int64(a.count), 1))
	})
	seen := map[string]bool{}
	for _, p := range pieces {
		one, err := r.part(p)
		if err != nil {
			return err
		}
		var elements []json.RawMessage
		if err := json.Unmarshal(one.raw, &elements); err != nil {
			return err
		}
		first := len(seen) == 0
		times := map[string]int{}
		for i, e := range elements {
			key, err := identity(k, i, e)
			if err != nil {
				return fmt.Errorf("%s %d: %w", name, i, err)
			}
			times[key]++
			if key = fmt.Sprint(key, " ", times[key]); seen[key] {
				continue
			}
			seen[key] = true
			if first {
				fmt.Fprintf(out, `,%q:[`, name)
			} else {
				out.WriteByte(',')
			}
			first = false
			out.Write(e)
		}
	}
	if len(seen) > 0 {
		out.WriteByte(']')
	}
	return nil
}

// identity tells elements of one kind apart: equal things of two documents have the same.
func identity(k kind, i int, e json.RawMessage) (string, error) {
	var s struct {
		TxHash       string          `json:"transactionHash"`
		ShortHash    string          `json:"txHash"`
		TraceAddress []int           `json:"traceAddress"`
		Type         string          `json:"type"`
		LogIndex     json.RawMessage `json:"logIndex"`
		Position     json.RawMessage `json:"transactionPosition"`
		Action       *struct {
			Author     string          `json:"author"`
			RewardType string          `json:"rewardType"`
			Value      json.RawMessage `json:"value"`
		} `json:"action"`
	}
	if k == frames {
		if json.Unmarshal(e, &s) != nil || s.ShortHash == "" && s.TxHash == "" {
			return fmt.Sprint(i), nil
		}
		return s.ShortHash + s.TxHash, nil
	}
	if err := json.Unmarshal(e, &s); err != nil {
		return "", err
	}
	switch {
	case k == someReceipts && s.TxHash == "":
		return fmt.Sprint(i), nil
	case k == someReceipts:
		return s.TxHash, nil
	case k == looseLogs:
		return s.TxHash + string(s.LogIndex), nil
	case s.Action != nil && s.Type == "reward":
		return "reward" + s.Action.Author + s.Action.RewardType + string(s.Action.Value), nil
	}
	return s.TxHash + string(s.Position) + fmt.Sprint(s.TraceAddress), nil
}
