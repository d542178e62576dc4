package etl_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

// The events of the table that are known are kept as they are; a huge one becomes a note; transfers are movements only.
func TestEventsFromTables(t *testing.T) {
	known := flow.KnownEvents()[0].Topic
	event := func(i int, data string) string {
		return fmt.Sprintf(`%d,%s,0,7,%s,%s,"0x%s,%s"`, i, h(100), token, data, known, word(ann))
	}
	b, err := decodeRows(t, csvFile("transactions", txHead, tx(0, ben, "5")), csvFile("receipts", rcpHead, h(100)+",0,7,10,10,1"),
		csvFile("logs", logHead, event(6, "0x"+strings.Repeat("00", flow.MaxLogData+1)), event(5, word("9")), logRow(4, 0, "9")))
	if err != nil || len(b.Txs) != 1 {
		t.Fatalf("%d transactions, %v", len(b.Txs), err)
	}
	logs := b.Txs[0].Logs
	if len(logs) != 1 || logs[0].Index != 5 || !strings.EqualFold(logs[0].Contract.Address(), token) || len(logs[0].Topics) != 2 ||
		logs[0].Topics[0] != known || len(logs[0].Data) != 32 || logs[0].Data[31] != 9 {
		t.Errorf("events %+v", logs)
	}
	if len(b.Notes) != 1 || !strings.Contains(b.Notes[0].Reason, "4097 bytes") {
		t.Errorf("notes %+v", b.Notes)
	}
	if n := len(b.Txs[0].Movements); n != 3 {
		t.Errorf("%d movements; want fee, coin and token", n)
	}
}
