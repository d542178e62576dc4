package attribute

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"pgregory.net/rapid"
)

// plain is a book as its contract says it, in the simplest way.
type plain []Label

func (p plain) of(validAt, knownAt int64, of ...Subject) []Label {
	last := map[Claim]Label{}
	for _, l := range p {
		have, ok := last[l.Claim()]
		if slices.Contains(of, l.Subject) && l.Seen <= knownAt && (!ok || have.Seen < l.Seen) {
			last[l.Claim()] = l
		}
	}
	var out []Label
	for _, l := range last {
		if l.Stance != Retracts && l.ValidAt(validAt) {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, Label.Compare)
	return out
}

func subjects() []Subject {
	var all []Subject
	for i := range 4 {
		a := flow.EVMAccount(flow.Ethereum, [20]byte{byte(i)})
		b := flow.EVMAccount(flow.EVMChain(56), [20]byte{byte(i)})
		all = append(all, OfAccount(a), OfAccount(b), OfAnyEVM(a), Subject{KindDomain, flow.Chain{}, fmt.Sprintf("x%d.example", i)})
	}
	return append(all, OfCode(flow.Hash{1}))
}

func drawLabels(t *rapid.T) plain {
	var out plain
	seen := map[string]bool{}
	for range rapid.IntRange(0, 60).Draw(t, "n") {
		l := Label{
			Subject:    rapid.SampledFrom(subjects()).Draw(t, "subject"),
			Name:       rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "name"),
			Category:   rapid.SampledFrom([]Category{"", Sanction, Exchange}).Draw(t, "category"),
			Stance:     Stance(rapid.IntRange(0, 2).Draw(t, "stance")),
			Confidence: Confidence(rapid.IntRange(0, int(Override)).Draw(t, "confidence")),
			Source:     Source{ID: rapid.SampledFrom([]string{"s", "t"}).Draw(t, "source"), Date: rapid.Int64Range(0, 2).Draw(t, "date")},
			Evidence:   rapid.StringN(0, 3, -1).Draw(t, "evidence"),
			ValidFrom:  rapid.Int64Range(0, 5).Draw(t, "from"),
			ValidTo:    rapid.Int64Range(0, 8).Draw(t, "to"),
			Seen:       rapid.Int64Range(1, 9).Draw(t, "seen"),
		}
		if key := fmt.Sprint(l.Claim(), l.Seen); !seen[key] { // one version of a claim at a time
			seen[key] = true
			out = append(out, l)
		}
	}
	return out
}

func TestBookAnswersAsItsContractSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		labels := drawLabels(t)
		b, err := NewBook(labels)
		if err != nil {
			t.Fatal(err)
		}
		if b.Len() != len(labels) {
			t.Fatalf("Len() = %d; want %d", b.Len(), len(labels))
		}
		of := rapid.SliceOfNDistinct(rapid.SampledFrom(subjects()), 1, 3, rapid.ID[Subject]).Draw(t, "of")
		for validAt := range int64(10) {
			for knownAt := range int64(11) {
				got, want := b.Of(validAt, knownAt, of...), labels.of(validAt, knownAt, of...)
				if !slices.Equal(got, want) {
					t.Fatalf("Of(%d, %d, %v) = %v; want %v", validAt, knownAt, of, got, want)
				}
			}
		}
		a := flow.EVMAccount(flow.Ethereum, [20]byte{1})
		if got, want := b.LabelsOf(a, 3, 6), labels.of(3, 6, OfAccount(a), OfAnyEVM(a)); !slices.Equal(got, want) {
			t.Fatalf("LabelsOf = %v; want %v", got, want)
		}
		all := slices.Collect(b.All())
		if !slices.IsSortedFunc(all, Label.Compare) || len(all) != len(labels) {
			t.Fatalf("All: %d labels, sorted %v", len(all), slices.IsSortedFunc(all, Label.Compare))
		}
		shuffled := slices.Clone(labels)
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if o, err := NewBook(shuffled); err != nil || o.Hash() != b.Hash() {
			t.Fatalf("the hash depends on the order of labels: %v", err)
		}
	})
}

func TestOpenBookRefusesEveryFlippedBit(t *testing.T) {
	l := Label{Subject: OfCode(flow.Hash{7}), Name: "n", Source: Source{ID: "s"}, Seen: 1}
	p := NewPacker()
	if err := p.Add(l); err != nil {
		t.Fatal(err)
	}
	packed := join(p.Finish(9))
	if b, err := OpenBook(packed); err != nil || b.Generation() != 9 {
		t.Fatalf("OpenBook: %v", err)
	}
	for i := range len(packed) {
		broken := []byte(packed)
		broken[i] ^= 1
		if _, err := OpenBook(string(broken)); err == nil {
			t.Errorf("byte %d flipped: no error", i)
		}
		if _, err := OpenBook(packed[:i]); err == nil {
			t.Errorf("cut after %d bytes: no error", i)
		}
	}
}

func FuzzOpenBook(f *testing.F) {
	l := Label{Subject: OfCode(flow.Hash{7}), Name: "n", Source: Source{ID: "s"}, Seen: 1}
	p := NewPacker()
	if err := p.Add(l); err != nil {
		f.Fatal(err)
	}
	f.Add(join(p.Finish(9)))
	f.Add("SPOORLB1")
	f.Fuzz(func(t *testing.T, packed string) {
		b, err := OpenBook(seal(packed))
		if err != nil {
			return
		}
		for l := range b.All() {
			b.Of(0, maxTime, l.Subject)
		}
	})
}

// seal gives damaged bytes a right checksum, so that the fuzzer gets past it.
func seal(packed string) string {
	if len(packed) < headerSize {
		return packed
	}
	b := []byte(packed)
	clear(b[atSum : atSum+4])
	sum := crc32.Update(crc32.Checksum(b[headerSize:], castagnoli), castagnoli, b[:headerSize])
	binary.LittleEndian.PutUint32(b[atSum:], sum)
	return string(b)
}
