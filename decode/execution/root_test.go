package execution

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"pgregory.net/rapid"

	"github.com/spoor-dev/spoor/flow"
)

// unhex is the bytes that digits say.
func unhex(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRealBlock holds what a block of the main network says of itself, 1,755,635 from before the Byzantium fork, against
// its two transactions and their receipts, of which the first has two logs.
func TestRealBlock(t *testing.T) {
	txs := [][]byte{
		unhex(t, "f88b8285708504a817c8008303d090948b3b3b624c3c0397d3da8fd861512393d51dcbac80a47edae70f"+
			"0000000000000000000000006498077292a0921c8804924fdf47b5e91e2a215f"+
			"1ba005cc7374e9fec2746508026549a6f691d5de93b34645dd0172531aa0393ea2b7a03d3f4367d6906993f9b2f2e54741cc3e86356cfb81085c3ff656b82a79d87153"),
		unhex(t, "f86f820ea18504a817c80083015f9094ec1ebac9da3430213281c80fa6d46378341a96ae8805a178a89b930e0080"+
			"1ba073cd9797f953bb6edb2077d58c4691cf78b542565ddd85aa45be6025445d73bba05f17d3dd1010dd6fd13a1300e9a4fca00d900670cdaeabbeec75a904506b404e"),
	}
	if got, want := Root(txs).String(), "36854e7b5bedd028c7b2a89829f6269a76e345edc92c6bffaddfdace512a2818"; got != want {
		t.Errorf("transactions root %s; want %s", got, want)
	}
	amount := "0000000000000000000000000000000000000000000000004563918244f40000"
	buyer, desk := topic("0000000000000000000000006498077292a0921c8804924fdf47b5e91e2a215f"), topic("0000000000000000000000008b3b3b624c3c0397d3da8fd861512393d51dcbac")
	receipts := []Receipt{
		{State: unhex(t, "4db3f06ff4e7283ab1187045ca78f4bd713b0737640180377b4d4a2e9a80c235"), Gas: 0x8e42, Logs: []Log{
			{Emit: Address(unhex(t, "bb9bc244d798123fde783fcc1c72d3bb8c189413")), Topics: []flow.Hash{eventTransfer, buyer, desk}, Data: unhex(t, amount)},
			{Emit: Address(unhex(t, "8b3b3b624c3c0397d3da8fd861512393d51dcbac")), Topics: []flow.Hash{
				topic("e3e6ac9b8af8d4194beda053cf95abee2ac870c4fb5f26505181ef1d438512bf"), buyer, topic(amount)}},
		}},
		{State: unhex(t, "379f143510d5703cf162e37e61d906341b4a6acf4f339d422c656000ccd5898f"), Gas: 0xe04a},
	}
	if got, want := ReceiptsRoot(receipts).String(), "da8b99b6658dbcb71a03a6978d61d5ad6ad3e74961b58fe71e6e75549c701e1a"; got != want {
		t.Errorf("receipts root %s; want %s", got, want)
	}
	all := receipts[1].Bloom()
	if all != (Bloom{}) {
		t.Errorf("the bloom of no logs is %x", all)
	}
	all.Or(receipts[0].Bloom())
	set := "" // the bytes of the bloom that are not 0, with their places
	for i, b := range all {
		if b != 0 {
			set += fmt.Sprintf("%d:%02x ", i, b)
		}
	}
	if want := "7:02 11:02 13:02 61:01 75:08 106:40 108:01 112:04 120:20 123:10 151:10 154:02 158:10 159:10 179:20 187:10 195:02 206:02 215:80 239:10 243:02 "; set != want {
		t.Errorf("bloom %s; want %s", set, want)
	}
}

// TestRootOfEveryShape: the tree changes its shape at these numbers of entries. The roots are those on which go-ethereum
// and a tree written from the yellow paper agreed.
func TestRootOfEveryShape(t *testing.T) {
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

// TestReceiptsAreThoseOfGoEthereum: the fields are those that go-ethereum hashes, in its order, for every type that it knows.
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
