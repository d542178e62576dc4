package text_test

import (
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

const v2 = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822" // Swap of Uniswap V2

func TestEventRows(t *testing.T) {
	b, err := decode(eth, "tx t\na p X 5\nemit eth:p "+v2+" 7 0x8 : 5 0 -1 -256 index=3\nemit q "+v2+" :\np a Y 2")
	if err != nil || len(b.Notes) > 0 || len(b.Txs) != 1 || len(b.Txs[0].Movements) != 2 || len(b.Txs[0].Logs) != 2 {
		t.Fatalf("%+v, %v", b, err)
	}
	l := b.Txs[0].Logs[0]
	if l.Contract.Address() != "p" || l.Index != 3 || len(l.Topics) != 3 || l.Topics[0].String() != v2[2:] || l.Topics[1] != (flow.Hash{31: 7}) || l.Topics[2] != (flow.Hash{31: 8}) {
		t.Errorf("event %+v", l)
	}
	all := strings.Repeat("\xff", 32)
	if want := strings.Repeat("\x00", 31) + "\x05" + strings.Repeat("\x00", 32) + all + all[:31] + "\x00"; string(l.Data) != want {
		t.Errorf("data %x; want %x", l.Data, want)
	}
	if l := b.Txs[0].Logs[1]; l.Contract.Address() != "q" || len(l.Data) != 0 {
		t.Errorf("event without data %+v", l)
	}
	for _, row := range []string{
		"emit p " + v2 + " : 5",               // of no transaction
		"tx t\nemit p : 5",                    // no topic
		"tx t\nemit :",                        // nothing
		"tx t\nemit p " + v2 + " 1 2 3 4 : 5", // too many topics
		"tx t\nemit p " + v2 + " : " + strings.Repeat("1 ", 129),  // too much data
		"tx t\nemit p 0x" + strings.Repeat("0", 63) + "1 : 5",     // not kept
		"tx t\nemit p " + v2 + " : five",                          // not a number
		"tx t\nemit p " + v2 + " : 5 index=-1",                    // not an index
		"tx t\nemit - " + v2 + " : 5",                             // nobody
		"tx t failed\nemit p " + v2 + " : 5",                      // of a transaction that failed
		"tx t\nemit p " + v2 + " : 5 : 6",                         // twice
		"tx t\nemit p " + v2 + " : 0x1" + strings.Repeat("0", 64), // too large
		"tx t\nemit bip122:x:p " + v2 + " : 5",                    // of another chain
	} {
		b, err := decode(eth, row)
		if err != nil || len(b.Notes) != 1 || len(b.Txs) == 1 && len(b.Txs[0].Logs) > 0 {
			t.Errorf("%q: %+v, %v; want a note", row, b, err)
		}
	}
}
