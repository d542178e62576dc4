package bitcoin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/spoor-dev/spoor/flow"
)

// The facts of single blocks: transactions as counted in the README beside them; hashes and outputs as the chain has them.
func TestRealBlocks(t *testing.T) {
	for _, tt := range []struct {
		file   string
		chain  flow.Chain
		height uint64
		txs    int
		hash   string
	}{
		{"block169482.dat", flow.Bitcoin, 169482, 14, "0000000000000756935f1ee9d5987857b604046f846d3df56d024cdb5f368665"},
		{"block227835.dat", flow.Bitcoin, 227835, 122, "00000000000001aa077d7aa84c532a4d69bdbff519609d1da0835261b7a74eb6"},
		{"block227836.dat", flow.Bitcoin, 227836, 100, ""},
		{"block363703.dat", flow.Bitcoin, 363703, 587, ""},
		{"block370661.dat", flow.Bitcoin, 370661, 708, ""},
		{"block481815.dat", flow.Bitcoin, 481815, 2097, ""},
		{"block_testnet700000.dat", flow.BitcoinTestnet3, 700000, 0, "000000000000406178b12a4dea3b27e13b3c4fe4510994fd667d7c1e6a3f4dc1"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			raw := sharedFile(t, tt.file)
			b, err := New(tt.chain).Decode(flow.Point{Chain: tt.chain, Height: tt.height}, flow.Hash{}, raw)
			if err != nil {
				t.Fatal(err)
			}
			if tt.txs > 0 && len(b.Txs) != tt.txs {
				t.Errorf("%d transactions; want %d", len(b.Txs), tt.txs)
			}
			if tt.hash != "" && b.Point.Hash.String() != tt.hash {
				t.Errorf("hash %s; want %s", b.Point.Hash, tt.hash)
			}
			sameAsWire(t, b, raw)
			t.Logf("%s: %d transactions, %d satoshi, %v", b.Point.Hash, len(b.Txs), paid(b), b.Coverage.Names())
		})
	}
}

// sameAsWire compares with btcd's own reading of the same bytes.
func sameAsWire(t testing.TB, b flow.Block, raw []byte) {
	t.Helper()
	var want wire.MsgBlock
	if err := want.Deserialize(bytes.NewReader(raw)); err != nil {
		t.Fatalf("btcd does not read it: %v", err)
	}
	if got := b.Point.Hash.String(); got != want.BlockHash().String() {
		t.Errorf("hash %s; btcd %s", got, want.BlockHash())
	}
	if got := b.Parent.String(); got != want.Header.PrevBlock.String() {
		t.Errorf("parent %s; btcd %s", got, want.Header.PrevBlock)
	}
	if len(b.Txs) != len(want.Transactions) {
		t.Fatalf("%d transactions; btcd %d", len(b.Txs), len(want.Transactions))
	}
	for i, tx := range want.Transactions {
		got := b.Txs[i]
		if got.ID.String() != tx.TxID() {
			t.Fatalf("transaction %d: id %s; btcd %s", i, got.ID, tx.TxID())
		}
		if len(got.Movements) != 1 {
			t.Fatalf("transaction %d: %d movements; want 1", i, len(got.Movements))
		}
		m := got.Movements[0]
		var ins, outs []string
		for j, o := range m.Spent {
			ins = append(ins, o.String())
			if m.In[j] != (flow.Leg{}) {
				t.Fatalf("transaction %d: leg %d is filled: %v", i, j, m.In[j])
			}
		}
		for _, l := range m.Out {
			outs = append(outs, l.Amount.String())
		}
		var wantIns, wantOuts []string
		if i > 0 {
			for _, in := range tx.TxIn {
				wantIns = append(wantIns, in.PreviousOutPoint.String())
			}
		}
		for _, o := range tx.TxOut {
			wantOuts = append(wantOuts, fmt.Sprint(o.Value))
		}
		if fmt.Sprint(ins) != fmt.Sprint(wantIns) || len(m.In) != len(wantIns) {
			t.Errorf("transaction %d: spends %v; btcd %v", i, ins, wantIns)
		}
		if fmt.Sprint(outs) != fmt.Sprint(wantOuts) {
			t.Errorf("transaction %d: pays %v; btcd %v", i, outs, wantOuts)
		}
	}
}

