package etl_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/decode/etl"
	"github.com/spoor-dev/spoor/decode/execution"
	"github.com/spoor-dev/spoor/flow"
)

const (
	ann   = "0x00000000000000000000000000000000000000a1"
	ben   = "0x00000000000000000000000000000000000000b1"
	token = "0x00000000000000000000000000000000000000d1"
	event = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
)

func h(n int) string { return fmt.Sprintf("0x%064x", n) }

// word is an address or a number in 32 bytes.
func word(s string) string { return "0x" + fmt.Sprintf("%064s", strings.TrimPrefix(s, "0x")) }

type file struct {
	Table   string           `json:"table"`
	File    string           `json:"file"`
	Columns []string         `json:"columns,omitempty"`
	Rows    []map[string]any `json:"rows"`
}

// csvFile is a file of CSV whose rows begin in line 2.
func csvFile(table, columns string, rows ...string) file {
	f := file{Table: table, File: table + ".csv", Columns: strings.Split(columns, ",")}
	for i, r := range rows {
		f.Rows = append(f.Rows, map[string]any{"line": i + 2, "text": r})
	}
	return f
}

func raw(t testing.TB, files ...file) []byte {
	t.Helper()
	tables := map[string]bool{}
	var names []string
	for _, f := range files {
		if !tables[f.Table] {
			names = append(names, f.Table)
		}
		tables[f.Table] = true
	}
	b, err := json.Marshal(map[string]any{"number": 7, "tables": names, "files": files})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decodeRows(t testing.TB, files ...file) (flow.Block, error) {
	t.Helper()
	return etl.New(flow.Ethereum).Decode(flow.Point{Height: 7}, flow.Hash{}, raw(t, files...))
}

// tell writes movements in short.
func tell(b flow.Block) string {
	var s strings.Builder
	side := func(legs []flow.Leg) string {
		var all []string
		for _, l := range legs {
			name := map[string]string{ann: "ann", ben: "ben", token: "token"}[strings.ToLower(l.Account.Address())]
			all = append(all, name+" "+l.Amount.String())
		}
		return strings.Join(all, "+")
	}
	for _, tx := range b.Txs {
		fmt.Fprintf(&s, "%d", tx.Index)
		if tx.Failed {
			s.WriteString(" failed")
		}
		for _, m := range tx.Movements {
			fmt.Fprintf(&s, " | %s/%d %s>%s", m.Kind, m.Index, side(m.In), side(m.Out))
		}
		s.WriteString("\n")
	}
	return s.String()
}

const (
	txHead    = "hash,block_hash,block_number,transaction_index,from_address,to_address,value,gas_price,transaction_type"
	rcpHead   = "transaction_hash,transaction_index,block_number,gas_used,effective_gas_price,status"
	logHead   = "log_index,transaction_hash,transaction_index,block_number,address,data,topics"
	moveHead  = "token_address,from_address,to_address,value,transaction_hash,log_index,block_number"
	traceHead = "block_number,transaction_hash,transaction_index,from_address,to_address,value,input,trace_type,call_type,trace_address,error,status"
	blockHead = "number,hash,miner,base_fee_per_gas,logs_bloom,transaction_count"
)

func tx(i int, to, value string) string {
	return fmt.Sprintf("%s,%s,7,%d,%s,%s,%s,10,0", h(100+i), h(70), i, ann, to, value)
}

func logRow(i, tx int, value string) string {
	return fmt.Sprintf(`%d,%s,%d,7,%s,%s,"%s,%s,%s"`, i, h(100+tx), tx, token, word(value), event, word(ann), word(ben))
}

// TestRefusedRowsLeaveTheRest: a row that is refused becomes a note with its place and its text; all others stand.
func TestRefusedRowsLeaveTheRest(t *testing.T) {
	good := tx(0, ben, "5")
	for _, c := range []struct {
		name, row, reason string
		file              func(row string) file
	}{
		{"checksum", tx(1, "0x52bc44d5378309EE2abF1539BF71dE1b7d7bE3b6", "6"), "checksum", nil},
		{"too-large", tx(1, ben, "1"+strings.Repeat("0", 78)), "2^256", nil},
		{"negative", tx(1, ben, "-1"), "value", nil},
		{"columns", tx(1, ben, "6") + ",", "10 columns, the header has 9", nil},
		{"short", h(101), "1 columns", nil},
		{"quote", tx(1, ben, `"6`), "quote", nil},
		{"other-block", strings.Replace(tx(1, ben, "6"), ",7,", ",8,", 1), "block_number", nil},
		{"other-hash", strings.Replace(tx(1, ben, "6"), h(70), h(71), 1), "another block", nil},
		{"twice", good, "second row", nil},
		{"no-hash", strings.Replace(tx(1, ben, "6"), h(101), "", 1), "hash", nil},
		{"hex-amount", tx(1, ben, "1e18"), "value", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decodeRows(t, csvFile("transactions", txHead, good, c.row, tx(2, ben, "7")),
				csvFile("receipts", rcpHead, h(100)+",0,7,10,10,1", h(102)+",2,7,10,10,0"))
			if err != nil {
				t.Fatal(err)
			}
			want := "0 | fee/0 ann 100> | transfer/0 ann 5>ben 5\n2 failed | fee/0 ann 100>\n"
			if tell(got) != want {
				t.Errorf("got\n%swant\n%s", tell(got), want)
			}
			n := got.Notes[0]
			if len(got.Notes) != 1 || n.Kind != flow.Quarantined || n.Where != "transactions.csv:3" || n.Raw != c.row || !strings.Contains(n.Reason, c.reason) {
				t.Errorf("notes %+v; want %q", got.Notes, c.reason)
			}
		})
	}
}

