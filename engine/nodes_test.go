package engine

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/flow"
)

// A configuration that trusts confirmations alone does not ask its nodes what is final.
func TestFinalityByConfirmationsDoesNotAskTheNode(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "no", http.StatusInternalServerError)
	}))
	defer s.Close()
	for _, tt := range []struct {
		finality string
		asks     bool
	}{{"finalized", true}, {"safe", true}, {"confirmations", false}} {
		asked.Store(0)
		n, err := openNode(config.Chain{Chain: flow.Ethereum, Finality: tt.finality}, config.Node{URL: s.URL, Private: true})
		if err != nil {
			t.Fatal(err)
		}
		_, ok, err := n.Final(t.Context())
		n.Close()
		if ok || (err != nil) != tt.asks || (asked.Load() > 0) != tt.asks {
			t.Errorf("%s: final %v, %v after %d questions; want questions: %v", tt.finality, ok, err, asked.Load(), tt.asks)
		}
	}
}