// The first 14,132 blocks: 14,247 transactions of which 115 are not coinbases, each linked to the one before.
func TestFirstYear(t *testing.T) {
	d := New(flow.Bitcoin)
	var parent flow.Hash
	blocks, txs, spends := 0, 0, 0
	for h, raw := range frames(t, sharedFile(t, "blk_0_to_14131.dat.gz")) {
		b, err := d.Decode(bitcoinAt(uint64(h)), parent, raw)
		if err != nil {
			t.Fatal(err)
		}
		if h == 170 {
			firstPayment(t, b)
		}
		parent = b.Point.Hash
		blocks++
		txs += len(b.Txs)
		for _, tx := range b.Txs {
			if tx.Movements[0].Kind == flow.Transfer {
				spends++
			}
		}
	}
	if blocks != 14132 || txs != 14247 || spends != 115 {
		t.Errorf("%d blocks, %d transactions, %d of them no coinbase; want 14132, 14247, 115", blocks, txs, spends)
	}
}

// firstPayment checks the first payment between people: 10 of 50 bitcoin, the rest back, in block 170.
func firstPayment(t *testing.T, b flow.Block) {
	t.Helper()
	if len(b.Txs) != 2 {
		t.Fatalf("block 170 has %d transactions; want 2", len(b.Txs))
	}
	tx := b.Txs[1]
	if want := "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16"; tx.ID.String() != want {
		t.Errorf("id %s; want %s", tx.ID, want)
	}
	m := tx.Movements[0]
	want := "0437cd7f8525ceed2324359c2d0ba26006d92d856a9c20fa0241106ee5a597c9:0"
	if len(m.Spent) != 1 || m.Spent[0].String() != want {
		t.Errorf("spends %v; want %s", m.Spent, want)
	}
	got := fmt.Sprintf("%s %s %s %s %s", m.Kind, m.Out[0].Account.Address(), m.Out[0].Amount, m.Out[1].Account.Address(), m.Out[1].Amount)
	if want := "transfer p2pk-1Q2TWHE3GMdB6BZKafqwxXtWAWgFt5Jvm3 1000000000 p2pk-12cbQLTFMXRnSzktFkuoG3eHoMeFtpTu3S 4000000000"; got != want {
		t.Errorf("moved %s; want %s", got, want)
	}
}

// The sample that comes with the program: blocks 0 to 199.
func TestSample(t *testing.T) {
	d := New(flow.Bitcoin)
	var parent flow.Hash
	blocks := 0
	for h, raw := range frames(t, sample(t)) {
		b, err := d.Decode(bitcoinAt(uint64(h)), parent, raw)
		if err != nil {
			t.Fatal(err)
		}
		sameAsWire(t, b, raw)
		switch h {
		case 0:
			m := b.Txs[0].Movements[0]
			got := fmt.Sprintf("%s %s %d %s %s", b.Point.Hash, m.Kind, len(m.In), m.Out[0].Account.Address(), m.Out[0].Amount)
			want := "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f reward 0 p2pk-1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa 5000000000"
			if got != want || b.Point.Time != 1231006505 || !b.Parent.IsZero() {
				t.Errorf("genesis block %s at %d on %s; want %s", got, b.Point.Time, b.Parent, want)
			}
		case 170:
			firstPayment(t, b)
		}
		parent = b.Point.Hash
		blocks++
	}
	if blocks != 200 {
		t.Errorf("%d blocks; want 200", blocks)
	}
}

// The two real blocks with witnesses that btcd's module carries: their commitments must come out, and must not when a
// byte of a witness is another.
func TestRealWitnesses(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/btcsuite/btcd/wire/v2").Output()
	if err != nil {
		t.Skipf("absent: the source of github.com/btcsuite/btcd/wire/v2: %v", err)
	}
	for _, tt := range []struct {
		hash   string
		height uint64
		txs    int
	}{
		{"0000000000000000001602407ac49862a7bca9d00f7f402db20b7be2f5de59d2", 574200, 3315},
		{"00000000000000000021868c2cefc52a480d173c849412fe81c4e5ab806f94ab", 540107, 230},
	} {
		raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "testdata", "block-"+tt.hash+".blk"))
		if err != nil {
			t.Skipf("absent: block %s in btcd's testdata: %v", tt.hash, err)
		}
		at := bitcoinAt(tt.height)
		if at.Hash, err = flow.ParseHash(tt.hash); err != nil {
			t.Fatal(err)
		}
		b, err := New(flow.Bitcoin).Decode(at, flow.Hash{}, raw)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Txs) != tt.txs || !b.Coverage.Has(flow.ProvedWitness|flow.ProvedTxs|flow.ProvedHash) {
			t.Errorf("%d transactions, %v; want %d, all proved", len(b.Txs), b.Coverage.Names(), tt.txs)
		}
		sameAsWire(t, b, raw)
		raw[endOfWitness(t, raw)] ^= 1
		if _, err := New(flow.Bitcoin).Decode(at, flow.Hash{}, raw); !errors.Is(err, ErrRoot) || !strings.Contains(err.Error(), "witness commitment") {
			t.Errorf("a wrong witness: %v; want the witness commitment to fail", err)
		}
	}
}