func TestMovementsFromTables(t *testing.T) {
	var none execution.Bloom
	blocks := csvFile("blocks", blockHead, fmt.Sprintf("7,%s,%s,4,0x%x,1", h(70), token, none))
	one := csvFile("transactions", txHead, tx(0, ben, "5"))
	receipt := csvFile("receipts", rcpHead, h(100)+",0,7,10,10,1")
	trace := func(rows ...string) file { return csvFile("traces", traceHead, rows...) }
	root := "7," + h(100) + ",0," + ann + "," + ben + ",5,0x,call,call,,,1"
	for _, c := range []struct {
		name  string
		files []file
		want  string
		cover flow.Coverage
		notes int
	}{
		{"transactions-alone", []file{one}, "0 | transfer/0 ann 5>ben 5\n", 0, 1},
		{"fee", []file{blocks, one, receipt}, "0 | fee/0 ann 100>token 60 | transfer/0 ann 5>ben 5\n", flow.SawFees, 0},
		{"no-logs", []file{blocks, one, receipt, csvFile("logs", logHead)}, "0 | fee/0 ann 100>token 60 | transfer/0 ann 5>ben 5\n", flow.SawFees | flow.SawLogs | flow.ProvedBloom, 0},
		{"logs", []file{one, receipt, csvFile("logs", logHead, logRow(4, 0, "9"), logRow(3, 0, "8"))},
			"0 | fee/0 ann 100> | transfer/0 ann 5>ben 5 | token/3 ann 8>ben 8 | token/4 ann 9>ben 9\n", flow.SawFees | flow.SawLogs, 0},
		{"logs-before-transfers", []file{csvFile("token_transfers", moveHead, token+","+ann+","+ben+",1,"+h(100)+",4,7"), csvFile("logs", logHead, logRow(4, 0, "9"))},
			"0 | token/4 ann 9>ben 9\n", flow.SawLogs, 0},
		{"transfers", []file{csvFile("token_transfers", moveHead, token+","+ann+","+ben+",1,"+h(101)+",4,7", token+",0x"+strings.Repeat("0", 40)+","+ben+",2,"+h(100)+",3,7")},
			"0 | token/3 >ben 2\n1 | token/4 ann 1>ben 1\n", 0, 0},
		{"traces", []file{trace("7,"+h(100)+",0,"+ben+","+ann+",1,0x,call,call,\"0,1\",,1", "7,"+h(100)+",0,"+ben+","+token+",3,0x,call,delegatecall,0,,1", root,
			"7,"+h(100)+",0,"+ben+","+ann+",2,,suicide,,1,,1", "7,,,,"+token+",50,,reward,,,,1")},
			"0 | transfer/0 ann 5>ben 5 | internal/2 ben 1>ann 1 | internal/3 ben 2>ann 2\n1 | reward/0 >token 50\n", flow.SawTraces | flow.SawRewards | flow.CallDataTokens, 0},
		{"failed", []file{one, receiptFailed(), trace("7," + h(100) + ",0," + ann + "," + ben + ",5,0x,call,call,,Reverted,0")},
			"0 failed | fee/0 ann 100>\n", flow.SawTraces | flow.SawFees | flow.CallDataTokens, 0},
		{"genesis", []file{trace("7,,,,"+ben+",50,,genesis,,,,1", "7,,,"+ann+","+ben+",6,,daofork,,,,1")}, "0 | reward/0 >ben 50 | internal/1 ann 6>ben 6\n", 0, 0},
		{"bigquery", []file{{Table: "transactions", File: "t.json", Rows: []map[string]any{{"line": 1, "text": `{"hash":"` + h(100) + `","block_number":"7","transaction_index":"0","from_address":"` + ann +
			`","to_address":null,"value":"5","gas_price":"10","receipt_gas_used":"3","receipt_status":"1","receipt_contract_address":"` + token + `","block_timestamp":"2016-06-23 08:12:42 UTC"}`}}}},
			"0 | fee/0 ann 30> | transfer/0 ann 5>token 5\n", flow.SawFees, 0},
		{"withdrawals", []file{csvFile("blocks", "number,difficulty,transaction_count,withdrawals", `7,0,0,"{'index': 1, 'validator_index': 2, 'address': '`+ben+`', 'amount': 3}"`)},
			"0 | reward/0 >ben 3000000000\n", flow.SawRewards | flow.SawTraces | flow.SawFees, 0},
		{"one-is-missing", []file{csvFile("blocks", blockHead, "7,"+h(70)+",,,,2"), one, receipt}, "0 | fee/0 ann 100> | transfer/0 ann 5>ben 5\n", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decodeRows(t, c.files...)
			if err != nil {
				t.Fatal(err)
			}
			if tell(got) != c.want {
				t.Errorf("got\n%swant\n%s", tell(got), c.want)
			}
			if got.Coverage != c.cover {
				t.Errorf("coverage %v; want %v", got.Coverage.Names(), c.cover.Names())
			}
			if len(got.Notes) != c.notes {
				t.Errorf("notes %+v", got.Notes)
			}
		})
	}
}

