package attribute

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// ErrPacked is returned for a packed book that is damaged, or of another version.
var ErrPacked = errors.New("not a sound packed book")

// The packed form of a Book; docs/formats/label-store.md describes it. All numbers are little-endian. A header of fixed
// size, then the sections: table (JSON: sources, chains), texts, places (where the key of a subject and its rows begin, and one
// more at the end), subject keys, rows, slots of the hash index.
const (
	packMagic  = "SPOORLB1"
	headerSize = 128
	rowSize    = 56
	placeSize  = 8
	slotSize   = 8 // subject, upper half of its hash
	noSubject  = math.MaxUint32

	atGeneration = 8
	atHash       = 16 // sha-256 of all sections but the slots
	atSum        = 48 // crc-32c of all sections, then of the header before it
	atCounts     = 56 // table bytes, text bytes, subjects, subject bytes, rows, slots: 4 bytes each
)

// Where the parts of a row begin: four texts of 6 bytes (place, length), three times, and the rest.
const (
	atFrom       = 24
	atTo         = 32
	atSeen       = 40
	atSource     = 48
	atStance     = 52
	atConfidence = 53
	atService    = 54
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// packTable is the JSON section.
type packTable struct {
	Sources []Source `json:"sources"`
	Chains  []string `json:"chains"`
}

// A Packer makes the packed form of a book from labels that come in the order of Label.Compare.
type Packer struct {
	table   packTable
	sources map[Source]uint32
	chains  map[flow.Chain]uint16
	texts   map[string]uint32 // where each begins

	text, places, subject, rows []byte
	last                        Label
	subjects, n                 uint32
}

// NewPacker is a packer without labels.
func NewPacker() *Packer {
	return &Packer{sources: map[Source]uint32{}, chains: map[flow.Chain]uint16{}, texts: map[string]uint32{}}
}

// Add takes the next label. It returns an error for one that is out of order or does not fit.
func (p *Packer) Add(l Label) error {
	if l.Subject.IsZero() {
		return fmt.Errorf("label %q: %w: no subject", l.Name, ErrSubject)
	}
	if p.n > 0 && p.last.Compare(l) > 0 {
		return fmt.Errorf("label %q of %s: out of order", l.Name, l.Subject)
	}
	if p.n >= 80_000_000 || len(p.text) > 1<<31 || len(p.subject) > 1<<31 || len(p.table.Chains) > math.MaxUint16-1 {
		return errors.New("more labels than a book holds")
	}
	if max(len(l.Name), len(l.Actor), len(l.Category), len(l.Evidence)) > math.MaxUint16 {
		return fmt.Errorf("label %.60q of %s: a text of more than %d bytes", l.Name, l.Subject, math.MaxUint16)
	}
	if p.n == 0 || p.last.Subject != l.Subject {
		chain, ok := p.chains[l.Subject.chain]
		if !ok {
			chain = uint16(len(p.table.Chains))
			p.chains[l.Subject.chain] = chain
			p.table.Chains = append(p.table.Chains, l.Subject.chain.String())
		}
		p.places = binary.LittleEndian.AppendUint32(p.places, uint32(len(p.subject)))
		p.places = binary.LittleEndian.AppendUint32(p.places, p.n)
		p.subject = append(p.subject, byte(l.Subject.kind), byte(chain), byte(chain>>8))
		p.subject = append(p.subject, l.Subject.key...)
		p.subjects++
	}
	source, ok := p.sources[l.Source]
	if !ok {
		source = uint32(len(p.table.Sources))
		p.sources[l.Source] = source
		p.table.Sources = append(p.table.Sources, l.Source)
	}
	for _, text := range [...]string{l.Name, l.Actor, string(l.Category), l.Evidence} {
		p.rows = binary.LittleEndian.AppendUint32(p.rows, p.intern(text))
		p.rows = binary.LittleEndian.AppendUint16(p.rows, uint16(len(text)))
	}
	for _, t := range [...]int64{l.ValidFrom, l.ValidTo, l.Seen} {
		p.rows = binary.LittleEndian.AppendUint64(p.rows, uint64(t))
	}
	p.rows = binary.LittleEndian.AppendUint32(p.rows, source)
	service := byte(0)
	if l.Service {
		service = 1
	}
	p.rows = append(p.rows, byte(l.Stance), byte(l.Confidence), service, 0)
	p.n++
	p.last = l
	return nil
}

// intern is where a text begins.
func (p *Packer) intern(s string) uint32 {
	at, ok := p.texts[s]
	if !ok {
		at = uint32(len(p.text))
		p.texts[strings.Clone(s)] = at
		p.text = append(p.text, s...)
	}
	return at
}

// Finish returns the packed form, in pieces which follow each other. generation is for the caller's own use. The packer
// cannot be used afterwards.
func (p *Packer) Finish(generation uint64) [][]byte {
	p.places = binary.LittleEndian.AppendUint32(p.places, uint32(len(p.subject)))
	p.places = binary.LittleEndian.AppendUint32(p.places, p.n)
	table, err := json.Marshal(p.table)
	if err != nil {
		panic("attribute: table of sources: " + err.Error()) // strings and numbers only
	}
	header := make([]byte, headerSize)
	copy(header, packMagic)
	binary.LittleEndian.PutUint64(header[atGeneration:], generation)
	pieces := [][]byte{header, table, p.text, p.places, p.subject, p.rows}
	digest := sha256.New()
	for _, piece := range pieces[1:] {
		digest.Write(piece)
	}
	digest.Sum(header[atHash:atHash])
	slots := p.index(binary.LittleEndian.Uint64(header[atHash:]))
	pieces = append(pieces, slots)
	for i, n := range [...]int{len(table), len(p.text), int(p.subjects), len(p.subject), int(p.n), len(slots) / slotSize} {
		binary.LittleEndian.PutUint32(header[atCounts+4*i:], uint32(n))
	}
	sum := uint32(0)
	for _, piece := range pieces[1:] {
		sum = crc32.Update(sum, castagnoli, piece)
	}
	sum = crc32.Update(sum, castagnoli, header)
	binary.LittleEndian.PutUint32(header[atSum:], sum)
	return pieces
}

// index makes the slots: open addressing, at most half full.
func (p *Packer) index(salt uint64) []byte {
	size := uint64(2)
	for size < 2*uint64(p.subjects) {
		size *= 2
	}
	slots := make([]byte, slotSize*size)
	for at := uint64(0); at < size; at++ {
		binary.LittleEndian.PutUint32(slots[slotSize*at:], noSubject)
	}
	text := string(p.subject)
	for i := range p.subjects {
		s := text[binary.LittleEndian.Uint32(p.places[placeSize*i:]):binary.LittleEndian.Uint32(p.places[placeSize*(i+1):])]
		h := hashKey(salt, s[0], uint16(s[1])|uint16(s[2])<<8, s[3:])
		at := h & (size - 1)
		for binary.LittleEndian.Uint32(slots[slotSize*at:]) != noSubject {
			at = (at + 1) & (size - 1)
		}
		binary.LittleEndian.PutUint32(slots[slotSize*at:], i)
		binary.LittleEndian.PutUint32(slots[slotSize*at+4:], uint32(h>>32))
	}
	return slots
}

// hashKey spreads subjects over the slots. The salt comes from a digest of all that the book says, so that who writes one
// list cannot make its subjects fall together.
func hashKey(salt uint64, kind byte, chain uint16, key string) uint64 {
	h := salt ^ uint64(kind)<<32 ^ uint64(chain)<<40 ^ uint64(len(key))
	for ; len(key) >= 8; key = key[8:] {
		h = mix(h ^ le64(key))
	}
	tail := uint64(0)
	for i := range len(key) {
		tail |= uint64(key[i]) << (8 * i)
	}
	return mix(h ^ tail)
}

func mix(h uint64) uint64 {
	h *= 0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>29
}

func le32(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

func le64(s string) uint64 { return uint64(le32(s)) | uint64(le32(s[4:]))<<32 }

// OpenBook is the book whose packed form this is. It reads the text in place. Errors wrap ErrPacked.
func OpenBook(packed string) (*Book, error) {
	if len(packed) < headerSize || packed[:len(packMagic)] != packMagic {
		return nil, fmt.Errorf("%w: no header", ErrPacked)
	}
	header := []byte(packed[:headerSize])
	sum := le32(packed[atSum:])
	binary.LittleEndian.PutUint32(header[atSum:], 0)
	got := checksum(packed[headerSize:])
	if crc32.Update(got, castagnoli, header) != sum {
		return nil, fmt.Errorf("%w: wrong checksum", ErrPacked)
	}
	b := &Book{generation: le64(packed[atGeneration:]), chains: map[flow.Chain]uint16{}}
	copy(b.hash[:], packed[atHash:])
	b.salt = le64(packed[atHash:])
	var counts [6]uint64
	for i := range counts {
		counts[i] = uint64(le32(packed[atCounts+4*i:]))
	}
	subjects, rows, slots := counts[2], counts[4], counts[5]
	rest, ok := packed[headerSize:], true
	take := func(n uint64) string {
		if n > uint64(len(rest)) {
			ok, n = false, 0
		}
		s := rest[:n]
		rest = rest[n:]
		return s
	}
	table := take(counts[0])
	b.text, b.places, b.subject = take(counts[1]), take(placeSize*(subjects+1)), take(counts[3])
	b.rows, b.slots = take(rowSize*rows), take(slotSize*slots)
	if !ok || rest != "" || slots&(slots-1) != 0 || slots < 2 || subjects >= slots {
		return nil, fmt.Errorf("%w: sections do not fit", ErrPacked)
	}
	var t packTable
	if err := json.Unmarshal([]byte(table), &t); err != nil {
		return nil, fmt.Errorf("%w: table of sources: %w", ErrPacked, err)
	}
	b.sources = t.Sources
	for i, name := range t.Chains {
		c := flow.Chain{}
		if name != "" {
			var err error
			if c, err = flow.ParseChain(name); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrPacked, err)
			}
		}
		b.chains[c] = uint16(i)
		b.chainOf = append(b.chainOf, c)
	}
	return b, b.check()
}

