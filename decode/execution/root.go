package execution

import (
	"bytes"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/spoor-dev/spoor/flow"
)

// Root is the root of the Merkle-Patricia tree (Ethereum yellow paper, appendix D) whose keys are the RLP of 0, 1, … and
// whose values are these entries, none of which is empty. A block keeps the roots of its transactions, receipts and
// withdrawals.
func Root(entries [][]byte) flow.Hash {
	return flow.Hash(types.DeriveSha(encoded(entries), trie.NewStackTrie(nil)))
}

// encoded are entries as types.DeriveSha asks for them.
type encoded [][]byte

// Len is the number of entries.
func (e encoded) Len() int { return len(e) }

// EncodeIndex writes the i-th entry.
func (e encoded) EncodeIndex(i int, w *bytes.Buffer) { w.Write(e[i]) }
