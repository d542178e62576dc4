package nodes

import (
	"context"
	"testing"
)

func TestAnvil(t *testing.T) { testEVM(t, Anvil(t)) }

func TestGeth(t *testing.T) { testEVM(t, Geth(t)) }

func testEVM(t *testing.T, e *EVM) {
	hash := func(height uint64) string {
		t.Helper()
		var b struct{ Hash string }
		if err := e.Call(t.Context(), "eth_getBlockByNumber", []any{quantity(height), false}, &b); err != nil {
			t.Fatal(err)
		}
		return b.Hash
	}
	const to = "0x00000000000000000000000000000000000000aa"
	from := e.Accounts[0]
	start := e.Height()
	e.Mine(3)
	if h := e.Height(); h < start+3 || h > start+3 && !e.isGeth {
		t.Fatalf("height %d after mining 3 on %d", h, start)
	}
	id := e.Send(from, to, 12345)
	var balance string
	if err := e.Call(t.Context(), "eth_getBalance", []any{to, "latest"}, &balance); err != nil || balance != quantity(12345) {
		t.Fatalf("balance %s, %v", balance, err)
	}
	contract := e.Deploy(from, Crier())
	data := make([]byte, 4*32)
	data[31], data[63], data[95], data[127] = 1, 2, 3, 4
	cry := e.SendData(from, contract, 0, data)
	var receipt struct {
		Status string
		Logs   []struct {
			Address, Data string
			Topics        []string
		}
	}
	if err := e.Call(t.Context(), "eth_getTransactionReceipt", []any{cry}, &receipt); err != nil {
		t.Fatal(err)
	}
	if len(receipt.Logs) != 1 || len(receipt.Logs[0].Topics) != 3 || receipt.Logs[0].Address != contract ||
		receipt.Logs[0].Data != "0x0000000000000000000000000000000000000000000000000000000000000004" {
		t.Fatalf("receipt %+v", receipt)
	}
	for _, depth := range []int{1, 2} {
		top := e.Height()
		old, below := hash(top), hash(top-uint64(depth))
		oldest := hash(top - uint64(depth) + 1)
		e.Reorg(depth, Payment{from, to, uint64(depth)})
		if h := e.Height(); h < top+1 || h > top+1 && !e.isGeth {
			t.Fatalf("depth %d: height %d; want %d", depth, h, top+1)
		}
		if hash(top) == old || hash(top-uint64(depth)+1) == oldest || hash(top-uint64(depth)) != below {
			t.Fatalf("depth %d: not the blocks that were to go", depth)
		}
	}
	var gone *struct{ BlockNumber string }
	if err := e.Call(t.Context(), "eth_getTransactionReceipt", []any{cry}, &gone); err != nil || gone != nil {
		t.Fatalf("a transaction of the branch that lost: %+v, %v", gone, err)
	}
	if err := e.Call(t.Context(), "eth_getTransactionReceipt", []any{id}, &gone); err != nil || gone == nil {
		t.Fatalf("a transaction below the fork: %+v, %v", gone, err)
	}
	if err := e.Call(t.Context(), "spoor_noSuchThing", nil, nil); err == nil {
		t.Fatal("a method that there is not was answered")
	}
	top := e.Height()
	e.Stop()
	e.Restart()
	if h := e.Height(); h != top {
		t.Fatalf("height %d after it was stopped and started again; want %d", h, top)
	}
	e.Mine(1)
	e.Kill()
	if err := e.Call(t.Context(), "eth_blockNumber", nil, nil); err == nil {
		t.Fatal("a killed node answered")
	}
	e.Restart()
	e.Mine(1)
	e.Send(from, to, 1)
}

func TestBtcd(t *testing.T) {
	b := Btcd(t)
	b.Generate(Maturity + 2)
	if h := b.Height(); h != Maturity+2 {
		t.Fatalf("height %d", h)
	}
	third := b.Hash(3)
	b.InvalidateBlock(third)
	if h := b.Height(); h != 2 {
		t.Fatalf("height %d after block 3 was made invalid", h)
	}
	b.ReconsiderBlock(third)
	if h := b.Height(); h != Maturity+2 {
		t.Fatalf("height %d after block 3 was valid again", h)
	}
	theft := b.Pay(Miner, "thief", 40_0000_0000)
	hop := b.Pay("thief", "hop", 15_0000_0000) // of the pending one
	block := b.Generate(1)[0]
	var got struct{ Tx []string }
	if err := b.Call(t.Context(), "getblock", []any{block, 1}, &got); err != nil || len(got.Tx) != 3 {
		t.Fatalf("block %+v, %v; want the coinbase, %s and %s", got, err, theft, hop)
	}
	b.Pay("thief", "hop", 24_0000_0000) // of the change
	for _, depth := range []int{1, 7} {
		top := b.Height()
		old, below := b.Hash(top-uint64(depth)+1), b.Hash(top-uint64(depth))
		b.Reorg(depth)
		if h := b.Height(); h != top+1 || b.Hash(top-uint64(depth)+1) == old || b.Hash(top-uint64(depth)) != below {
			t.Fatalf("depth %d: height %d; want %d, and other blocks from %d on", depth, h, top+1, top-uint64(depth)+1)
		}
	}
	b.Generate(SegWitHeight)
	b.Pay(Miner, SegWit+"thief", 30_0000_0000)
	b.Pay(SegWit+"thief", SegWit+"hop", 20_0000_0000)
	if err := b.Call(t.Context(), "getblock", []any{b.Generate(1)[0], 1}, &got); err != nil || len(got.Tx) != 3 {
		t.Fatalf("block %+v, %v; want the coinbase and two more", got, err)
	}
	b.Kill()
	if err := b.Call(context.Background(), "getblockcount", nil, nil); err == nil {
		t.Fatal("a killed node answered")
	}
	b.Restart()
	b.Generate(1)
}

func TestCoins(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"0.00001000", 1000, true},
		{"50", 50_0000_0000, true},
		{"21000000.12345678", 2100000012345678, true},
		{"1e-05", 0, false},
		{"0.123456789", 0, false},
	} {
		var c jsonCoins
		err := c.UnmarshalJSON([]byte(tt.in))
		if int64(c) != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %d, %v; want %d, %v", tt.in, c, err, tt.want, tt.ok)
		}
	}
}
