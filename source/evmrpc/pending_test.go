package evmrpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source/evmrpc"
)

// signed are n transactions of chain 5, as a node tells them, and their hashes with 0x.
func signed(t testing.TB, n int) (txs, ids []string) {
	t.Helper()
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("a key that holds nothing")))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(5)), &types.LegacyTx{Nonce: uint64(i), GasPrice: big.NewInt(1), Gas: 21000, To: &common.Address{19: 9}, Value: big.NewInt(int64(i) + 1)})
		if err != nil {
			t.Fatal(err)
		}
		text, err := tx.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		txs, ids = append(txs, string(text)), append(ids, tx.Hash().Hex())
	}
	return txs, ids
}

// collect reads what is pending until as many were visited, or until the node ends it.
func collect(t *testing.T, n *evmrpc.Node, most int) ([]flow.Tx, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []flow.Tx
	err := n.Pending(ctx, func(tx flow.Tx) {
		if got = append(got, tx); len(got) == most {
			cancel()
		}
	})
	return got, err
}

func notice(result string) string {
	return `{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x1","result":` + result + `}}`
}

const subscribed = `{"jsonrpc":"2.0","id":0,"result":"0x1"}`

var withSocket = evmrpc.Config{Endpoint: rpc.Config{Socket: "yes"}, Poll: time.Millisecond}

func TestPendingPushed(t *testing.T) {
	txs, ids := signed(t, 6)
	for _, whole := range []bool{true, false} {
		f, n := newFake(t, withSocket)
		forged := strings.Replace(txs[3], `"value":"0x4"`, `"value":"0x5"`, 1)
		inBlock := `{"blockHash":"` + hash(3) + `",` + txs[4][1:]
		for i, a := range []string{txs[0], txs[1], txs[2], forged, inBlock, txs[5]} {
			f.set("eth_getTransactionByHash "+ids[i], a)
		}
		f.set("eth_getTransactionByHash", `null`)
		var asked []string
		f.push = func(ctx context.Context, question string, say func(string)) {
			asked = append(asked, question)
			if !whole && strings.Contains(question, "true") {
				say(`{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"too many arguments, want at most 1"}}`)
				return
			}
			say(subscribed)
			tell := []string{txs[0], txs[1], txs[0], txs[2], forged, inBlock, txs[5]} // one of them twice
			if !whole {
				tell = nil
				for _, i := range []int{0, 1, 0, 2, 3, 4, 5} {
					tell = append(tell, `"`+ids[i]+`"`)
				}
				tell = append(tell[:6], `"`+hash(99)+`"`, tell[6]) // which nobody has any more
			} else {
				tell = append(tell[:6], `{"hash":5}`, tell[6])
			}
			for _, s := range tell {
				say(notice(s))
			}
			<-ctx.Done()
		}
		got, err := collect(t, n, 4)
		if !errors.Is(err, context.Canceled) || len(got) != 4 {
			t.Fatalf("whole %v: %d transactions, %v; %+v", whole, len(got), err, n.Pool())
		}
		for i, k := range []int{0, 1, 2, 5} {
			if "0x"+got[i].ID.String() != ids[k] || len(got[i].Movements) != 1 || got[i].Movements[0].Out[0].Amount != flow.NewAmount(uint64(k)+1) {
				t.Errorf("whole %v: %d: %+v", whole, i, got[i])
			}
		}
		want := evmrpc.Pool{By: "eth_subscribe", Seen: 7, Visited: 4, Refused: 2, Late: 1}
		if !whole {
			want = evmrpc.Pool{By: "eth_subscribe", Seen: 7, Visited: 4, Refused: 1, Late: 2}
		}
		if p := n.Pool(); p != want {
			t.Errorf("whole %v: pool %+v; want %+v", whole, p, want)
		}
		if len(asked) != map[bool]int{true: 1, false: 2}[whole] {
			t.Errorf("asked %v", asked)
		}
	}
}

func TestPendingQueueIsBounded(t *testing.T) {
	txs, _ := signed(t, 50)
	f, n := newFake(t, evmrpc.Config{Endpoint: rpc.Config{Socket: "yes"}, Queue: 3})
	told := make(chan struct{})
	f.push = func(ctx context.Context, _ string, say func(string)) {
		say(subscribed)
		for _, s := range txs {
			say(notice(s))
		}
		<-ctx.Done()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var once sync.Once
	go func() {
		for n.Pool().Seen < 50 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		close(told)
	}()
	err := n.Pending(ctx, func(flow.Tx) {
		once.Do(func() { <-told }) // while the first is looked at, all others come
		if p := n.Pool(); p.Visited+p.Dropped == p.Seen {
			cancel()
		}
	})
	p := n.Pool()
	if !errors.Is(err, context.Canceled) || p.Seen != 50 || p.Visited < 4 || p.Visited > 8 || p.Visited+p.Dropped != 50 {
		t.Errorf("pool %+v; %v", p, err)
	}
}

func TestPendingPolled(t *testing.T) {
	txs, ids := signed(t, 3)
	content := map[string]any{"pending": map[string]any{"0xa": map[string]json.RawMessage{"0": json.RawMessage(txs[0]), "1": json.RawMessage(txs[1])},
		"0xb": map[string]json.RawMessage{"0": json.RawMessage(txs[2])}}, "queued": map[string]any{}}
	pool, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		answers map[string]string
		by      string
		is      error
	}{
		{"filter", map[string]string{"eth_newPendingTransactionFilter": `"0xf"`, "eth_getFilterChanges": fmt.Sprintf("[%q,%q,%q]", ids[0], ids[1], ids[2])}, "eth_getFilterChanges", context.Canceled},
		{"pool", map[string]string{"txpool_content": string(pool)}, "txpool_content", context.Canceled},
		{"neither", nil, "", rpc.ErrMethod},
		{"filter-refused", map[string]string{"eth_newPendingTransactionFilter": `!{"code":-32000,"message":"no"}`}, "", errAny},
		{"filter-garbage", map[string]string{"eth_newPendingTransactionFilter": `"0xf"`, "eth_getFilterChanges": `5`}, "eth_getFilterChanges", rpc.ErrAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, n := newFake(t, evmrpc.Config{Poll: time.Millisecond})
			for i := range txs {
				f.set("eth_getTransactionByHash "+ids[i], txs[i])
			}
			for m, a := range c.answers {
				f.set(m, a)
			}
			got, err := collect(t, n, 3)
			if err == nil || c.is != errAny && !errors.Is(err, c.is) || n.Pool().By != c.by {
				t.Errorf("%v, %+v; want %v by %q", err, n.Pool(), c.is, c.by)
			}
			if want := map[bool]int{true: 3}[c.is == context.Canceled]; len(got) != want {
				t.Errorf("%d transactions; want %d", len(got), want)
			}
		})
	}
}

// TestPendingFilterIsMadeAgain: nodes forget filters.
func TestPendingFilterIsMadeAgain(t *testing.T) {
	txs, ids := signed(t, 1)
	f, n := newFake(t, evmrpc.Config{Poll: time.Millisecond})
	f.set("eth_newPendingTransactionFilter", `"0xf"`)
	f.set("eth_getFilterChanges", `!{"code":-32000,"message":"filter not found"}`)
	f.set("eth_getTransactionByHash "+ids[0], txs[0])
	go func() {
		for f.count("eth_newPendingTransactionFilter") < 3 && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		f.set("eth_getFilterChanges", `["`+ids[0]+`"]`)
	}()
	if got, err := collect(t, n, 1); len(got) != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d transactions, %v", len(got), err)
	}
}
