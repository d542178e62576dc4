package bitcoinrpc_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source/bitcoinrpc"
	"github.com/spoor-dev/spoor/source/follow"
)

// Whatever a node answers, it does no harm, and what is taken from it is of the form that was asked for.
func FuzzAnswers(f *testing.F) {
	genesis := chaincfg.RegressionNetParams.GenesisBlock
	hash := genesis.BlockHash().String()
	f.Add(`"` + hash + `"`)
	f.Add(`"` + digits(f, genesis) + `"`)
	f.Add(`"` + digits(f, &genesis.Header) + `"`)
	f.Add(`{"hash":"` + hash + `","height":0,"time":1,"blocks":0,"bestblockhash":"` + hash + `"}`)
	f.Add(`{"hash":"` + hash + `","height":7,"time":-1,"previousblockhash":"` + hash + `"}`)
	f.Add(`{"blocks":18446744073709551615,"bestblockhash":null}`)
	f.Add(`["` + hash + `","` + hash + `"]`)
	f.Add(`null`)
	f.Add(`0`)
	f.Add(`"00"}{`)
	var answer atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		text := answer.Load().(string)
		if strings.Contains(string(body), `"getblockhash",`) && strings.Contains(string(body), `[0]`) || strings.Contains(string(body), `"getblockhash","params":[0]`) {
			text = `"` + hash + `"` // so that it gets beyond the question for the chain
		}
		one := func(id int) string { return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":%s}`, id, text) }
		if body[0] == '[' {
			_, _ = io.WriteString(w, "["+one(0)+","+one(1)+"]")
			return
		}
		_, _ = io.WriteString(w, one(0))
	}))
	f.Cleanup(server.Close)
	n, err := bitcoinrpc.Open(bitcoinrpc.Config{Endpoint: rpc.Config{URL: server.URL, Private: true, Timeout: 5 * time.Second}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(n.Close)
	f.Fuzz(func(t *testing.T, text string) {
		answer.Store(text)
		if h, err := n.Head(t.Context()); err == nil && (h.Point.Hash.IsZero() || h.Point.Chain != flow.BitcoinRegtest) {
			t.Errorf("head %+v", h)
		}
		for _, from := range []uint64{0, 7, 1<<64 - 1} {
			list, err := n.Headers(t.Context(), from, 2)
			if err == nil && (len(list) == 0 || len(list) > 2) {
				t.Errorf("%d headers", len(list))
			}
			for i, h := range list {
				if h.Point.Height != from+uint64(i) || h.Point.Hash.IsZero() {
					t.Errorf("header %d: %+v", i, h)
				}
			}
		}
		b, err := n.Block(t.Context(), follow.Header{Point: flow.Point{Height: 3, Hash: flow.Hash{3}}})
		if err == nil {
			first := sha256.Sum256(b.Raw[:80])
			want := sha256.Sum256(first[:])
			slices.Reverse(want[:])
			if b.Point.Hash != flow.Hash(want) || b.Point.Height != 3 {
				t.Errorf("block %+v", b.Point)
			}
		}
	})
}
