package evm

import (
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/spoor-dev/spoor/flow"
)

// pendingOf is a signed transaction as a node tells it.
func pendingOf(t testing.TB, key *ecdsa.PrivateKey, inner types.TxData) string {
	t.Helper()
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(1)), inner)
	if err != nil {
		t.Fatal(err)
	}
	text, err := tx.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	from, err := json.Marshal(crypto.PubkeyToAddress(key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return `{"blockHash":null,"blockNumber":null,"transactionIndex":null,"from":` + string(from) + "," + string(text[1:])
}

func TestPendingIsProvedAndTold(t *testing.T) {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("a key that holds nothing")))
	if err != nil {
		t.Fatal(err)
	}
	me := crypto.PubkeyToAddress(key.PublicKey)
	shop, token := common.Address{19: 5}, common.Address{19: 6}
	call, err := hex.DecodeString("a9059cbb" + strings.Repeat("0", 62) + "05" + strings.Repeat("0", 62) + "2a") // transfer(shop, 42)
	if err != nil {
		t.Fatal(err)
	}
	legacy := pendingOf(t, key, &types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(3), Gas: 21000, To: &shop, Value: big.NewInt(7)})
	for _, c := range []struct{ name, raw, want string }{
		{"coin", legacy, "transfer " + me.Hex() + " > " + shop.Hex() + " 7\n"},
		{"token", pendingOf(t, key, &types.DynamicFeeTx{ChainID: big.NewInt(1), GasFeeCap: big.NewInt(3), GasTipCap: big.NewInt(1), Gas: 60000, To: &token, Data: call}),
			"token " + me.Hex() + " > " + shop.Hex() + " 42\n"},
		{"creation", pendingOf(t, key, &types.LegacyTx{Nonce: 4, GasPrice: big.NewInt(3), Gas: 60000, Value: big.NewInt(9)}),
			"transfer " + me.Hex() + " > " + crypto.CreateAddress(me, 4).Hex() + " 9\n"},
		{"nothing", pendingOf(t, key, &types.LegacyTx{GasPrice: big.NewInt(3), Gas: 60000, To: &shop}), ""},
	} {
		tx, err := New(flow.Ethereum).Pending([]byte(c.raw))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got strings.Builder
		for _, m := range tx.Movements {
			got.WriteString(m.Kind.String() + " " + m.In[0].Account.Address() + " > " + m.Out[0].Account.Address() + " " + m.Out[0].Amount.String() + "\n")
		}
		if got.String() != c.want || !tx.Point.Hash.IsZero() || tx.Point.Height != 0 || tx.Point.Chain != flow.Ethereum || tx.ID.IsZero() {
			t.Errorf("%s: %+v\n%swant\n%s", c.name, tx.Point, got.String(), c.want)
		}
	}
	for _, c := range []struct {
		name, raw string
		root      bool // the error wraps ErrRoot
	}{
		{"another-value", strings.Replace(legacy, `"value":"0x7"`, `"value":"0x8"`, 1), true},
		{"another-sender", strings.Replace(legacy, `"from":"0x`, `"from":"0x00000000000000000000000000000000000000ff","x":"`, 1), true},
		{"of-another-layer", strings.Replace(legacy, `"type":"0x0"`, `"type":"0x7e"`, 1), false},
		{"not-whole", strings.Replace(legacy, `"nonce"`, `"n"`, 1), false},
		{"no-hash", strings.Replace(legacy, `"hash"`, `"h"`, 1), false},
		{"hash-alone", `"0x` + strings.Repeat("1", 64) + `"`, false},
		{"cut-off", legacy[:len(legacy)/2], false},
		{"null", `null`, false},
	} {
		if c.raw == legacy {
			t.Errorf("%s: nothing was changed", c.name)
		}
		tx, err := New(flow.Ethereum).Pending([]byte(c.raw))
		if err == nil || errors.Is(err, ErrRoot) != c.root || len(tx.Movements) != 0 {
			t.Errorf("%s: %v, %v", c.name, tx, err)
		}
	}
	if _, err := New(flow.EVMChain(10)).Pending([]byte(legacy)); err == nil {
		t.Error("a transaction that is signed for another chain is taken")
	}
}

func FuzzPending(f *testing.F) {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("a key that holds nothing")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(pendingOf(f, key, &types.LegacyTx{GasPrice: big.NewInt(3), Gas: 21000, Value: big.NewInt(7)})))
	f.Add([]byte(pendingOf(f, key, &types.SetCodeTx{AuthList: []types.SetCodeAuthorization{{}}})))
	f.Add([]byte(pendingOf(f, key, &types.BlobTx{BlobHashes: []common.Hash{{}}})))
	f.Add([]byte(`{"type":"0x2"}`))
	d := New(flow.Ethereum)
	f.Fuzz(func(t *testing.T, raw []byte) {
		tx, err := d.Pending(raw)
		if err == nil && (tx.ID.IsZero() || !tx.Point.Hash.IsZero()) {
			t.Errorf("%+v", tx)
		}
	})
}
