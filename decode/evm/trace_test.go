package evm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/spoor-dev/spoor/decode/evm"
	"github.com/spoor-dev/spoor/flow"
)

var (
	annAddress = common.HexToAddress("0x00000000000000000000000000000000000000a1").Hex()
	benAddress = ben.Hex()
	tokAddress = coinTok.Hex()
	only       = "0x" + strings.Repeat("01", 32)
)

// moved decodes a block of one transaction that is known by its hash alone.
func moved(t *testing.T, rest string) flow.Block {
	t.Helper()
	raw := fmt.Sprintf(`{"block":{"number":5,"transactions":[%q]},%s}`, only, rest)
	b, err := evm.New(flow.Ethereum).Decode(flow.Point{Height: 5}, flow.Hash{}, []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tokenLog is a Transfer of an amount from ann to ben; position counts the calls of its frame that went before.
func tokenLog(amount, position int) string {
	return fmt.Sprintf(`{"address":%q,"topics":["0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef","0x%064s","0x%064s"],"data":"0x%064x","position":"0x%x"}`,
		tokAddress, annAddress[2:], benAddress[2:], amount, position)
}

func frameOf(kind, from, to string, value int, rest string) string {
	return fmt.Sprintf(`{"type":%q,"from":%q,"to":%q,"value":"0x%x"%s}`, kind, from, to, value, rest)
}

func TestLogsStandAmongCallsWhereTheTracerTellsTheirPlace(t *testing.T) {
	failed := frameOf("CALL", benAddress, annAddress, 9, `,"error":"execution reverted","logs":[`+tokenLog(99, 0)+`],"calls":[`+frameOf("CALL", benAddress, annAddress, 8, "")+`]`)
	inner := frameOf("CALL", benAddress, annAddress, 2, `,"logs":[`+tokenLog(12, 0)+`]`)
	root := frameOf("CALL", annAddress, benAddress, 1, `,"logs":[`+tokenLog(11, 0)+","+tokenLog(13, 2)+`],"calls":[`+strings.Join([]string{
		inner, failed, frameOf("CREATE2", benAddress, tokAddress, 3, ""), frameOf("SELFDESTRUCT", benAddress, annAddress, 4, ""),
		frameOf("DELEGATECALL", benAddress, annAddress, 5, ""), frameOf("CALLCODE", benAddress, annAddress, 6, "")}, ",")+"]")
	traces := fmt.Sprintf(`"traces":[{"txHash":%q,"result":%s}]`, only, root)
	want := "0 | transfer/0 ann 1>ben 1 | token/0 ann 11>ben 11 | internal/1 ben 2>ann 2 | token/1 ann 12>ben 12 | token/2 ann 13>ben 13" +
		" | internal/4 ben 3>token 3 | internal/5 ben 4>ann 4\n"
	b := moved(t, traces)
	if got := tell(b.Txs); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if !b.Coverage.Has(flow.SawTraces|flow.SawLogs) || b.Coverage.Has(flow.CallDataTokens) {
		t.Errorf("coverage %v", b.Coverage.Names())
	}
	receipt := func(logs ...string) string {
		return fmt.Sprintf(`,"receipts":[{"transactionHash":%q,"status":"0x1","logs":[%s]}]`, only, strings.Join(logs, ","))
	}
	b = moved(t, traces+receipt(tokenLog(11, 0), tokenLog(12, 0), tokenLog(13, 0)))
	if got := tell(b.Txs); got != want {
		t.Errorf("with receipts: got  %swant %s", got, want)
	}
	b = moved(t, traces+receipt(tokenLog(11, 0), tokenLog(12, 0))) // not those that the tracer saw: the receipt counts, places do not
	want = "0 | transfer/0 ann 1>ben 1 | internal/1 ben 2>ann 2 | internal/4 ben 3>token 3 | internal/5 ben 4>ann 4 | token/0 ann 11>ben 11 | token/1 ann 12>ben 12\n"
	if got := tell(b.Txs); got != want {
		t.Errorf("with other receipts: got  %swant %s", got, want)
	}
}

// The known events of receipts and of tracers are kept as they are; those below a failed call never were.
func TestEventsOfReceiptsAndTracers(t *testing.T) {
	known := flow.KnownEvents()[0].Topic
	event := func(topics, bytes int) string {
		return fmt.Sprintf(`{"address":%q,"topics":["0x%s"%s],"data":"0x%s","position":"0x0"}`, tokAddress, known, strings.Repeat(fmt.Sprintf(`,"0x%064s"`, annAddress[2:]), topics-1), strings.Repeat("07", bytes))
	}
	logs := strings.Join([]string{tokenLog(11, 0), event(3, 64), event(5, 0), event(1, 4097)}, ",")
	failed := frameOf("CALL", benAddress, annAddress, 9, `,"error":"execution reverted","logs":[`+event(2, 32)+`]`)
	root := frameOf("CALL", annAddress, benAddress, 1, `,"logs":[`+logs+`],"calls":[`+failed+`]`)
	for name, rest := range map[string]string{
		"receipt": fmt.Sprintf(`"receipts":[{"transactionHash":%q,"status":"0x1","logs":[%s]}]`, only, logs),
		"tracer":  fmt.Sprintf(`"traces":[{"txHash":%q,"result":%s}]`, only, root),
	} {
		b := moved(t, rest)
		kept := b.Txs[0].Logs
		if len(kept) != 1 || kept[0].Index != 1 || kept[0].Topics[0] != known || len(kept[0].Topics) != 3 || len(kept[0].Data) != 64 || kept[0].Data[63] != 7 ||
			!strings.EqualFold(kept[0].Contract.Address(), tokAddress) {
			t.Errorf("%s: events %+v", name, kept)
		}
		odd := 0
		for _, n := range b.Notes {
			if n.Kind == flow.Quarantined {
				odd++
			}
		}
		if odd != 2 {
			t.Errorf("%s: %d events refused; want 2: %+v", name, odd, b.Notes)
		}
	}
	b := moved(t, fmt.Sprintf(`"receipts":[{"transactionHash":%q,"status":"0x0","logs":[%s]}]`, only, logs))
	if len(b.Txs[0].Logs) > 0 {
		t.Errorf("a failed transaction has events: %+v", b.Txs[0].Logs)
	}
}

func TestFormsOfTraces(t *testing.T) {
	flat := func(kind, action, path, rest string) string {
		return fmt.Sprintf(`{"type":%q,"action":{%s},"traceAddress":[%s],"transactionHash":%q%s}`, kind, action, path, only, rest)
	}
	ends := func(from, to string, value int) string {
		return fmt.Sprintf(`"from":%q,"to":%q,"value":"0x%x"`, from, to, value)
	}
	top := flat("call", `"callType":"call",`+ends(annAddress, benAddress, 1), "", "")
	create := flat("create", fmt.Sprintf(`"from":%q,"value":"0x2"`, benAddress), "0", fmt.Sprintf(`,"result":{"address":%q}`, tokAddress))
	suicide := flat("suicide", fmt.Sprintf(`"address":%q,"refundAddress":%q,"balance":"0x3"`, benAddress, annAddress), "1", "")
	reward := fmt.Sprintf(`{"type":"reward","action":{"author":%q,"rewardType":"uncle","value":50}}`, miner.Hex())
	all := strings.Join([]string{suicide, create, top}, ",")
	want := "0 | transfer/0 ann 1>ben 1 | internal/1 ben 2>token 2 | internal/2 ben 3>ann 3\n"
	for _, c := range []struct {
		name, traces, want string
		complete           bool
	}{
		{"flat", all, want, true},
		{"reward", reward + "," + all, want + "1 | reward/0 >miner 50\n", true},
		{"replay", fmt.Sprintf(`{"transactionHash":%q,"trace":[%s]}`, only, all), want, true},
		{"flat-tracer", fmt.Sprintf(`{"txHash":%q,"result":[%s]}`, only, all), want, true},
		{"frame-alone", frameOf("CALL", annAddress, benAddress, 1, ""), "0 | transfer/0 ann 1>ben 1\n", true},
		{"old-selfdestruct", frameOf("CALL", annAddress, benAddress, 1, `,"calls":[{"type":"SELFDESTRUCT"}]`), "0 | transfer/0 ann 1>ben 1\n", false},
		{"failed", strings.Replace(top, `"type"`, `"error":"Reverted","type"`, 1) + "," + create, "0 failed\n", true},
		{"no-top", create, "0 | internal/0 ben 2>token 2\n", false},
		{"tracer-error", fmt.Sprintf(`{"txHash":%q,"error":"timeout"}`, only), "0\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := moved(t, `"traces":[`+c.traces+"]")
			if got := tell(b.Txs); got != c.want {
				t.Errorf("got  %swant %s", got, c.want)
			}
			if b.Coverage.Has(flow.SawTraces) != c.complete || c.complete != (len(b.Notes) == 0) {
				t.Errorf("coverage %v, notes %+v", b.Coverage.Names(), b.Notes)
			}
		})
	}
}
