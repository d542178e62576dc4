package bitcoin

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/v2"

	"github.com/spoor-dev/spoor/flow"
)

// A network is what tells the blocks of one Bitcoin network.
type network struct {
	chain   flow.Chain
	magic   [4]byte
	genesis flow.Hash
	easiest [32]byte // the target that no block's is above, most significant byte first
	bip34   uint64   // from this height on every coinbase begins with its height
}

func networks() []network {
	list := []network{}
	for _, n := range []struct {
		chain  flow.Chain
		params *chaincfg.Params
	}{
		{flow.Bitcoin, &chaincfg.MainNetParams},
		{flow.BitcoinTestnet3, &chaincfg.TestNet3Params},
		{flow.BitcoinTestnet4, &chaincfg.TestNet4Params},
		{flow.BitcoinSignet, &chaincfg.SigNetParams},
		{flow.BitcoinRegtest, &chaincfg.RegressionNetParams},
	} {
		net := network{chain: n.chain, genesis: printed(*n.params.GenesisHash), bip34: uint64(n.params.BIP0034Height)}
		binary.LittleEndian.PutUint32(net.magic[:], uint32(n.params.Net))
		n.params.PowLimit.FillBytes(net.easiest[:])
		list = append(list, net)
	}
	return list
}

// networkOf is the network of a chain. One that is not known has no genesis block and takes every target.
func networkOf(c flow.Chain) network {
	for _, n := range networks() {
		if n.chain == c {
			return n
		}
	}
	n := network{chain: c}
	copy(n.easiest[:], bytes.Repeat([]byte{0xff}, len(n.easiest)))
	return n
}

// magicOf reports whether a file with this head begins with the magic of a known network, as it stands or under the key.
func magicOf(head []byte, key [8]byte) (obscured bool, n network, ok bool) {
	if len(head) < 4 {
		return false, network{}, false
	}
	plain := [4]byte(head)
	hidden := plain
	for i := range hidden {
		hidden[i] ^= key[i]
	}
	for _, n := range networks() {
		switch n.magic {
		case plain:
			return false, n, true
		case hidden:
			return true, n, true
		}
	}
	return false, network{}, false
}

// printed is a hash as people write it: backwards.
func printed(wire [32]byte) flow.Hash {
	slices.Reverse(wire[:])
	return flow.Hash(wire)
}

// targetOf is the number that the hash of a header with these bits must not be above, most significant byte first. ok is
// false for bits that stand for no target: negative, zero, or above 256 bits.
func targetOf(bits uint32) (target [32]byte, ok bool) {
	mantissa := bits & 0x7fffff
	size := int(bits >> 24)
	if bits&0x800000 != 0 || mantissa == 0 {
		return target, false
	}
	for i := range 3 { // byte i of the mantissa, from the least, stands at place size-3+i of the number
		b := byte(mantissa >> (8 * i))
		place := size - 3 + i
		switch {
		case place >= 0 && place < len(target):
			target[len(target)-1-place] = b
		case place >= len(target) && b != 0:
			return target, false
		}
	}
	return target, target != [32]byte{}
}

// A weight is an amount of work: how many hashes had to be tried. Two words, the higher first; more than that no one
// can do.
type weight [2]uint64

// workOf is the work that one block of this target stands for: 2²⁵⁶ ÷ (target+1).
func workOf(target [32]byte) weight {
	t := new(big.Int).SetBytes(target[:])
	w := new(big.Int).Lsh(big.NewInt(1), 256)
	w.Div(w, t.Add(t, big.NewInt(1)))
	if w.BitLen() > 128 {
		return weight{1<<64 - 1, 1<<64 - 1}
	}
	var b [16]byte
	w.FillBytes(b[:])
	return weight{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}
