package live_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/engine/live"
	"github.com/spoor-dev/spoor/internal/nodes"
	"github.com/spoor-dev/spoor/source/follow"
)

// A withholder passes on what a node says, but has no block of some hashes.
type withholder struct {
	url string

	mu     sync.Mutex
	closed bool     // it answers nobody
	hashes []string // that it has not
}

func withhold(t *testing.T, target string) *withholder {
	t.Helper()
	w := &withholder{}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return // who asked has gone
		}
		closed, without := w.of(body)
		switch {
		case closed:
			http.Error(out, "closed", http.StatusServiceUnavailable)
			return
		case without:
			answerNothing(out, body)
			return
		}
		answer, err := client.Post(target, "application/json", bytes.NewReader(body))
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		_, _ = io.Copy(out, answer.Body) // who asked may have gone
	}))
	w.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		client.CloseIdleConnections()
	})
	return w
}

func (w *withholder) of(body []byte) (closed, without bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.hashes {
		without = without || bytes.Contains(body, []byte(h))
	}
	return w.closed, without
}

func (w *withholder) set(closed bool, hashes ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed, w.hashes = closed, hashes
}

// answerNothing answers each question with null.
func answerNothing(out io.Writer, body []byte) {
	type answer struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Result  any             `json:"result"`
	}
	var one answer
	if json.Unmarshal(body, &one) == nil {
		_ = json.NewEncoder(out).Encode(answer{"2.0", one.ID, nil})
		return
	}
	var all []answer
	_ = json.Unmarshal(body, &all)
	for i := range all {
		all[i] = answer{"2.0", all[i].ID, nil}
	}
	_ = json.NewEncoder(out).Encode(all)
}

// Blocks that no node gives become a hole, which is told and shown. When a node gives them, cases are followed through
// them, and what happened in them and since is told.
func TestAHoleIsFilledAndFollowedThrough(t *testing.T) {
	leaveNothing(t)
	c := newEVM(t, nodes.Anvil(t), 31337, "thief", "a", "b", "c", "d", "shop")
	c.rich("thief", 9000)
	gate := withhold(t, c.URL)
	r := newRig(t, setup{chains: c.config(0, ", confirmations: 2, give_up: 200ms", c.node(gate.url, "", ""))})
	r.options.Follow = follow.Config{Bench: 60 * time.Millisecond, Patience: 200 * time.Millisecond}
	r.options.FillEvery = 50 * time.Millisecond
	r.theft("heist", fmt.Sprintf(`{"sources":[{"account":%q}]}`, c.caip("thief")))
	r.start()
	r.at(c.head)
	r.followed(1)

	seen := c.pay("thief", "shop", 100)
	r.at(c.head)
	r.told("heist", "live-move", seen)
	gate.set(true)
	missing := c.pay("thief", "a", 5000)
	hash := bare(c.head())
	height := c.Height()
	gate.set(false, hash)
	unseen := c.pay("a", "b", 4000)
	c.Mine(8)
	r.at(c.head)
	s := r.state()
	if h := s.Chains[0]; h.HoleBlocks != 1 || len(h.Holes) != 1 || h.Holes[0].From != height || h.Holes[0].To != height {
		t.Errorf("holes %v; want block %d", h.Holes, height)
	}
	if s.Health != live.Degraded && s.Health != live.Sick || !strings.Contains(strings.Join(s.Reasons, "\n"), "missing") {
		t.Errorf("health %s: %q", s.Health, s.Reasons)
	}
	title := fmt.Sprintf("%s: Blocks %d to %d are missing", c.chain, height, height)
	r.until("a message about the hole", func() bool {
		return len(r.hook.all(func(m told) bool { return m.Kind == alert.State && m.Title == title })) == 1
	})
	for _, tx := range []string{missing, unseen} {
		if got := r.hook.of("heist", "live-move", tx); len(got) > 0 {
			t.Errorf("told of what cannot be known: %s", got[0].Text)
		}
	}

	gate.set(false)
	for _, tx := range []string{seen, missing, unseen} {
		r.told("heist", "live-move", tx)
	}
	r.until("no hole", func() bool { h := r.state().Chains[0]; return h.HoleBlocks == 0 && h.Filled == 1 })
	last := c.pay("b", "c", 3000)
	r.at(c.head)
	r.wasTold([]planted{{"heist", "live-move", seen}, {"heist", "live-move", missing}, {"heist", "live-move", unseen}, {"heist", "live-move", last}})
	r.isWell()
	r.isAsFresh(c.own(), c.head, "after the hole was filled")
}
