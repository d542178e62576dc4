package trace

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/measure"
)

// rows reads a CSV file by the names of its columns.
func rows(t testing.TB, name string, row func(col func(string) string)) {
	f, err := os.Open(measure.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	r := csv.NewReader(in)
	r.ReuseRecord = true
	head := map[string]int{}
	for {
		rec, err := r.Read()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(head) == 0 {
			for i, c := range rec {
				head[strings.Clone(c)] = i
			}
			continue
		}
		row(func(c string) string {
			i, ok := head[c]
			if !ok {
				t.Fatalf("%s: no column %s", name, c)
			}
			return rec[i]
		})
	}
}

// plantedCase is a verified laundering hidden in realistic noise.
type plantedCase struct {
	graph *indexGraph
	theft Theft
	stop  func(flow.Account) (Stop, bool)
	truth map[string]float64 // USD cents of the true transfers that can be reached, by transaction and log index
	all   float64
}

func loadPlanted(t testing.TB, name string) *plantedCase {
	dir := "data/onchain/launder-net-planted/" + name + "/"
	c := &plantedCase{truth: map[string]float64{}}
	accounts := map[string]flow.Account{}
	account := func(s string) flow.Account {
		a, ok := accounts[s]
		if !ok {
			a = must(flow.ParseAccountOn(flow.Ethereum, s))
			accounts[strings.Clone(s)] = a
		}
		return a
	}
	assets := map[string]flow.Asset{"ETH": flow.Ethereum.Native()}
	var txs []flow.Tx
	var block uint64
	var index uint32
	inBlock := map[flow.Hash]int{}
	rows(t, dir+"transfers.csv.gz", func(col func(string) string) {
		h := must(strconv.ParseUint(col("block_number"), 10, 64))
		if h != block {
			block, index = h, 0
			clear(inBlock)
		}
		id := must(flow.ParseHash(col("tx_hash")))
		i, ok := inBlock[id]
		if !ok {
			i = len(txs)
			inBlock[id] = i
			when := must(strconv.ParseInt(col("timestamp"), 10, 64))
			txs = append(txs, flow.Tx{ID: id, Point: flow.Point{Chain: flow.Ethereum, Height: h, Time: when}, Index: index})
			index++
		}
		asset, ok := assets[col("asset")]
		if !ok {
			asset = must(flow.ParseAssetOn(flow.Ethereum, col("asset")))
			assets[strings.Clone(col("asset"))] = asset
		}
		amount, err := flow.ParseAmount(col("amount_base_units"))
		if err != nil {
			return // the noise has tokens that lie
		}
		log := must(strconv.ParseUint(col("log_index"), 10, 32))
		txs[i].Movements = append(txs[i].Movements, flow.In1Out1(flow.TokenMove, asset, uint32(log),
			account(col("from")), account(col("to")), amount))
	})
	c.graph = newIndexGraph(txs)
	services := map[flow.Account]string{}
	rows(t, dir+"labels.csv", func(col func(string) string) {
		if col("is_service") == "1" {
			services[account(col("address"))] = strings.Clone(col("label"))
		}
	})
	c.stop = func(a flow.Account) (Stop, bool) {
		why, ok := services[a]
		return Stop{Reason: why}, ok
	}
	c.theft.Name = name
	rows(t, dir+"sources.csv", func(col func(string) string) {
		h := must(strconv.ParseUint(col("start_block"), 10, 64))
		c.theft.Sources = append(c.theft.Sources, Outflow{Account: account(col("address")), From: flow.Pos{Height: h}})
	})
	rows(t, dir+"truth/truth_transfers.csv.gz", func(col func(string) string) {
		cents := must(strconv.ParseFloat(col("usd_cents"), 64))
		c.all += cents
		if col("reachable") == "1" {
			c.truth[edgeName(must(flow.ParseHash(col("tx_hash"))), col("log_index"))] = cents
		}
	})
	return c
}

func edgeName(tx flow.Hash, index string) string { return tx.String()[:24] + "/" + index }

// The planted cases are traced with stops at labelled services and defaults for all else. The bounds of haircut are those
// that the data's README measured for a plain one, with and without the swaps; the others reach a little less.
func TestPlantedCases(t *testing.T) {
	for _, c := range []struct {
		name    string
		swaps   Swaps
		haircut float64
		others  float64
	}{
		{"lifi", Swaps{}, 0.84, 0.84}, {"lifi", netSwaps, 0.9999, 0.999}, {"atomic", netSwaps, 0.887, 0.84},
	} {
		t.Run(c.name+c.swaps.Rule, func(t *testing.T) {
			planted := loadPlanted(t, c.name)
			began := time.Now()
			r, err := Run(t.Context(), planted.graph, planted.theft, Options{Stop: planted.stop, Swaps: c.swaps})
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			for i := range r.Results {
				least := c.others
				if r.Results[i].Policy == Haircut.String() {
					least = c.haircut
				}
				planted.measure(t, &r.Results[i], least, took)
			}
		})
	}
}

// measure compares the transfers of a result with the true ones.
func (c *plantedCase) measure(t *testing.T, res *Result, least float64, took time.Duration) {
	found, cents := map[string]bool{}, 0.0
	true1 := 0
	for _, e := range res.Edges {
		k := edgeName(e.Tx, fmt.Sprint(e.Index))
		if !found[k] {
			found[k] = true
			if v, ok := c.truth[k]; ok {
				cents += v
				true1++
			}
		}
	}
	t.Logf("%s: flow coverage %.3f, %d transfers of which %d true of %d; %d holders, %d assumptions, partial %t; %s",
		res.Policy, cents/c.all, len(found), true1, len(c.truth), len(res.Holders), len(res.Assumed), res.Partial, took)
	if res.Partial || cents/c.all < least {
		t.Errorf("%s: flow coverage %.3f, partial %t", res.Policy, cents/c.all, res.Partial)
	}
}
