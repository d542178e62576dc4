package pebblestore

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// The versions of everything below. A store becomes filledVersion when the first hole of it is filled. A store of another
// version is refused with store.ErrFormat.
const (
	formatVersion = 2
	filledVersion = 3
)

// The kinds of keys, their first byte. Numbers in keys are big-endian, so that keys sort by number. Every chain has a
// lane, a small number; all other keys of it begin with the kind and the lane (2 bytes). docs/formats/store.md explains
// the values.
const (
	keyFormat  = 'f' // 'f'                                       -> format version, secret of the indexes
	keyChain   = 'c' // 'c' lane                                  -> CAIP-2 identifier
	keyFinal   = 'g' // 'g' lane                                  -> height of the newest block declared final
	keyHead    = 'h' // 'h' lane height(8)                        -> a whole recent block
	keySegment = 'm' // 'm' lane segment(4)                       -> what the segment holds
	keyLate    = 'r' // 'r' lane segment(4)                       -> a late segment that has ids and no blocks yet
	keyForm    = 'q' // 'q' lane form(4)                          -> kind and asset
	keyBlock   = 'b' // 'b' lane height(8)                        -> header and notes
	keyBody    = 't' // 't' lane height(8) index of first tx(4)   -> some 64 transactions without their ids
	keyTxIDs   = 'i' // 'i' lane height(8) index of first tx(4)   -> their ids, 32 bytes each
	keyAccount = 'k' // 'k' lane bucket(2) group(1-5)             -> accounts by hash of their key (joined)
	keyNames   = 'd' // 'd' lane first id(4)                      -> account keys of ids first, first+1, …
	keyLent    = 'n' // 'n' lane id(4)                            -> an account key: a head block brought it, a filled block has it too
	keyEntries = 'a' // 'a' lane id(4) group(1-5)                 -> few entries of an account (joined)
	//                  'a' lane id(4) group(1-5) segment(4) height(8) tx(4) -> many entries of an account in one
	//                                                               segment, from that transaction on
	keyTxPlace = 'x' // 'x' lane bucket(2) group(1-5)             -> transactions by hash of their id (joined)
	keySpends  = 's' // 's' lane bucket(2) group(1-5)             -> spenders by hash of the outpoint (joined)
)

// laneKey begins every key of a lane.
func laneKey(dst []byte, kind byte, lane uint16) []byte {
	return binary.BigEndian.AppendUint16(append(dst, kind), lane)
}

const laneKeySize = 3

func heightKey(dst []byte, kind byte, lane uint16, height uint64) []byte {
	return binary.BigEndian.AppendUint64(laneKey(dst, kind, lane), height)
}

// chunkKey is the key of a chunk of transactions of which the first has that index.
func chunkKey(dst []byte, kind byte, lane uint16, height uint64, tx uint32) []byte {
	return binary.BigEndian.AppendUint32(heightKey(dst, kind, lane, height), tx)
}

// numberKey is a key that ends in one number: a segment, form or account id.
func numberKey(dst []byte, kind byte, lane uint16, n uint32) []byte {
	return binary.BigEndian.AppendUint32(laneKey(dst, kind, lane), n)
}

// entriesKey is the key of a holder's short pieces in a group of segments.
func entriesKey(dst []byte, lane uint16, holder, segment uint32) []byte {
	return appendShort(numberKey(dst, keyEntries, lane, holder), segment>>groupBits)
}

const (
	// groupBits: the pieces of 16 segments may stand in one value.
	groupBits = 4
	// holderKeySize is where the group begins in the key of entries.
	holderKeySize = laneKeySize + 4
)

// appendShort appends a number in 1 to 5 bytes such that greater numbers sort behind: below 0xf8 the number itself, else
// 0xf8 + n and the number in n big-endian bytes.
func appendShort(dst []byte, v uint32) []byte {
	if v < 0xf8 {
		return append(dst, byte(v))
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	n := (bits.Len32(v) + 7) / 8
	return append(append(dst, 0xf8+byte(n)), b[4-n:]...)
}

// readShort reads what appendShort wrote and returns the rest; ok is false for anything else.
func readShort(b []byte) (v uint32, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	if b[0] < 0xf8 {
		return uint32(b[0]), b[1:], true
	}
	n := int(b[0] - 0xf8)
	if n > 4 || len(b) <= n {
		return 0, nil, false
	}
	for _, x := range b[1 : 1+n] {
		v = v<<8 | uint32(x)
	}
	return v, b[1+n:], true
}

// entriesPartKey is the key of a long piece or a part of one, whose first entry is in that transaction.
func entriesPartKey(dst []byte, lane uint16, holder, segment uint32, height uint64, tx uint32) []byte {
	dst = binary.BigEndian.AppendUint32(entriesKey(dst, lane, holder, segment), segment)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(dst, height), tx)
}

// segmentOfKey is the segment of a key of entries: 0 for that of short pieces.
func segmentOfKey(key []byte) (segment uint32, ok bool) {
	group, rest, ok := readShort(key[min(holderKeySize, len(key)):])
	if !ok || len(rest) != 0 && len(rest) != 16 {
		return 0, false
	}
	if len(rest) == 0 {
		return 0, true
	}
	segment = binary.BigEndian.Uint32(rest)
	return segment, segment>>groupBits == group
}

// bucketKey is the key of the pieces of a bucket in a group of segments.
func bucketKey(dst []byte, kind byte, lane uint16, bucket uint16, segment uint32) []byte {
	return appendShort(binary.BigEndian.AppendUint16(laneKey(dst, kind, lane), bucket), segment>>bucketGroupBits)
}

const (
	// bucketGroupBits: the pieces of 64 segments may stand in one value of an index.
	bucketGroupBits = 6
	// bucketKeySize is where the group begins in the key of a bucket.
	bucketKeySize = laneKeySize + 2
)

// laneBounds are the first key of a kind of a lane and the first key behind it.
func laneBounds(kind byte, lane uint16) (lower, upper []byte) {
	if lane == math.MaxUint16 {
		return laneKey(nil, kind, lane), []byte{kind + 1}
	}
	return laneKey(nil, kind, lane), laneKey(nil, kind, lane+1)
}

// lastNumber is the big-endian number at the end of a key.
func lastNumber(key []byte) uint32 { return binary.BigEndian.Uint32(key[len(key)-4:]) }
