package labelstore

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/attribute"
)

// The keys of the store:
//
//	"v"                                                          -> version of the format
//	"g"                                                          -> generation: how many imports were committed, 8 bytes
//	"s" + number, 4 bytes                                        -> source, JSON
//	"f" + source id                                              -> the last import of the source, JSON
//	"q" + source id + 0 + number, 4 bytes                        -> row in quarantine after the last import, JSON
//	"l" + subject + claim, 16 bytes of sha-256 + seen, 8 bytes   -> version of a label
//
// Numbers are big-endian. A subject is what attribute.Subject.AppendBinary writes: the order of subjects.
const (
	formatKey        = "v"
	generationKey    = "g"
	sourcePrefix     = "s"
	feedPrefix       = "f"
	quarantinePrefix = "q"
	labelPrefix      = "l"
)

var errDamaged = errors.New("damaged label store")

func sourceKey(n uint32) string {
	return string(binary.BigEndian.AppendUint32([]byte(sourcePrefix), n))
}

func quarantineKeys(source string) string { return quarantinePrefix + source + "\x00" }

const claimSize = 16

func labelKey(l attribute.Label) ([]byte, error) {
	key, err := l.Subject.AppendBinary([]byte(labelPrefix))
	if err != nil {
		return nil, err
	}
	c := l.Claim()
	h := sha256.New()
	for _, text := range [...]string{c.Source, string(c.Category), c.Name, c.Actor} {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(text)))
		h.Write(size[:])
		h.Write([]byte(text))
	}
	var from [8]byte
	binary.BigEndian.PutUint64(from[:], uint64(c.ValidFrom))
	h.Write(from[:])
	key = append(key, h.Sum(nil)[:claimSize]...)
	return binary.BigEndian.AppendUint64(key, uint64(l.Seen)), nil
}

// appendRecord writes what the key does not hold: stance, confidence, service, then source number and times as varints, then
// the texts behind their lengths.
func appendRecord(b []byte, l attribute.Label, source uint32) []byte {
	service := byte(0)
	if l.Service {
		service = 1
	}
	b = append(b, byte(l.Stance), byte(l.Confidence), service)
	b = binary.AppendUvarint(b, uint64(source))
	b = binary.AppendVarint(b, l.ValidFrom)
	b = binary.AppendVarint(b, l.ValidTo)
	for _, text := range [...]string{l.Name, l.Actor, string(l.Category), l.Evidence} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return b
}

func parseLabel(key, record []byte, sources []attribute.Source) (l attribute.Label, err error) {
	bad := func(what string) (attribute.Label, error) {
		return attribute.Label{}, fmt.Errorf("label %x: %w: %s", key, errDamaged, what)
	}
	if len(key) < len(labelPrefix)+claimSize+8 {
		return bad("short key")
	}
	subject := key[len(labelPrefix) : len(key)-claimSize-8]
	if l.Subject, err = attribute.SubjectFromBinary(subject); err != nil {
		return attribute.Label{}, fmt.Errorf("label %x: %w: %w", key, errDamaged, err)
	}
	l.Seen = int64(binary.BigEndian.Uint64(key[len(key)-8:]))
	if len(record) < 3 {
		return bad("short record")
	}
	l.Stance, l.Confidence, l.Service = attribute.Stance(record[0]), attribute.Confidence(record[1]), record[2] != 0
	rest := record[3:]
	number, n := binary.Uvarint(rest)
	if n <= 0 || number >= uint64(len(sources)) {
		return bad("number of the source")
	}
	l.Source, rest = sources[number], rest[n:]
	for _, t := range []*int64{&l.ValidFrom, &l.ValidTo} {
		if *t, n = binary.Varint(rest); n <= 0 {
			return bad("time")
		}
		rest = rest[n:]
	}
	var category string
	for _, text := range []*string{&l.Name, &l.Actor, &category, &l.Evidence} {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return bad("text")
		}
		*text, rest = string(rest[n:n+int(size)]), rest[n+int(size):]
	}
	if len(rest) > 0 {
		return bad("bytes at the end")
	}
	l.Category = attribute.Category(category)
	return l, nil
}