// endOfWitness is the place of the last byte of some transaction's last witness.
func endOfWitness(t *testing.T, raw []byte) int {
	t.Helper()
	var b wire.MsgBlock
	places, err := b.DeserializeTxLoc(bytes.NewBuffer(raw))
	if err != nil {
		t.Fatal(err)
	}
	for i, tx := range b.Transactions {
		w := tx.TxIn[len(tx.TxIn)-1].Witness
		if i > 0 && len(w) > 0 && len(w[len(w)-1]) > 0 {
			const lockTime = 4
			return places[i].TxStart + places[i].TxLen - lockTime - 1
		}
	}
	t.Fatal("no witness")
	return 0
}

// All inputs of block 277647 are known, so that the fees must add up: the coinbase takes the subsidy and the fees.
func TestFeesAddUp(t *testing.T) {
	var b flow.Block
	for i, raw := range frames(t, sharedFile(t, "277647.dat.bz2")) {
		var err error
		if b, err = New(flow.Bitcoin).Decode(bitcoinAt(277647), flow.Hash{}, raw); err != nil || i > 0 {
			t.Fatal(i, err)
		}
	}
	if len(b.Txs) != 213 {
		t.Errorf("%d transactions; want 213", len(b.Txs))
	}
	outputs := readUTXOStore(t, sharedFile(t, "277647.utxostore.bz2"))
	var fees uint64
	for _, tx := range b.Txs {
		for j := range tx.Movements[0].Out {
			n, _ := tx.Movements[0].Out[j].Amount.Uint64()
			outputs[flow.Outpoint{Tx: tx.ID, Index: uint32(j)}] = n
		}
	}
	for _, tx := range b.Txs[1:] {
		var in uint64
		for _, o := range tx.Movements[0].Spent {
			n, ok := outputs[o]
			if !ok {
				t.Fatalf("transaction %s spends %s, which is not known", tx.ID, o)
			}
			in += n
		}
		if in < out(tx) {
			t.Fatalf("transaction %s takes %d and pays %d", tx.ID, in, out(tx))
		}
		fees += in - out(tx)
	}
	if got, want := out(b.Txs[0]), 25_0000_0000+fees; got != want {
		t.Errorf("the coinbase takes %d; the subsidy and all fees are %d", got, want)
	}
	t.Logf("fees %d satoshi", fees)
}

// readUTXOStore reads btcd's test form: transaction, index, length of what follows, then a number (height and coinbase),
// the compressed amount, the script.
func readUTXOStore(t *testing.T, raw []byte) map[flow.Outpoint]uint64 {
	t.Helper()
	amounts := map[flow.Outpoint]uint64{}
	for len(raw) > 0 {
		key := flow.Outpoint{Tx: printed(chainhash.Hash(raw[:32])), Index: binary.LittleEndian.Uint32(raw[32:])}
		n := binary.LittleEndian.Uint32(raw[36:])
		entry := raw[40 : 40+n]
		raw = raw[40+n:]
		_, entry = readVLQ(entry)
		packed, _ := readVLQ(entry)
		amounts[key] = unpackAmount(packed)
	}
	return amounts
}

// readVLQ reads base 128, most significant first, where every byte but the last has its high bit set and adds one.
func readVLQ(b []byte) (n uint64, rest []byte) {
	for i, c := range b {
		n = n<<7 | uint64(c&0x7f)
		if c&0x80 == 0 {
			return n, b[i+1:]
		}
		n++
	}
	return n, nil
}

// unpackAmount is the inverse of the amount compression of Bitcoin's chain state: trailing decimal zeros as an exponent.
func unpackAmount(x uint64) uint64 {
	if x == 0 {
		return 0
	}
	x--
	e := x % 10
	x /= 10
	n := x + 1
	if e < 9 {
		n = x/9*10 + x%9 + 1
	}
	for range e {
		n *= 10
	}
	return n
}

func BenchmarkDecode(b *testing.B) {
	raw := sharedFile(b, "block481815.dat")
	d := New(flow.Bitcoin)
	legs := 0
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	txs := 0
	for b.Loop() {
		block, err := d.Decode(bitcoinAt(481815), flow.Hash{}, raw)
		if err != nil {
			b.Fatal(err)
		}
		txs += len(block.Txs)
		for _, tx := range block.Txs {
			legs += len(tx.Movements[0].In) + len(tx.Movements[0].Out)
		}
	}
	b.ReportMetric(float64(txs)/b.Elapsed().Seconds(), "movements/s")
	b.ReportMetric(float64(legs)/b.Elapsed().Seconds(), "legs/s")
}
