package execution

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
)

// TestRootIsThatOfGoEthereum compares with what types.DeriveSha of go-ethereum v1.17.10 says over trie.StackTrie, which
// is not linked here: it brings a database along.
func TestRootIsThatOfGoEthereum(t *testing.T) {
	for _, c := range []struct {
		n    int
		want string
	}{
		{0, "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"},
		{1, "a2fd5e166409ffe1fc1eea1632a0e40ff6a9164c53f284028a860465eeda44b2"},
		{2, "abfd29fc73862427aedec8b39c155087c5892f9f64e290429f77a841ed1a7808"},
		{16, "b749e89c784c4da9227e1ad885cc99f3b744b4c8a74b1d962eb71c44d6fdd9c3"},
		{17, "5543e6f2502bf1226494ab8c71d0f34b0d98ac8634e0d823cc9944a1a3290f0b"},
		{127, "330a03a96cb732595f465d31dbb99efe183251e403ac5a3e7ea40ae314045781"},
		{128, "ed6e7dc00d2eb1452b8ba328f4cf75c602860d033a6f6b770ff523725fa233b2"},
		{129, "7177acb9b77b72654137fab7f53dac4934025afef9de0f67e08bfc620cbd3cbd"},
		{200, "db1d546867300d190317ccd484585fe9e7fc2c1822f3a444643b7ed4087ed7b4"},
		{256, "aa19c25d55429ba0710ede8e763cf70c75873f614cd10bfd122f00998355a435"},
		{257, "df06102a1c02f3b37eec35f1ecb3fa3ccf9a225bca08b75831c92beefb80cab0"},
		{1000, "58958994c0c343ac6b214796dcd8bd1f67cb8be5be823023a6444e95833117fc"},
	} {
		var entries [][]byte
		for i := range c.n {
			entries = append(entries, bytes.Repeat([]byte{byte(i), byte(i >> 8), 7}, 1+i%40))
		}
		if got := Root(entries).String(); got != c.want {
			t.Errorf("Root of %d entries = %s; want %s", c.n, got, c.want)
		}
	}
}

// TestReceiptsAreThoseOfGoEthereum: two implementations agree on the bytes of a receipt and on its bloom.
func TestReceiptsAreThoseOfGoEthereum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Receipt{Type: rapid.Uint8Range(0, 4).Draw(t, "type"), Gas: rapid.Uint64().Draw(t, "gas"), Status: rapid.Uint64Range(0, 1).Draw(t, "status")}
		if rapid.Bool().Draw(t, "old") {
			r.State, r.Status = bytes.Repeat([]byte{5}, 32), 0
		}
		theirs := &types.Receipt{Type: r.Type, CumulativeGasUsed: r.Gas, Status: r.Status, PostState: r.State}
		for range rapid.IntRange(0, 4).Draw(t, "logs") {
			l := Log{Emit: Address(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "emit")), Data: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data")}
			log := &types.Log{Address: l.Emit, Data: l.Data}
			for range rapid.IntRange(0, 4).Draw(t, "topics") {
				h := flow.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "topic"))
				l.Topics = append(l.Topics, h)
				log.Topics = append(log.Topics, common.Hash(h))
			}
			r.Logs = append(r.Logs, l)
			theirs.Logs = append(theirs.Logs, log)
		}
		theirs.Bloom = types.CreateBloom(theirs)
		if got, want := r.Bloom(), theirs.Bloom; got != Bloom(want) {
			t.Fatalf("bloom %x; want %x", got, want)
		}
		var want bytes.Buffer
		types.Receipts{theirs}.EncodeIndex(0, &want)
		if got := r.Encode(); !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("encoded %x; want %x", got, want.Bytes())
		}
	})
}

func TestOneChangedEntryChangesTheRoot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 50), 1, 200).Draw(t, "entries")
		before := Root(entries)
		i := rapid.IntRange(0, len(entries)-1).Draw(t, "i")
		entries[i] = append(bytes.Clone(entries[i]), 1)
		if Root(entries) == before {
			t.Fatalf("entry %d was changed, the root was not", i)
		}
	})
}
