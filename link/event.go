package link

import "github.com/spoor-dev/spoor/flow"

// The rules of the events of exchanges: the protocol whose contract says what was exchanged. Many others emit the same
// events as Uniswap V2 and V3, and are read alike.
const (
	UniswapV2  Rule = "uniswap-v2"
	UniswapV3  Rule = "uniswap-v3"
	UniswapV4  Rule = "uniswap-v4"
	Curve      Rule = "curve"
	BalancerV2 Rule = "balancer-v2"
)

// A said is what the event of a contract says: so much went in and so much came out. It is not yet believed.
type said struct {
	rule              Rule
	contract          flow.Account
	index             uint32 // of the log
	in, out           flow.Amount
	inAsset, outAsset flow.Asset // zero where the event does not name them
}

// readers read the events of exchanges. The hashes are those of flow.KnownEvents.
var readers = map[string]func(l flow.Log) (said, bool){
	"Swap(address,uint256,uint256,uint256,uint256,address)":            readV2,
	"Swap(address,address,int256,int256,uint160,uint128,int24)":        readV3,
	"Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)": readV4,
	"TokenExchange(address,int128,uint256,int128,uint256)":             readCurve,
	"TokenExchange(address,uint256,uint256,uint256,uint256)":           readCurve,
	"TokenExchangeUnderlying(address,int128,uint256,int128,uint256)":   readCurve,
	"Swap(bytes32,address,address,uint256,uint256)":                    readBalancer,
}

// read is what a log says was exchanged; ok is false for a log of another kind, for one that does not have the form of its event,
// and for one that says something else than that one asset became another.
func readEvent(l flow.Log) (s said, ok bool) {
	if len(l.Topics) == 0 {
		return said{}, false
	}
	e, ok := flow.KnownEvent(l.Topics[0])
	if !ok || readers[e.Signature] == nil {
		return said{}, false
	}
	s, ok = readers[e.Signature](l)
	s.contract, s.index = l.Contract, l.Index
	return s, ok && !s.in.IsZero() && !s.out.IsZero()
}

// has reports whether a log has so many topics and words.
func has(l flow.Log, topics, words int) bool {
	return len(l.Topics) == topics && len(l.Data) == 32*words
}

// number is the n-th word of the data. It must be there.
func number(l flow.Log, n int) flow.Amount {
	v, err := flow.AmountFromBytes(l.Data[32*n : 32*n+32])
	if err != nil {
		panic("link: " + err.Error()) // 32 bytes are a number
	}
	return v
}

// signed is the n-th word as a number in two's complement.
func signed(l flow.Log, n int) (v flow.Amount, negative bool) {
	v = number(l, n)
	w := v.Words()
	if w[3]>>63 == 0 {
		return v, false
	}
	carry := uint64(1)
	for i := range w {
		w[i] = ^w[i] + carry
		if w[i] != 0 {
			carry = 0
		}
	}
	return flow.AmountFromWords(w), true
}

// readV2 reads sender, amount0In, amount1In, amount0Out, amount1Out, to. Where the pool took both or gave both it was a
// loan, or a token that takes a fee.
func readV2(l flow.Log) (s said, ok bool) {
	if !has(l, 3, 4) {
		return said{}, false
	}
	in0, in1, out0, out1 := number(l, 0), number(l, 1), number(l, 2), number(l, 3)
	switch {
	case in1.IsZero() && out0.IsZero():
		return said{rule: UniswapV2, in: in0, out: out1}, true
	case in0.IsZero() && out1.IsZero():
		return said{rule: UniswapV2, in: in1, out: out0}, true
	}
	return said{}, false
}

// readV3 reads sender, recipient, amount0, amount1, and what became of the price. What the pool took is positive.
func readV3(l flow.Log) (s said, ok bool) {
	if !has(l, 3, 5) {
		return said{}, false
	}
	s.rule = UniswapV3
	v0, gave0 := signed(l, 0)
	v1, gave1 := signed(l, 1)
	s.in, s.out = v0, v1
	if gave0 {
		s.in, s.out = v1, v0
	}
	return s, gave0 != gave1
}

// readV4 reads id of the pool, sender, amount0, amount1, and what became of the price. What the pool took is negative.
func readV4(l flow.Log) (s said, ok bool) {
	if !has(l, 3, 6) {
		return said{}, false
	}
	s.rule = UniswapV4
	v0, took0 := signed(l, 0)
	v1, took1 := signed(l, 1)
	s.in, s.out = v0, v1
	if took1 {
		s.in, s.out = v1, v0
	}
	const int128 = 1<<63 - 1
	for _, v := range []flow.Amount{v0, v1} {
		if w := v.Words(); w[3]|w[2] != 0 || w[1] > int128 {
			return said{}, false
		}
	}
	return s, took0 != took1
}

// readCurve reads buyer, number of the coin sold, how much, number of the coin bought, how much.
func readCurve(l flow.Log) (s said, ok bool) {
	if !has(l, 2, 4) {
		return said{}, false
	}
	return said{rule: Curve, in: number(l, 1), out: number(l, 3)}, number(l, 0) != number(l, 2)
}

// readBalancer reads id of the pool, token taken, token given, how much of each. The contract is the vault of all pools.
func readBalancer(l flow.Log) (s said, ok bool) {
	if !has(l, 4, 2) || !l.Contract.Chain().IsEVM() {
		return said{}, false
	}
	s = said{rule: BalancerV2, in: number(l, 0), out: number(l, 1)}
	for i, asset := range []*flow.Asset{&s.inAsset, &s.outAsset} {
		t := l.Topics[2+i]
		if [12]byte(t[:12]) != [12]byte{} {
			return said{}, false
		}
		*asset = flow.Token(flow.EVMAccount(l.Contract.Chain(), [20]byte(t[12:])))
	}
	return s, s.inAsset != s.outAsset
}
