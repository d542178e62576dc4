package attribute

import (
	"encoding/csv"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/measure"
)

// chainNames are the names of the OFAC development set for what is found in an address.
var chainNames = map[string]string{
	"bitcoin": flow.Bitcoin.String(), "bitcoin/p2sh": flow.Bitcoin.String(), "evm": flow.Ethereum.String(), "tron": flow.Tron.String(),
	"litecoin": foreigns[0].chain, "bitcoin-cash": foreigns[1].chain, "dash": foreigns[2].chain, "dogecoin": foreigns[3].chain,
	"zcash": foreigns[4].chain, "base58 v38": foreigns[5].chain, "monero": foreigns[6].chain, "ripple": foreigns[7].chain,
}

func ofacRows(t *testing.T) [][]string {
	f, err := os.Open(measure.Path(t, "data/intel/ofac-2025-01/addresses.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 600 {
		t.Fatalf("%d rows, %v; want 651", len(rows), err)
	}
	return rows[1:]
}

func TestParseAddressFindsTheChainOfEveryListedAddress(t *testing.T) {
	for _, row := range ofacRows(t) {
		address, want := row[0], row[2]
		a, err := ParseAddress(address)
		if want == "INVALID" {
			if err == nil {
				t.Errorf("ParseAddress(%q) = %s; want an error", address, a)
			}
			continue
		}
		if err != nil || a.Chain().String() != chainNames[want] {
			t.Errorf("ParseAddress(%q) = %s, %v; want %s", address, a, err, want)
			continue
		}
		again, err := ParseAddress(a.String())
		if err != nil || again != a {
			t.Errorf("ParseAddress(%q) = %s, %v; want itself", a, again, err)
		}
	}
}

func TestParseAddressRefusesEveryBrokenChecksum(t *testing.T) {
	for _, row := range ofacRows(t) {
		if row[2] == "INVALID" {
			continue
		}
		address := []byte(row[0])
		at := len(address) / 2
		for _, c := range []byte("23456789acdefghjkm") {
			if c == address[at] || strings.EqualFold(string(c), string(address[at])) {
				continue
			}
			broken := string(address[:at]) + string(c) + string(address[at+1:])
			a, err := ParseAddress(broken)
			isHex := strings.HasPrefix(broken, "0x")
			if isHex && (broken == strings.ToLower(broken)) {
				break // all lower case holds no checksum
			}
			if err == nil {
				// mixed-case hex may keep a right sum by chance of one in many thousands; anything else may not
				t.Errorf("ParseAddress(%q) = %s; want an error", broken, a)
			} else if !errors.Is(err, flow.ErrChecksum) && !errors.Is(err, flow.ErrAddress) {
				t.Errorf("ParseAddress(%q): %v; want ErrChecksum or ErrAddress", broken, err)
			}
			break
		}
	}
}