func checksum(s string) uint32 {
	sum := uint32(0)
	var buffer [1 << 16]byte
	for len(s) > 0 {
		n := copy(buffer[:], s)
		sum = crc32.Update(sum, castagnoli, buffer[:n])
		s = s[n:]
	}
	return sum
}

// check makes sure that no number in the sections leads outside of them. Whoever can write a right checksum can still
// write a book that says nonsense, but none that makes a reader panic.
func (b *Book) check() error {
	subjects := b.subjects()
	lastKey, lastRow := uint32(0), uint32(0)
	for i := range subjects + 1 {
		key, row := le32(b.places[placeSize*i:]), le32(b.places[placeSize*i+4:])
		if i == 0 && key|row != 0 || key < lastKey || row < lastRow {
			return fmt.Errorf("%w: place %d", ErrPacked, i)
		}
		lastKey, lastRow = key, row
	}
	if int(lastKey) != len(b.subject) || int(lastRow) != b.Len() {
		return fmt.Errorf("%w: places end elsewhere", ErrPacked)
	}
	for i := range subjects {
		s := b.subjectText(i)
		if len(s) < 4 || int(s[1])|int(s[2])<<8 >= len(b.chainOf) {
			return fmt.Errorf("%w: subject %d", ErrPacked, i)
		}
	}
	for at := 0; at < len(b.rows); at += rowSize {
		row := b.rows[at : at+rowSize]
		for k := 0; k < 24; k += 6 {
			if uint64(le32(row[k:]))+(uint64(row[k+4])|uint64(row[k+5])<<8) > uint64(len(b.text)) {
				return fmt.Errorf("%w: row %d", ErrPacked, at/rowSize)
			}
		}
		if le32(row[atSource:]) >= uint32(len(b.sources)) {
			return fmt.Errorf("%w: row %d", ErrPacked, at/rowSize)
		}
	}
	free := false
	b.tags = make([]byte, len(b.slots)/slotSize)
	for at := 0; at < len(b.slots); at += slotSize {
		s := le32(b.slots[at:])
		if s != noSubject {
			b.tags[at/slotSize] = tagOf(le32(b.slots[at+4:]))
		}
		free = free || s == noSubject
		if s != noSubject && s >= subjects {
			return fmt.Errorf("%w: slot %d", ErrPacked, at/slotSize)
		}
	}
	if !free {
		return fmt.Errorf("%w: no free slot", ErrPacked)
	}
	return nil
}

// NewBook is a book of these labels, in any order; the slice is not kept. A label without a subject is an error.
func NewBook(labels []Label) (*Book, error) {
	labels = slices.Clone(labels)
	slices.SortStableFunc(labels, Label.Compare)
	p := NewPacker()
	for _, l := range labels {
		if err := p.Add(l); err != nil {
			return nil, err
		}
	}
	return OpenBook(join(p.Finish(0)))
}

func join(pieces [][]byte) string {
	n := 0
	for _, p := range pieces {
		n += len(p)
	}
	var s strings.Builder
	s.Grow(n)
	for _, p := range pieces {
		s.Write(p)
	}
	return s.String()
}
