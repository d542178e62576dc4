package bitcoin

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/chainhash/v2"

	"github.com/spoor-dev/spoor/flow"
)

// printed is a hash in the order in which people write it, which is not that of the wire.
func printed(h chainhash.Hash) flow.Hash {
	slices.Reverse(h[:])
	return flow.Hash(h)
}

// merkleRoot is the root over these leaves. mutated reports that two neighbours on some level are equal: since the last
// hash of an odd level is paired with itself, a list with transactions repeated at its end has the same root
// (CVE-2012-2459), and such a list is never what the miner hashed.
func merkleRoot(leaves []chainhash.Hash) (root chainhash.Hash, mutated bool) {
	level := slices.Clone(leaves)
	for len(level) > 1 {
		var pair [2 * chainhash.HashSize]byte
		for i := 0; i < len(level); i += 2 {
			right := i
			if i+1 < len(level) {
				right = i + 1
				mutated = mutated || level[i] == level[right]
			}
			copy(pair[:], level[i][:])
			copy(pair[chainhash.HashSize:], level[right][:])
			level[i/2] = chainhash.DoubleHashH(pair[:])
		}
		level = level[:(len(level)+1)/2]
	}
	if len(level) == 1 {
		root = level[0]
	}
	return root, mutated
}

// commitmentMark begins the coinbase output that commits to the witnesses: OP_RETURN, a push of 36 bytes, 0xaa21a9ed
// (BIP 141). The commitment follows.
var commitmentMark = []byte{0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed}

// isCommitment reports whether an output script of the coinbase commits to the witnesses.
func isCommitment(script []byte) bool {
	return len(script) >= len(commitmentMark)+chainhash.HashSize && bytes.HasPrefix(script, commitmentMark)
}

// proveWitness recomputes the witness commitment. Where there is none there must be no witness either. A commitment
// without any witness at all proves nothing and is no error: miners wrote them before segwit was active, and some
// sources strip the witnesses off.
func (p *parser) proveWitness() (proved bool, err error) {
	switch {
	case p.commitment == nil && p.hasWitness:
		return false, fmt.Errorf("%w: witness commitment: there are witnesses, and the coinbase does not commit to them", ErrRoot)
	case p.commitment == nil || !p.hasWitness:
		return false, nil
	case len(p.reserved) != chainhash.HashSize:
		return false, fmt.Errorf("%w: witness commitment: the coinbase has no reserved value of 32 bytes", ErrRoot)
	}
	root, mutated := merkleRoot(p.wtxids)
	if mutated {
		return false, fmt.Errorf("%w: witness commitment: transactions are repeated", ErrRoot)
	}
	got := chainhash.DoubleHashH(append(root[:], p.reserved...))
	if !bytes.Equal(got[:], p.commitment) {
		return false, fmt.Errorf("%w: witness commitment: the coinbase says %x, the witnesses make %x", ErrRoot, p.commitment, got)
	}
	return true, nil
}
