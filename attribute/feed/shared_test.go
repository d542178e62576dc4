package feed

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/internal/measure"
)

// open reads a file of the shared data, unpacked.
func open(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(measure.Path(t, "data/intel/"+name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func read(t *testing.T, name string, c Config) *attribute.Listing {
	t.Helper()
	l, err := Read(strings.TrimSuffix(filepath.Base(name), ".gz"), bytes.NewReader(open(t, name)), c)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return l
}

// What every list of the shared data gives. The numbers of rows are those of the data's own pages.
func TestReadEveryListThatIsKnown(t *testing.T) {
	for _, c := range []struct {
		name                                    string
		rows, taken, other, quarantined, labels int
		reasons                                 map[attribute.Reason]int
		refiled                                 int
	}{
		{"ofac-2025-01/addresses.csv", 650, 649, 0, 1, 649, map[attribute.Reason]int{attribute.NotAddress: 1}, 2},
		{"ofac-2025-01/listing_events.csv", 671, 670, 0, 1, 649, map[attribute.Reason]int{attribute.NotAddress: 1}, 2},
		{"graphsense-tagpacks/tags.csv.gz", 524170, 524038, 0, 132, 524075, map[attribute.Reason]int{attribute.BadChecksum: 16, attribute.NotAddress: 110, attribute.Warned: 6}, 4},
		{"eth-labels/accounts_2024-06-28.csv.gz", 55235, 55224, 0, 11, 55224, map[attribute.Reason]int{attribute.NotAddress: 4, attribute.Warned: 7}, 0},
		{"etherscan-labels/labels.csv.gz", 45198, 45186, 0, 12, 45186, map[attribute.Reason]int{attribute.NotAddress: 10, attribute.Warned: 2}, 0},
		{"forta-labels/etherscan_malicious_labels.csv.gz", 7780, 7778, 0, 2, 7778, map[attribute.Reason]int{attribute.BadChecksum: 2}, 0},
		{"forta-labels/malicious_smart_contracts.csv.gz", 753, 753, 0, 0, 753, nil, 0},
		{"forta-labels/phishing_scams.csv.gz", 6726, 6724, 0, 2, 6724, map[attribute.Reason]int{attribute.BadChecksum: 2}, 0},
		{"dune-spellbook/labels_mit_2023-05-30.csv.gz", 1311, 1310, 0, 1, 1310, map[attribute.Reason]int{attribute.BadChecksum: 1}, 0},
		{"fbi/fbi_alphapo_coinspaid_atomic_20230822.csv", 6, 6, 0, 0, 6, nil, 0},
		{"scamsniffer/address_first_seen.csv", 808, 803, 0, 5, 803, map[attribute.Reason]int{attribute.Warned: 5}, 0},
		{"scamsniffer/domain_address_links.csv", 2742, 2727, 0, 15, 2727, map[attribute.Reason]int{attribute.Warned: 15}, 0},
		{"polkadot-phishing/deny_first_seen_month.csv.gz", 54863, 54863, 0, 0, 54863, nil, 0},
		{"misp/threat-actor-kp.json", 26, 26, 0, 0, 124, nil, 0},
		{"ofac-2025-01/raw-0xB10C-2024-09-27/sanctioned_addresses_XBT.txt", 435, 435, 0, 0, 435, nil, 1},
		{"ofac-2025-01/raw-0xB10C-2024-09-27/sanctioned_addresses_XBT.json", 435, 435, 0, 0, 435, nil, 1},
		{"ofac-2025-01/raw-0xB10C-2024-09-27/sanctioned_addresses_XMR.txt", 3, 2, 0, 1, 2, map[attribute.Reason]int{attribute.NotAddress: 1}, 0},
		{"ofac-2025-01/raw-0xB10C-2024-09-27/sanctioned_addresses_BCH.json", 7, 7, 0, 0, 7, nil, 0},
		{"graphsense-tagpacks/packs/hacks.yaml", 608, 608, 0, 0, 608, nil, 0},
		{"graphsense-tagpacks/packs/lazarus2.yaml", 6, 6, 0, 0, 12, nil, 0},
		{"graphsense-tagpacks/packs/ofac.yaml", 572, 569, 0, 3, 569, map[attribute.Reason]int{attribute.NotAddress: 3}, 2},
		{"graphsense-tagpacks/packs/usdt_blacklist.yaml", 774, 768, 0, 6, 768, map[attribute.Reason]int{attribute.Warned: 6}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := read(t, c.name, Config{})
			got := []int{l.Rows, l.Taken, l.Other, len(l.Refused), len(l.Labels), len(l.Refiled)}
			want := []int{c.rows, c.taken, c.other, c.quarantined, c.labels, c.refiled}
			if !slices.Equal(got, want) {
				t.Errorf("rows, taken, other, quarantined, labels, refiled = %v; want %v", got, want)
			}
			reasons := map[attribute.Reason]int{}
			for _, r := range l.Refused {
				reasons[r.Reason]++
			}
			for reason, n := range c.reasons {
				if reasons[reason] != n {
					t.Errorf("%d rows refused for %s; want %d", reasons[reason], reason, n)
				}
			}
		})
	}
}
