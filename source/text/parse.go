package text

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// A parser reads the lines that say how blocks follow each other. Rows are left to the decoder.
type parser struct {
	src    *Source
	line   int
	offset int               // of the line
	branch []int             // the events that put the blocks of the current branch
	on     map[flow.Hash]int // the place of a block on the branch
	first  map[flow.Hash]int // the event that put a block of that hash first
	open   *event            // the block whose rows are being passed
	twin   int               // the event that has put the open block before, or -1
	again  bool              // the open block is on the branch: it is not put there again
}

func newParser(name string, data []byte) *parser {
	src := &Source{name: name, data: data, last: map[place]int{}, at: map[uint64][]int{}, final: -1}
	return &parser{src: src, on: map[flow.Hash]int{}, first: map[flow.Hash]int{}}
}

// fault is an error at the current line: what is wrong, and what to do.
func (p *parser) fault(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w: %s", p.src.name, p.line, ErrSyntax, fmt.Sprintf(format, args...))
}

func (p *parser) parse() error {
	start := 0
	for start < len(p.src.data) {
		p.line++
		p.offset = start
		end := start + bytes.IndexByte(p.src.data[start:], '\n') + 1
		if end == start {
			end = len(p.src.data)
		}
		if err := p.take(string(p.src.data[start:end])); err != nil {
			return err
		}
		start = end
	}
	p.offset = start
	if err := p.shut(); err != nil {
		return err
	}
	if p.src.chain.IsZero() {
		p.src.chain = mustText("eth")
	}
	p.src.winner = p.branch
	return nil
}

// take reads one line.
func (p *parser) take(line string) error {
	words := strings.Fields(withoutComment(line))
	if len(words) == 0 {
		return nil
	}
	switch words[0] {
	case "chain", "block", "undo", "final":
	default:
		if p.open == nil {
			return p.fault("%.80q is in no block: begin with a line \"block HEIGHT NAME\"", words[0])
		}
		return nil
	}
	if err := p.shut(); err != nil {
		return err
	}
	switch {
	case words[0] == "block":
		return p.block(words[1:])
	case len(words) != 2:
		return p.fault("a %s line has one name", words[0])
	case words[0] == "chain":
		return p.chain(words[1])
	}
	h, err := hashOf(words[1])
	if err != nil {
		return p.fault("%s: %v", words[0], err)
	}
	if words[0] == "undo" {
		return p.undo(words[1], h)
	}
	return p.final(words[1], h)
}

func (p *parser) chain(name string) error {
	if !p.src.chain.IsZero() {
		return p.fault("the chain is named twice, or after the first block: one file holds one chain")
	}
	var err error
	switch {
	case name == "regtest":
		p.src.chain = flow.BitcoinRegtest
	case strings.Contains(name, ":"):
		p.src.chain, err = flow.ParseChain(name)
	default:
		p.src.chain, err = flow.TextChain(name)
	}
	if err != nil {
		return p.fault("%v", err)
	}
	return nil
}

func mustText(name string) flow.Chain {
	c, err := flow.TextChain(name)
	if err != nil {
		panic("text: " + err.Error())
	}
	return c
}

// block opens a block.
func (p *parser) block(words []string) error {
	if p.src.chain.IsZero() {
		p.src.chain = mustText("eth")
	}
	if len(words) < 2 {
		return p.fault("a block line is \"block HEIGHT NAME [time=T] [parent=NAME] [coverage=…]\"")
	}
	height, err := strconv.ParseUint(words[0], 10, 63)
	if err != nil {
		return p.fault("height %.40q is not a whole number", words[0])
	}
	e := event{op: source.Add, point: flow.Point{Chain: p.src.chain, Height: height}, line: p.line, start: p.offset}
	if e.point.Hash, err = hashOf(words[1]); err != nil {
		return p.fault("block: %v", err)
	}
	named := false
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "time":
			e.point.Time, err = parseTime(value)
		case "parent":
			named = true
			e.parent, err = hashOf(value)
		case "coverage": // the decoder's
		default:
			err = fmt.Errorf("unknown word")
		}
		if err != nil {
			return p.fault("%.80q: %v", w, err)
		}
	}
	p.open, p.twin, p.again = &e, -1, false
	if k, ok := p.first[e.point.Hash]; ok {
		p.twin = k
		p.again = p.find(e.point.Hash) >= 0
	}
	if p.again {
		e.below = p.src.events[p.twin].below
		if !named {
			e.parent = p.src.events[p.twin].parent
		}
		return nil
	}
	if err := p.put(&e, named); err != nil {
		return err
	}
	if n := len(p.branch); n > 0 {
		e.below = placeOf(p.tip(n - 1))
	}
	return nil
}

