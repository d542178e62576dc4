package execution

import (
	"encoding/hex"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// The events that move tokens: the keccak-256 of their signatures.
var (
	eventTransfer   = topic("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef") // Transfer(address,address,uint256)
	eventSingle     = topic("c3d58168c5ae7397731d063d5bbf3d657854427343f4c083240f7aacaa2d0f62") // TransferSingle(address,address,address,uint256,uint256)
	eventBatch      = topic("4a39dc06d4c0dbc64b70af90fd698a233a518aa5d07e595d983b8c0526c8f7fb") // TransferBatch(address,address,address,uint256[],uint256[])
	eventDeposit    = topic("e1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c") // Deposit(address,uint256)
	eventWithdrawal = topic("7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65") // Withdrawal(address,uint256)
)

func topic(digits string) flow.Hash {
	h, err := flow.ParseHash(digits)
	if err != nil {
		panic("execution: " + err.Error())
	}
	return h
}

// wrappedCoins lists the contracts that issue a token for a deposit of the chain's coin, and tell it by the events
// Deposit and Withdrawal. Sources: the documents of the chains and of the contracts.
func wrappedCoins(chain string) []Address {
	for _, w := range []struct{ chain, contract string }{
		{"eip155:1", "c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"},        // WETH9
		{"eip155:10", "4200000000000000000000000000000000000006"},       // OP-stack predeploy
		{"eip155:8453", "4200000000000000000000000000000000000006"},     // OP-stack predeploy
		{"eip155:56", "bb4cdb9cbd36b01bd1cbaebf2de08d9173bc095c"},       // WBNB
		{"eip155:100", "e91d153e0b41518a2ce8dd3d7944fa863463a97d"},      // WXDAI
		{"eip155:137", "0d500b1d8e8ef31e21c99d1db9a6444d3adf1270"},      // WMATIC
		{"eip155:42161", "82af49447d8a07e3bd95bd0d56f35241523fbab1"},    // WETH on Arbitrum One
		{"eip155:43114", "b31f66aa3c1e785363f0875a1b74e27b85fd66c7"},    // WAVAX
		{"eip155:11155111", "fff9976782d46cc05630d1f6ebab18b2324d6b14"}, // WETH9 on Sepolia
	} {
		if w.chain == chain {
			b, err := hex.DecodeString(w.contract)
			if err != nil {
				panic("execution: " + err.Error())
			}
			return []Address{Address(b)}
		}
	}
	return nil
}

// IsTokenTransfer reports whether a log is an ERC-20 Transfer in the standard form.
func IsTokenTransfer(l Log) bool {
	return len(l.Topics) == 3 && l.Topics[0] == eventTransfer && len(l.Data) == 32
}

// tokens is what the i-th log of a transaction moved, or the reason why it is not understood; neither for a log that is
// no token's.
func (r Rules) tokens(tx Tx) func(i int) ([]flow.Movement, string) {
	told := r.toldTwice(tx)
	return func(i int) ([]flow.Movement, string) {
		l := tx.Logs[i]
		if len(l.Topics) == 0 {
			return nil, ""
		}
		switch l.Topics[0] {
		case eventTransfer:
			return r.transfer(l)
		case eventSingle:
			return r.single(l)
		case eventBatch:
			return r.batch(l)
		case eventDeposit, eventWithdrawal:
			if !slices.Contains(r.wrapped, l.Emit) || told[i] {
				return nil, ""
			}
			return r.wrap(l)
		}
		return nil, ""
	}
}

// toldTwice finds the deposits and withdrawals of wrapped coins whose contract also emits a Transfer from or to nobody
// of the same amount for them: the Transfer counts. Each Transfer stands for one of them at most.
func (r Rules) toldTwice(tx Tx) map[int]bool {
	type key struct {
		emit     Address
		from, to flow.Hash
		data     string
	}
	transfers := map[key]int{}
	for _, l := range tx.Logs {
		if slices.Contains(r.wrapped, l.Emit) && IsTokenTransfer(l) {
			transfers[key{l.Emit, l.Topics[1], l.Topics[2], string(l.Data)}]++
		}
	}
	twice := map[int]bool{}
	for i, l := range tx.Logs {
		if len(l.Topics) != 2 || !slices.Contains(r.wrapped, l.Emit) {
			continue
		}
		k := key{l.Emit, flow.Hash{}, l.Topics[1], string(l.Data)}
		if l.Topics[0] == eventWithdrawal {
			k.from, k.to = k.to, k.from
		}
		if transfers[k] > 0 {
			transfers[k]--
			twice[i] = true
		}
	}
	return twice
}

func (r Rules) transfer(l Log) ([]flow.Movement, string) {
	isNFT := len(l.Topics) == 4 && len(l.Data) == 0
	if !IsTokenTransfer(l) && !isNFT {
		return nil, "a Transfer event of neither ERC-20 nor ERC-721: wrong number of topics or size of data"
	}
	from, ok1 := address(l.Topics[1])
	to, ok2 := address(l.Topics[2])
	if !ok1 || !ok2 {
		return nil, "a Transfer event whose address has more than 20 bytes"
	}
	contract := r.Account(l.Emit)
	var m flow.Movement
	if isNFT {
		m = r.move(flow.NFTMove, flow.NFT(contract, amount(l.Topics[3][:])), l.Index, from, to, flow.NewAmount(1))
	} else {
		m = r.move(flow.TokenMove, flow.Token(contract), l.Index, from, to, amount(l.Data))
	}
	return sides(m)
}

func (r Rules) single(l Log) ([]flow.Movement, string) {
	if len(l.Topics) != 4 || len(l.Data) != 64 {
		return nil, "a TransferSingle event with a wrong number of topics or size of data"
	}
	from, ok1 := address(l.Topics[2])
	to, ok2 := address(l.Topics[3])
	if !ok1 || !ok2 {
		return nil, "a TransferSingle event whose address has more than 20 bytes"
	}
	return sides(r.move(flow.NFTMove, flow.MultiToken(r.Account(l.Emit), amount(l.Data[:32])), l.Index, from, to, amount(l.Data[32:])))
}

func (r Rules) batch(l Log) ([]flow.Movement, string) {
	if len(l.Topics) != 4 {
		return nil, "a TransferBatch event with a wrong number of topics"
	}
	from, ok1 := address(l.Topics[2])
	to, ok2 := address(l.Topics[3])
	if !ok1 || !ok2 {
		return nil, "a TransferBatch event whose address has more than 20 bytes"
	}
	ids, ok1 := array(l.Data, 0)
	amounts, ok2 := array(l.Data, 1)
	if !ok1 || !ok2 || len(ids) != len(amounts) {
		return nil, "a TransferBatch event whose lists do not fit its data or each other"
	}
	var moves []flow.Movement
	contract := r.Account(l.Emit)
	for i := 0; i < len(ids); i += 32 {
		m, reason := sides(r.move(flow.NFTMove, flow.MultiToken(contract, amount(ids[i:i+32])), l.Index, from, to, amount(amounts[i:i+32])))
		if reason != "" {
			return nil, reason
		}
		moves = append(moves, m...)
	}
	return moves, ""
}

func (r Rules) wrap(l Log) ([]flow.Movement, string) {
	if len(l.Topics) != 2 || len(l.Data) != 32 {
		return nil, "a Deposit or Withdrawal event of a wrapped coin with a wrong number of topics or size of data"
	}
	who, ok := address(l.Topics[1])
	if !ok {
		return nil, "a Deposit or Withdrawal event whose address has more than 20 bytes"
	}
	token := flow.Token(r.Account(l.Emit))
	if l.Topics[0] == eventDeposit {
		return []flow.Movement{flow.In1Out1(flow.Wrap, token, l.Index, flow.Account{}, r.Account(who), amount(l.Data))}, ""
	}
	return []flow.Movement{flow.In1Out1(flow.Unwrap, token, l.Index, r.Account(who), flow.Account{}, amount(l.Data))}, ""
}

// sides is the movement, or a reason if it has no side at all.
func sides(m flow.Movement) ([]flow.Movement, string) {
	if len(m.In)+len(m.Out) == 0 {
		return nil, "a transfer from nobody to nobody"
	}
	return []flow.Movement{m}, ""
}

// address is the address in a topic; ok is false if the upper 12 bytes are not 0.
func address(t flow.Hash) (a Address, ok bool) {
	return Address(t[12:]), [12]byte(t[:12]) == [12]byte{}
}

// amount is a number of at most 32 bytes.
func amount(b []byte) flow.Amount {
	v, err := flow.AmountFromBytes(b)
	if err != nil {
		panic("execution: " + err.Error())
	}
	return v
}

// array is the n-th argument of ABI-encoded data, a list of words: its bytes. ok is false if it does not lie in data.
func array(data []byte, n int) (words []byte, ok bool) {
	at, ok := word(data, 32*n)
	if !ok {
		return nil, false
	}
	count, ok := word(data, at)
	if !ok || count > (len(data)-at-32)/32 {
		return nil, false
	}
	return data[at+32 : at+32+32*count], true
}

// word is the number at an offset of data, if it is not larger than the data is long.
func word(data []byte, at int) (int, bool) {
	if at < 0 || at > len(data)-32 {
		return 0, false
	}
	n, ok := amount(data[at : at+32]).Uint64()
	if !ok || n > uint64(len(data)) {
		return 0, false
	}
	return int(n), true
}

// TokenTransfer is the ERC-20 Transfer that tells of this movement.
func TokenTransfer(index uint32, token, from, to Address, v flow.Amount) Log {
	l := Log{Index: index, Emit: token, Topics: []flow.Hash{eventTransfer, {}, {}}}
	copy(l.Topics[1][12:], from[:])
	copy(l.Topics[2][12:], to[:])
	b := v.Bytes()
	l.Data = b[:]
	return l
}