func receiptFailed() file { return csvFile("receipts", rcpHead, h(100)+",0,7,10,10,0") }

func TestContradictionsAreErrors(t *testing.T) {
	bloom := strings.Repeat("0", 510) + "01"
	for _, c := range []struct {
		name  string
		files []file
		want  string
		is    error
	}{
		{"logs-gone", []file{csvFile("blocks", blockHead, "7,"+h(70)+",,,0x"+bloom+",0"), csvFile("logs", logHead)}, "logs bloom", etl.ErrRoot},
		{"outcome", []file{receiptFailed(), csvFile("traces", traceHead, "7,"+h(100)+",0,"+ann+","+ben+",5,0x,call,call,,,1")}, "disagree", nil},
		{"traces", []file{csvFile("transactions", txHead, tx(0, ben, "5")), csvFile("traces", traceHead, "7,"+h(100)+",0,"+ben+","+ben+",5,0x,call,call,,,1")}, "another", nil},
		{"index", []file{csvFile("transactions", txHead, tx(0, ben, "5"), strings.Replace(tx(1, ben, "5"), ",7,1,", ",7,0,", 1))}, "said to be", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decodeRows(t, c.files...)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %v; want %q", err, c.want)
			}
		})
	}
	d := etl.New(flow.Ethereum)
	b := raw(t, csvFile("blocks", blockHead, "7,"+h(70)+",,,,"))
	for name, at := range map[string]flow.Point{"height": {Height: 8}, "hash": {Height: 7, Hash: flow.Hash{1}}, "chain": {Height: 7, Chain: flow.Bitcoin}} {
		if _, err := d.Decode(at, flow.Hash{}, b); err == nil {
			t.Errorf("another %s is no error", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(txHead, tx(0, ben, "5"), "transactions")
	f.Add(logHead, logRow(0, 0, "5"), "logs")
	f.Add(traceHead, "7,"+h(100)+",0,"+ann+","+ben+",5,0x,call,call,\"0,1\",,1", "traces")
	f.Add(blockHead, "7,"+h(70)+","+token+",4,0x,0", "blocks")
	f.Add(moveHead, token+","+ann+","+ben+",1,"+h(101)+",4,7", "token_transfers")
	f.Add("", `{"block_number":7,"trace_type":"reward","to_address":"`+ann+`","value":1,"trace_address":[1,2],"topics":["0x"]}`, "traces")
	f.Fuzz(func(t *testing.T, columns, row, table string) {
		one := csvFile(table, columns, row)
		if columns == "" {
			one.Columns = nil
		}
		got, err := decodeRows(t, one, csvFile("receipts", rcpHead, h(100)+",0,7,10,10,1"))
		if err != nil {
			return
		}
		for _, tx := range got.Txs {
			for _, m := range tx.Movements {
				if len(m.In)+len(m.Out) == 0 || !m.IsComplete() {
					t.Errorf("movement %+v", m)
				}
			}
		}
	})
}

// BenchmarkTables reads and decodes 500 blocks of 100 transactions with a log each, from CSV.
func BenchmarkTables(b *testing.B) {
	dir := b.TempDir()
	var txs, receipts, logs strings.Builder
	txs.WriteString(txHead + "\n")
	receipts.WriteString(rcpHead + "\n")
	logs.WriteString(logHead + "\n")
	for n := range 500 {
		for i := range 100 {
			id := h(1000*n + i)
			fmt.Fprintf(&txs, "%s,%s,%d,%d,%s,%s,5,10,0\n", id, h(n), n, i, ann, ben)
			fmt.Fprintf(&receipts, "%s,%d,%d,10,10,1\n", id, i, n)
			fmt.Fprintf(&logs, "%d,%s,%d,%d,%s,%s,\"%s,%s,%s\"\n", i, id, i, n, token, word("5"), event, word(ann), word(ben))
		}
	}
	size := int64(0)
	for name, text := range map[string]string{"transactions.csv": txs.String(), "receipts.csv": receipts.String(), "logs.csv": logs.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		size += int64(len(text))
	}
	b.SetBytes(size)
	moves := 0
	for b.Loop() {
		moves = 0
		for _, block := range fromTables(b, dir) {
			for _, tx := range block.Txs {
				moves += len(tx.Movements)
			}
		}
	}
	b.ReportMetric(float64(moves)*float64(b.N)/b.Elapsed().Seconds(), "movements/s")
}
