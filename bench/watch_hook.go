package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/alert/sink"
	"github.com/spoor-dev/spoor/flow"
)

// A hook is a receiver of signed webhooks on this machine, and the sink that sends them there. It notes when a message set
// out and when it came, and counts what comes twice.
type hook struct {
	alert.Sink
	server *http.Server
	ended  chan struct{}
	ill    atomic.Bool // it answers 503

	mu      sync.Mutex // of what follows
	sent    map[string]time.Time
	told    map[string]*message // by ID
	order   []*message
	repeats int
	refused int
	wrong   error // the first message that is none
}

// A message is what the receiver was told, and when.
type message struct {
	alert.Alert
	sent, came time.Time
}

// rule is the rule of the judgement, or the kind where there is none.
func (m *message) rule() string {
	if m.Finding == nil {
		return string(m.Kind)
	}
	return m.Finding.Rule
}

// hookSecret signs the messages: thirty-two bytes that are no secret.
const hookSecret = "whsec_c3Bvb3IgYmVuY2g6IHRoaXJ0eS10d28gYnl0ZXMuLi4="

func newHook(dir string) (*hook, error) {
	secret := filepath.Join(dir, "hook-secret")
	if err := os.WriteFile(secret, []byte(hookSecret), 0o600); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &hook{ended: make(chan struct{}), sent: map[string]time.Time{}, told: map[string]*message{}}
	if h.Sink, err = sink.NewWebhook(sink.WebhookConfig{Name: "hook", URL: "http://" + l.Addr().String(), SecretFile: secret, Private: true}); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	h.server = &http.Server{Handler: http.HandlerFunc(h.take), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(h.ended)
		h.server.Serve(l) // ends with close
	}()
	return h, nil
}

func (h *hook) close() error {
	err := h.server.Close()
	<-h.ended
	return err
}

// Send implements alert.Sink.
func (h *hook) Send(ctx context.Context, group []alert.Alert) error {
	now := time.Now()
	h.mu.Lock()
	for _, a := range group {
		h.sent[a.ID()] = now
	}
	h.mu.Unlock()
	return h.Sink.Send(ctx, group)
}

// mostMessage bounds one message.
const mostMessage = 1 << 20

func (h *hook) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, mostMessage))
	if err != nil {
		return // who sent it has gone
	}
	now := time.Now()
	if h.ill.Load() {
		h.mu.Lock()
		h.refused++
		h.mu.Unlock()
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	m := &message{came: now}
	err = sink.Verify(r.Header, body, []string{hookSecret}, now)
	if err == nil {
		err = json.Unmarshal(body, &m.Alert)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.wrong = errors.Join(h.wrong, fmt.Errorf("%.200q: %w", body, err))
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	id := m.ID()
	if h.told[id] != nil {
		h.repeats++
		return
	}
	m.sent = h.sent[id]
	delete(h.sent, id)
	h.told[id] = m
	h.order = append(h.order, m)
}

// moves are what was told of the moves of stolen money from message number from on, by transaction.
func (h *hook) moves(from int) (all map[flow.Hash][]*message, next int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all = map[flow.Hash][]*message{}
	for _, m := range h.order[from:] {
		if m.rule() == "live-move" {
			all[m.Tx] = append(all[m.Tx], m)
		}
	}
	return all, len(h.order)
}

// count is how many messages came, and how many of them a second time; an error if one was no message.
func (h *hook) count() (n, repeats int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.order), h.repeats, h.wrong
}

// has reports whether a move was told.
func (h *hook) has(tx flow.Hash, from int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.order[from:] {
		if m.Tx == tx && m.rule() == "live-move" {
			return true
		}
	}
	return false
}
