package nodes

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Miner is the name of the key that the blocks of a Bitcoin node pay to.
const Miner = "miner"

// Maturity is how many blocks must stand from a coinbase to the top, itself not counted, before it can be spent.
const Maturity = 100

// fee is what every payment leaves to the miner, in satoshi.
const fee = 1000

// A Bitcoin is a running btcd with a regtest chain of its own. Its methods end the test where the node refuses, and are
// for one goroutine, but for Call.
type Bitcoin struct {
	*node
	URL            string // JSON-RPC over HTTP
	WS             string // the same over WebSocket
	User, Password string
	coins          map[string][]wire.OutPoint // by name, those that Pay made; the node knows which of them are spent
}

// Btcd starts btcd on free ports, with an empty chain. args are further flags.
func Btcd(tb testing.TB, args ...string) *Bitcoin {
	tb.Helper()
	const user, password = "spoor", "loopback"
	b := &Bitcoin{User: user, Password: password, coins: map[string][]wire.OutPoint{}}
	n := launch(tb, "btcd", "getblockcount", 1, func(dir string, ports []string) []string {
		return append([]string{"--regtest", "--txindex", "--addrindex", "--notls", "--nolisten", "--nodnsseed", "--configfile", filepath.Join(dir, "none"),
			"--datadir", filepath.Join(dir, "data"), "--logdir", filepath.Join(dir, "log"), "--rpclisten", "127.0.0.1:" + ports[0],
			"--rpcuser", user, "--rpcpass", password, "--miningaddr", Address(Miner)}, args...)
	}, user, password)
	b.node, b.URL, b.WS = n, n.url, "ws"+n.url[len("http"):]+"/ws"
	return b
}

// Restart starts the node again, after Stop or Kill, on the same data and ports.
func (b *Bitcoin) Restart() {
	b.tb.Helper()
	if err := b.start("getblockcount"); err != nil {
		b.tb.Fatalf("start again: %v", err)
	}
}

// SegWit is how names begin whose coins have their signatures outside of the transaction. btcd takes such payments from
// block SegWitHeight on.
const SegWit = "segwit-"

// SegWitHeight is the first height whose block may hold payments from SegWit names.
const SegWitHeight = 432

// Address is the regtest address of the key that belongs to a name: P2PKH, or P2WPKH for a SegWit name. Anybody can compute
// the key.
func Address(name string) string { return addressOf(name).EncodeAddress() }

// keyOf is the key that belongs to a name.
func keyOf(name string) *btcec.PrivateKey {
	seed := sha256.Sum256([]byte("a key for tests of " + name))
	key, _ := btcec.PrivKeyFromBytes(seed[:])
	return key
}

func addressOf(name string) address.Address {
	hash := address.Hash160(keyOf(name).PubKey().SerializeCompressed())
	var a address.Address
	var err error
	if strings.HasPrefix(name, SegWit) {
		a, err = address.NewAddressWitnessPubKeyHash(hash, &chaincfg.RegressionNetParams)
	} else {
		a, err = address.NewAddressPubKeyHash(hash, &chaincfg.RegressionNetParams)
	}
	if err != nil {
		panic("nodes: " + err.Error()) // a hash of 20 bytes always has one
	}
	return a
}

// Height is the number of the newest block.
func (b *Bitcoin) Height() uint64 {
	b.tb.Helper()
	var h uint64
	b.must("getblockcount", nil, &h)
	return h
}

// Hash is that of the block at a height.
func (b *Bitcoin) Hash(height uint64) string {
	b.tb.Helper()
	var h string
	b.must("getblockhash", []any{height}, &h)
	return h
}

// Generate puts n blocks with all pending transactions on top, and returns their hashes. The coinbases pay to Miner.
func (b *Bitcoin) Generate(n int) []string {
	b.tb.Helper()
	var hashes []string
	b.must("generate", []any{n}, &hashes)
	return hashes
}

// InvalidateBlock makes the node leave a block and all above it.
func (b *Bitcoin) InvalidateBlock(hash string) {
	b.tb.Helper()
	b.must("invalidateblock", []any{hash}, nil)
}

// ReconsiderBlock takes InvalidateBlock back. Where several branches stand on the block, btcd goes to any of them.
func (b *Bitcoin) ReconsiderBlock(hash string) {
	b.tb.Helper()
	b.must("reconsiderblock", []any{hash}, nil)
}

