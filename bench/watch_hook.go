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
	told    map[string]bool // by ID
	order   []*message
	repeats int
	refused int
	wrong   error // the first message that is none
}

// A message is what the receiver was told, and when.
type message struct {
	key         string
	serial      int
	kind        alert.Kind
	rule, owner string // the case or list
	tx          flow.Hash
	at          flow.Point
	seen, made  time.Time
	sent, came  time.Time
}

func newMessage(a alert.Alert, sent, came time.Time) *message {
	m := &message{key: a.Key, serial: a.Serial, kind: a.Kind, owner: a.Case, tx: a.Tx, at: a.At, seen: a.Seen, made: a.Made, sent: sent, came: came}
	if a.Finding != nil {
		m.rule = a.Finding.Rule
	}
	return m
}

const moveRule = "live-move" // of package watch

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
	h := &hook{ended: make(chan struct{}), sent: map[string]time.Time{}, told: map[string]bool{}}
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
	var a alert.Alert
	err = sink.Verify(r.Header, body, []string{hookSecret}, now)
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.wrong = errors.Join(h.wrong, fmt.Errorf("%.200q: %w", body, err))
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	id := a.ID()
	if h.told[id] {
		h.repeats++
		return
	}
	h.told[id] = true
	h.order = append(h.order, newMessage(a, h.sent[id], now))
	delete(h.sent, id)
}

// moves are what was told of the moves of stolen money from message number from on, by transaction.
func (h *hook) moves(from int) (all map[flow.Hash][]*message, next int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all = map[flow.Hash][]*message{}
	for _, m := range h.order[from:] {
		if m.rule == moveRule {
			all[m.tx] = append(all[m.tx], m)
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
		if m.tx == tx && m.rule == moveRule {
			return true
		}
	}
	return false
}

// refusals is how many messages it did not take.
func (h *hook) refusals() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refused
}
