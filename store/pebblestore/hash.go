package pebblestore

import (
	"encoding/binary"
	"math/bits"

	"github.com/spoor-dev/spoor/flow"
)

// A secret makes the places of transactions, outpoints and accounts in their indexes unforeseeable: whoever grinds ids
// with equal first bytes does not make one bucket of an index grow. It is drawn once for each store. It does not change
// any answer.
type secret [4]uint64

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// hash mixes the id of a transaction.
func (s *secret) hash(id flow.Hash) uint64 {
	a := mix(binary.LittleEndian.Uint64(id[0:])^s[0], binary.LittleEndian.Uint64(id[8:])^s[1])
	b := mix(binary.LittleEndian.Uint64(id[16:])^s[2], binary.LittleEndian.Uint64(id[24:])^s[3])
	return mix(a^s[1], b^s[2])
}

// outpoint mixes an outpoint.
func (s *secret) outpoint(o flow.Outpoint) uint64 {
	return mix(s.hash(o.Tx)^s[0], uint64(o.Index)^s[3])
}

// key mixes an account key.
func (s *secret) key(k string) uint64 {
	h := s[0] ^ uint64(len(k))
	for len(k) >= 8 {
		w := uint64(k[0]) | uint64(k[1])<<8 | uint64(k[2])<<16 | uint64(k[3])<<24 | uint64(k[4])<<32 | uint64(k[5])<<40 | uint64(k[6])<<48 | uint64(k[7])<<56
		h = mix(h^w, s[1]) ^ s[2]
		k = k[8:]
	}
	w := uint64(0)
	for i := range len(k) {
		w |= uint64(k[i]) << (8 * i)
	}
	return mix(mix(h^w, s[3]), s[2])
}