// Reorg replaces the newest blocks by as many others and one more. Transactions of the old ones are pending again, and
// so come into the new ones, unless they spent what is gone.
func (b *Bitcoin) Reorg(depth int) {
	b.tb.Helper()
	b.InvalidateBlock(b.Hash(b.Height() - uint64(depth) + 1))
	b.Generate(depth + 1)
}

// Pay sends satoshi from a name's oldest coin that is large enough to another name, the change to itself, and returns
// the transaction's hash. It is pending until Generate. The coins of Miner are coinbases, too, once Maturity has passed.
func (b *Bitcoin) Pay(from, to string, satoshi int64) string {
	b.tb.Helper()
	coin, holds := b.coin(from, satoshi+fee)
	own, err := txscript.PayToAddrScript(addressOf(from))
	if err != nil {
		b.tb.Fatal(err)
	}
	theirs, err := txscript.PayToAddrScript(addressOf(to))
	if err != nil {
		b.tb.Fatal(err)
	}
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&coin, nil, nil))
	tx.AddTxOut(wire.NewTxOut(satoshi, theirs))
	const dust = 1000
	if change := holds - satoshi - fee; change > dust {
		tx.AddTxOut(wire.NewTxOut(change, own))
	}
	if key := keyOf(from); strings.HasPrefix(from, SegWit) {
		hashes := txscript.NewTxSigHashes(tx, txscript.NewCannedPrevOutputFetcher(own, holds))
		tx.TxIn[0].Witness, err = txscript.WitnessSignature(tx, hashes, 0, holds, own, txscript.SigHashAll, key, true)
	} else {
		tx.TxIn[0].SignatureScript, err = txscript.SignatureScript(tx, 0, own, txscript.SigHashAll, key, true)
	}
	if err != nil {
		b.tb.Fatal(err)
	}
	var raw bytes.Buffer
	if err := tx.Serialize(&raw); err != nil {
		b.tb.Fatal(err)
	}
	var id string
	b.must("sendrawtransaction", []any{hex.EncodeToString(raw.Bytes())}, &id)
	hash := tx.TxHash()
	b.coins[to] = append(b.coins[to], *wire.NewOutPoint(&hash, 0))
	if len(tx.TxOut) > 1 {
		b.coins[from] = append(b.coins[from], *wire.NewOutPoint(&hash, 1))
	}
	return id
}

// coin is an unspent output of a name that holds at least so much.
func (b *Bitcoin) coin(name string, least int64) (wire.OutPoint, int64) {
	b.tb.Helper()
	for _, c := range b.coins[name] {
		if v := b.unspent(c); v >= least {
			return c, v
		}
	}
	if name == Miner {
		for h, top := uint64(1), b.Height(); h+Maturity <= top+1; h++ {
			var block struct{ Tx []string }
			b.must("getblock", []any{b.Hash(h), 1}, &block)
			id, err := chainhash.NewHashFromStr(block.Tx[0])
			if err != nil {
				b.tb.Fatal(err)
			}
			if c := *wire.NewOutPoint(id, 0); b.unspent(c) >= least {
				return c, b.unspent(c)
			}
		}
	}
	b.tb.Fatalf("%s has no coin of %d satoshi", name, least)
	return wire.OutPoint{}, 0
}

// unspent is what an output holds, 0 where it is spent, even by a pending transaction.
func (b *Bitcoin) unspent(c wire.OutPoint) int64 {
	b.tb.Helper()
	var out *struct{ Value jsonCoins }
	b.must("gettxout", []any{c.Hash.String(), c.Index, true}, &out)
	if out == nil {
		return 0
	}
	return int64(out.Value)
}

// jsonCoins reads "0.00001000" as satoshi, without a detour through a float.
type jsonCoins int64

// UnmarshalJSON takes a decimal number of at most eight places.
func (c *jsonCoins) UnmarshalJSON(text []byte) error {
	whole, part, _ := strings.Cut(string(text), ".")
	if len(part) > 8 {
		return fmt.Errorf("%.40q: more than eight places", text)
	}
	var n int64
	for _, d := range whole + part + "00000000"[len(part):] {
		if d < '0' || d > '9' {
			return fmt.Errorf("%.40q: not a number of coins", text)
		}
		n = 10*n + int64(d-'0')
	}
	*c = jsonCoins(n)
	return nil
}
