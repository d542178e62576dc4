package execution

import (
	"golang.org/x/crypto/sha3"

	"github.com/spoor-dev/spoor/flow"
)

// emptyRoot is the root of a list without entries: the keccak-256 of the RLP of no bytes.
var emptyRoot = topic("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")

// Root is the root of the Merkle-Patricia tree (Ethereum yellow paper, appendix D) whose keys are the RLP of 0, 1, … and
// whose values are these entries. A block keeps the roots of its transactions, receipts and withdrawals.
func Root(entries [][]byte) flow.Hash {
	n := len(entries)
	if n == 0 {
		return emptyRoot
	}
	leaves := make([]leaf, 0, n)
	add := func(i int) { leaves = append(leaves, leaf{nibbles(number(uint64(i))), entries[i]}) }
	for i := 1; i < n && i < 0x80; i++ { // in the order of their keys: 01 … 7f, then 80 for 0, then 81 80 …
		add(i)
	}
	add(0)
	for i := 0x80; i < n; i++ {
		add(i)
	}
	return keccak(node(leaves, 0))
}

func keccak(b []byte) (h flow.Hash) {
	k := sha3.NewLegacyKeccak256()
	k.Write(b)
	k.Sum(h[:0])
	return h
}

// A leaf is a key, one nibble in each byte, and its value.
type leaf struct{ key, value []byte }

func nibbles(key []byte) []byte {
	out := make([]byte, 0, 2*len(key))
	for _, b := range key {
		out = append(out, b>>4, b&15)
	}
	return out
}

// node is the RLP of the tree over leaves, which are sorted and share the first depth nibbles of their keys. No key is
// a prefix of another.
func node(leaves []leaf, depth int) []byte {
	first := leaves[0]
	if len(leaves) == 1 {
		return list(text(compact(first.key[depth:], true)), text(first.value))
	}
	last := leaves[len(leaves)-1]
	shared := depth
	for first.key[shared] == last.key[shared] {
		shared++
	}
	if shared > depth {
		return list(text(compact(first.key[depth:shared], false)), reference(node(leaves, shared)))
	}
	var items [17][]byte
	for len(leaves) > 0 {
		nibble, n := leaves[0].key[depth], 1
		for n < len(leaves) && leaves[n].key[depth] == nibble {
			n++
		}
		items[nibble] = reference(node(leaves[:n], depth+1))
		leaves = leaves[n:]
	}
	for i := range items {
		if items[i] == nil {
			items[i] = text(nil)
		}
	}
	return list(items[:]...)
}

// reference is how a node stands in the one above it: itself if it is short, else its hash.
func reference(node []byte) []byte {
	if len(node) < 32 {
		return node
	}
	h := keccak(node)
	return text(h[:])
}

// compact packs nibbles behind a prefix that tells their parity and the kind of the node.
func compact(n []byte, isLeaf bool) []byte {
	flag := byte(0)
	if isLeaf {
		flag = 2
	}
	var out []byte
	if len(n)%2 == 1 {
		out, n = append(out, (flag|1)<<4|n[0]), n[1:]
	} else {
		out = append(out, flag<<4)
	}
	for i := 0; i < len(n); i += 2 {
		out = append(out, n[i]<<4|n[i+1])
	}
	return out
}

// text is the RLP of bytes.
func text(b []byte) []byte {
	if len(b) == 1 && b[0] < 0x80 {
		return b
	}
	return append(head(0x80, len(b)), b...)
}

// list is the RLP of a list of items that are encoded already.
func list(items ...[]byte) []byte {
	n := 0
	for _, i := range items {
		n += len(i)
	}
	out := head(0xc0, n)
	for _, i := range items {
		out = append(out, i...)
	}
	return out
}

// head is the RLP head of n bytes of one kind.
func head(kind byte, n int) []byte {
	if n < 56 {
		return []byte{kind + byte(n)}
	}
	var size []byte
	for ; n > 0; n >>= 8 {
		size = append([]byte{byte(n)}, size...)
	}
	return append([]byte{kind + 55 + byte(len(size))}, size...)
}

// number is the RLP of a number: its bytes without leading zeros.
func number(n uint64) []byte {
	var b []byte
	for ; n > 0; n >>= 8 {
		b = append([]byte{byte(n)}, b...)
	}
	return text(b)
}
