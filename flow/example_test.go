package flow_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

func ExampleParseAccount() {
	for _, s := range []string{
		"0xdac17f958d2ee523a2206206994597c13d831ec7",
		"XBT:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
		"BC1QAR0SRRR7XFKVY5L643LYDNW9RE59GTZZWF5MDQ",
		"eip155:56:0xdac17f958d2ee523a2206206994597c13d831ec7",
	} {
		a, err := flow.ParseAccount(s)
		fmt.Println(a, err)
	}
	_, err := flow.ParseAccount("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb")
	fmt.Println(errors.Is(err, flow.ErrChecksum))
	// Output:
	// eip155:1:0xdAC17F958D2ee523a2206206994597C13D831ec7 <nil>
	// bip122:000000000019d6689c085ae165831e93:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa <nil>
	// bip122:000000000019d6689c085ae165831e93:bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq <nil>
	// eip155:56:0xdAC17F958D2ee523a2206206994597C13D831ec7 <nil>
	// true
}

func ExampleParseChain() {
	c, err := flow.ParseChain("ETH")
	fmt.Println(c, c.IsEVM(), c.Native(), err)
	// Output: eip155:1 true eip155:1/slip44:60 <nil>
}

func ExampleParseAsset() {
	a, err := flow.ParseAsset("eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7")
	fmt.Println(a.Kind(), a.Contract(), a.IsNative(), err)
	// Output: erc20 0xdAC17F958D2ee523a2206206994597C13D831ec7 false <nil>
}

func ExampleAmount() {
	a, err := flow.ParseAmount("1500000000000000000")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, enough := flow.NewAmount(1).Sub(a)
	fmt.Println(a, a.Decimal(18), enough)
	// Output: 1500000000000000000 1.5 false
}

func ExampleSplit() {
	fmt.Println(flow.Split(flow.NewAmount(100), []flow.Amount{flow.NewAmount(1), flow.NewAmount(1), flow.NewAmount(1)}))
	// Output: [34 33 33]
}

func ExampleSum() {
	most, err := flow.ParseAmount("115792089237316195423570985008687907853269984665640564039457584007913129639935")
	s := flow.Sum{}.Plus(most).Plus(most)
	_, fits := s.Amount()
	fmt.Println(s, fits, err)
	// Output: 231584178474632390847141970017375815706539969331281128078915168015826259279870 false <nil>
}

func ExampleParseHash() {
	h, err := flow.ParseHash("0x000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f")
	fmt.Println(h, err)
	fmt.Println(flow.Point{Chain: flow.Bitcoin, Hash: h})
	// Output:
	// 000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f <nil>
	// bip122:000000000019d6689c085ae165831e93 block 0 (000000000019…)
}

func ExampleParseOutpoint() {
	o, err := flow.ParseOutpoint("4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b:0")
	fmt.Println(o.Index, o, err)
	// Output: 0 4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b:0 <nil>
}

func ExamplePos_Compare() {
	theft := flow.Pos{Height: 7, Tx: 3, Movement: 1}
	next := flow.Pos{Height: 7, Tx: 4}
	fmt.Println(theft, theft.Compare(next), next.Compare(theft))
	// Output: 7/3/1 -1 1
}

func ExampleIn1Out1() {
	story, err := flow.TextChain("story")
	if err != nil {
		fmt.Println(err)
		return
	}
	victim, err1 := flow.NewAccount(story, "victim")
	thief, err2 := flow.NewAccount(story, "thief")
	gold, err3 := flow.NamedAsset(story, "gold")
	if err := errors.Join(err1, err2, err3); err != nil {
		fmt.Println(err)
		return
	}
	m := flow.In1Out1(flow.Transfer, gold, 0, victim, thief, flow.NewAmount(100))
	text, err := json.Marshal(m)
	fmt.Println(string(text), err)
	// Output: {"kind":"transfer","asset":"text:story/token:gold","index":0,"in":[{"account":"text:story:victim","amount":"100"}],"out":[{"account":"text:story:thief","amount":"100"}]} <nil>
}

func ExampleCoverage_Names() {
	fmt.Println((flow.SawLogs | flow.ProvedHash).Names())
	// Output: [logs hash-proved]
}