// put finds the parent of a block and takes off what is above it.
func (p *parser) put(e *event, named bool) error {
	height := e.point.Height
	if named && !e.parent.IsZero() {
		if i := p.find(e.parent); i >= 0 {
			if below := p.tip(i); height <= below.Height {
				return p.fault("block %d is not above its parent, which is block %d", height, below.Height)
			}
			for len(p.branch) > i+1 {
				p.pop()
			}
			return nil
		}
		if _, ok := p.first[e.parent]; ok {
			return p.fault("the parent was undone: write the blocks of a branch one after the other, from the fork on")
		}
	}
	if len(p.branch) == 0 {
		return nil
	}
	tip := p.tip(len(p.branch) - 1)
	switch {
	case height <= tip.Height:
		return p.fault("block %d comes after block %d: sort the blocks, or name the parent with parent=NAME if it begins a fork", height, tip.Height)
	case height == tip.Height+1 && !named:
		e.parent = tip.Hash
	case height == tip.Height+1 && !e.parent.IsZero() && !tip.Hash.IsZero():
		return p.fault("the parent of block %d is in no block above: name the one that it stands on", height)
	}
	return nil
}

// shut ends the open block, whose rows end before the current line.
func (p *parser) shut() error {
	e := p.open
	if e == nil {
		return nil
	}
	p.open = nil
	e.end = p.offset
	e.rows = rowsOf(p.src.data[e.start:e.end])
	if p.twin >= 0 {
		t := p.src.events[p.twin]
		if t.point != e.point || t.parent != e.parent || t.below != e.below || t.rows != e.rows {
			return fmt.Errorf("%s:%d: %w: the block differs from the one of the same name in line %d: give it another name, or remove one",
				p.src.name, e.line, ErrSyntax, t.line)
		}
	}
	if p.again {
		return nil
	}
	k := len(p.src.events)
	p.src.events = append(p.src.events, *e)
	p.src.at[e.point.Height] = append(p.src.at[e.point.Height], k)
	if p.twin < 0 && !e.point.Hash.IsZero() {
		p.first[e.point.Hash] = k
	}
	p.on[e.point.Hash] = len(p.branch)
	p.branch = append(p.branch, k)
	p.src.last[placeOf(e.point)] = k
	return nil
}

// rowsOf is a digest of the rows of a block, without its first line, comments and spaces.
func rowsOf(block []byte) [32]byte {
	w := sha256.New()
	first := true
	for line := range bytes.Lines(block) {
		words := strings.Fields(withoutComment(string(line)))
		if !first && len(words) > 0 {
			w.Write([]byte(strings.Join(words, " ") + "\n"))
		}
		first = false
	}
	return [32]byte(w.Sum(nil))
}

// find is the place on the branch of the block with that hash, or -1. Of blocks without a hash only the newest is found.
func (p *parser) find(h flow.Hash) int {
	if h.IsZero() {
		if n := len(p.branch) - 1; n >= 0 && p.tip(n).Hash.IsZero() {
			return n
		}
		return -1
	}
	if i, ok := p.on[h]; ok {
		return i
	}
	return -1
}

// tip is the i-th block of the branch.
func (p *parser) tip(i int) flow.Point { return p.src.events[p.branch[i]].point }

// pop takes the newest block off.
func (p *parser) pop() {
	n := len(p.branch) - 1
	delete(p.on, p.tip(n).Hash)
	p.src.events = append(p.src.events, event{op: source.Undo, point: p.tip(n), end: p.offset})
	p.branch = p.branch[:n]
	if n > 0 {
		p.src.last[placeOf(p.tip(n-1))] = len(p.src.events) - 1
	}
}

func (p *parser) undo(name string, h flow.Hash) error {
	if n := len(p.branch); n == 0 || p.tip(n-1).Hash != h {
		return p.fault("%.80q is not the newest block: only that can be undone", name)
	}
	p.pop()
	return nil
}

func (p *parser) final(name string, h flow.Hash) error {
	i := p.find(h)
	if i < 0 {
		return p.fault("%.80q is not on the branch: a block is declared final after it was added", name)
	}
	k := len(p.src.events)
	p.src.events = append(p.src.events, event{op: source.Final, point: p.tip(i), end: p.offset})
	if p.src.final < 0 || p.src.events[p.src.final].point.Height <= p.tip(i).Height {
		p.src.final = k
	}
	return nil
}

// withoutComment cuts a line at the first # that stands at its beginning or after a space.
func withoutComment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}

// hashOf is the hash that a name stands for: 64 hexadecimal digits are themselves, anything else its sha256.
func hashOf(name string) (flow.Hash, error) {
	if name == "" || len(name) > 200 {
		return flow.Hash{}, fmt.Errorf("a name has 1 to 200 characters")
	}
	if h, err := flow.ParseHash(name); err == nil {
		return h, nil
	}
	return sha256.Sum256([]byte(name)), nil
}

// parseTime reads seconds since 1970, or a time as RFC 3339 writes it.
func parseTime(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 63); err == nil && n >= 0 {
		return n, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Unix() < 0 {
		return 0, fmt.Errorf("a time is seconds since 1970 or like 2024-01-02T03:04:05Z")
	}
	return t.Unix(), nil
}
