package live

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/alert/sink"
	"github.com/spoor-dev/spoor/bench/evmnode"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/nodes"
	"github.com/spoor-dev/spoor/store/pebblestore"
	"github.com/spoor-dev/spoor/store/storetest"
)

// longest is how long anything may take that has to happen, on a machine that is busy.
const longest = 90 * time.Second

// build makes the real program.
func build(t *testing.T) (path string) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("absent: go, to build the program")
	}
	path = filepath.Join(t.TempDir(), "spoor")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/spoor-dev/spoor/cmd/spoor").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return path
}

// A program is a running spoor watch.
type program struct {
	t     *testing.T
	path  string
	cmd   *exec.Cmd
	url   string
	said  strings.Builder // to be read after the end
	ended chan struct{}
	err   error // how it ended
}

// startProgram starts spoor watch with a configuration file and a port to answer on.
func startProgram(t *testing.T, path, config string, port int) *program {
	t.Helper()
	p := &program{t: t, path: path, url: fmt.Sprintf("http://127.0.0.1:%d", port), ended: make(chan struct{})}
	p.cmd = exec.Command(path, "watch", "--silent", "--config", config, "--listen", strings.TrimPrefix(p.url, "http://"))
	p.cmd.Stderr = &p.said
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends it as a loss of power would.
func (p *program) kill() {
	p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// stop asks it to end, and returns how long that took.
func (p *program) stop() time.Duration {
	p.t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("stop: %v", err)
	}
	select {
	case <-p.ended:
	case <-time.After(longest):
		p.t.Fatalf("it does not end")
	}
	if p.err != nil {
		p.t.Fatalf("it ended with %v:\n%s", p.err, p.said.String())
	}
	return time.Since(began)
}

// state is what it says about itself.
func (p *program) state() (s State, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	text, err := p.get(ctx, "/v1/state")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}

func (p *program) get(ctx context.Context, path string) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return nil, err
	}
	q.Close = true
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil || r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s %.200s %w", path, r.Status, text, err)
	}
	return text, nil
}

// until waits until it says of itself what holds.
func (p *program) until(what string, holds func(State) bool) State {
	p.t.Helper()
	for deadline := time.Now().Add(longest); ; time.Sleep(10 * time.Millisecond) {
		s, err := p.state()
		if err == nil && holds(s) {
			return s
		}
		select {
		case <-p.ended:
			p.t.Fatalf("it ended with %v, waiting for %s:\n%s", p.err, what, p.said.String())
		default:
		}
		if time.Now().After(deadline) {
			p.kill()
			text, _ := json.Marshal(s)
			p.t.Fatalf("not in %s: %s: %v %s\n%s", longest, what, err, text, p.said.String())
		}
	}
}

// freePort is a port of the loopback which nobody uses.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// A hook is a receiver of signed messages which keeps each once.
type hook struct {
	t      *testing.T
	server *httptest.Server
	secret string // path of its file

	mu      sync.Mutex
	rnd     *rand.Rand               // guarded by mu; answers are lost by it, none if nil
	bodies  map[string]string        // guarded by mu; by ID
	said    map[string][]alert.Alert // guarded by mu; by key, in the order in which they came
	repeats int                      // guarded by mu
}

const hookSecret = "thirty-two bytes that nobody has"

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{t: t, secret: filepath.Join(t.TempDir(), "secret"), bodies: map[string]string{}, said: map[string][]alert.Alert{}}
	if err := os.WriteFile(h.secret, []byte(whsec()), 0o600); err != nil {
		t.Fatal(err)
	}
	h.server = httptest.NewServer(h)
	t.Cleanup(h.server.Close)
	return h
}

func whsec() string { return "whsec_" + base64.StdEncoding.EncodeToString([]byte(hookSecret)) }

// ServeHTTP takes a message.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // who sent it is dead
	}
	if err := sink.Verify(r.Header, body, []string{whsec()}, time.Now()); err != nil {
		h.t.Errorf("a message that is not signed: %v", err)
		return
	}
	var a alert.Alert
	if err := json.Unmarshal(body, &a); err != nil {
		h.t.Errorf("%v: %.200s", err, body)
		return
	}
	id := r.Header.Get("Webhook-Id")
	h.mu.Lock()
	defer h.mu.Unlock()
	if was, known := h.bodies[id]; known {
		h.repeats++
		if was != string(body) {
			h.t.Errorf("two messages are called %s:\n%s\n%s", id, was, body)
		}
	} else {
		h.bodies[id] = string(body)
		h.said[a.Key] = append(h.said[a.Key], a)
	}
	if h.rnd != nil && h.rnd.IntN(8) == 0 {
		w.WriteHeader(http.StatusInternalServerError) // it was taken all the same
	}
}

// A heist is a chain on which stolen money hops.
type heist struct {
	url   string
	chain flow.Chain
	theft string                           // the text of a theft file
	open  func()                           // makes the theft
	step  func(rnd *rand.Rand, quiet bool) // goes on, now and then on another branch; quietly only forward, without hops
	truth func() (hops map[flow.Hash]bool) // those that are on the branch that won
	head  func() (height uint64, hash string)
}

// invented is a heist on an invented Ethereum.
func invented(t *testing.T) *heist {
	t.Helper()
	node, err := evmnode.Start(t.TempDir(), 12)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	c := evmnode.NewChain(evmnode.Shape{Seed: 5, Txs: 4})
	var branch []*evmnode.Block
	show := func(all ...*evmnode.Block) {
		for _, b := range all {
			if err := node.Hold(b); err != nil {
				t.Fatal(err)
			}
			branch = append(branch[:b.Point.Height:b.Point.Height], b)
		}
		if _, err := node.Push(branch[len(branch)-1].Point.Height); err != nil {
			t.Fatal(err)
		}
	}
	h := &heist{url: node.URL(), chain: flow.Ethereum}
	h.theft = fmt.Sprintf(`{"name": "the heist", "sources": [{"account": %q, "asset": "native", "amount": %q, "from_block": "1"}]}`, c.Thief(0), evmnode.Loot)
	h.open = func() { show(c.Begin()...) }
	least := 3
	h.step = func(rnd *rand.Rand, quiet bool) {
		next := func() *evmnode.Block {
			if !quiet && rnd.IntN(3) > 0 {
				return c.Next(0)
			}
			return c.Next()
		}
		if depth := 1 + rnd.IntN(4); !quiet && rnd.IntN(6) == 0 && len(branch) > least+depth {
			c.Back(depth, rnd.IntN(2) == 0)
			var all []*evmnode.Block
			for range depth + 1 {
				all = append(all, next())
			}
			show(all...)
			return
		}
		show(next())
	}
	h.truth = func() map[flow.Hash]bool {
		all := map[flow.Hash]bool{}
		for _, b := range branch {
			for _, hop := range b.Hops {
				all[hop.Tx] = true
			}
		}
		return all
	}
	h.head = func() (uint64, string) {
		p := branch[len(branch)-1].Point
		return p.Height, p.Hash.String()
	}
	return h
}

// anvilled is a heist on a real anvil.
func anvilled(t *testing.T) *heist {
	t.Helper()
	e := nodes.Anvil(t)
	const cent = 10_000_000_000_000_000 // wei, of ether
	victim, thief := e.Accounts[1], e.Accounts[2]
	h := &heist{url: e.URL, chain: flow.EVMChain(31337)}
	h.theft = fmt.Sprintf(`{"name": "the heist", "transactions": [%q]}`, e.Send(victim, thief, 1000*cent))
	least := e.Height()
	h.open = func() { e.Mine(1) }
	n := 0
	fresh := func() string {
		n++
		return fmt.Sprintf("0x%040x", 0xabcdef_0000+n)
	}
	h.step = func(rnd *rand.Rand, quiet bool) {
		switch depth := 1 + rnd.IntN(4); {
		case quiet || rnd.IntN(4) == 0:
			e.Mine(1)
		case rnd.IntN(6) == 0 && e.Height() > least+1+uint64(depth):
			var again []nodes.Payment
			for range rnd.IntN(3) {
				again = append(again, nodes.Payment{From: thief, To: fresh(), Wei: cent})
			}
			e.Reorg(depth, again...)
		default:
			e.Send(thief, fresh(), cent)
		}
	}
	type block struct {
		Hash         string
		Transactions []struct{ Hash, From string }
	}
	at := func(height uint64) (b block) {
		if err := e.Call(t.Context(), "eth_getBlockByNumber", []any{"0x" + strconv.FormatUint(height, 16), true}, &b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	h.truth = func() map[flow.Hash]bool {
		all := map[flow.Hash]bool{}
		for height := range e.Height() + 1 {
			for _, tx := range at(height).Transactions {
				if strings.EqualFold(tx.From, thief) {
					id, err := flow.ParseHash(tx.Hash)
					if err != nil {
						t.Fatal(err)
					}
					all[id] = true
				}
			}
		}
		return all
	}
	h.head = func() (uint64, string) {
		height := e.Height()
		return height, strings.TrimPrefix(at(height).Hash, "0x")
	}
	return h
}

// configure writes a configuration that follows a heist; to is nil where nobody is to be told.
func (h *heist) configure(t *testing.T, dir string, to *hook, disk string) (path string) {
	t.Helper()
	text := fmt.Sprintf("store: store\ndisk: %s\nchains:\n  - {chain: %q, from: \"0\", finality: confirmations, confirmations: 12, poll: 50ms, nodes: [{url: %q, private: true}]}\n",
		disk, h.chain, h.url)
	if to != nil {
		text += fmt.Sprintf("cases: [{theft: heist.json}]\nalerts:\n  margin: 1\n  sinks: [{name: hook, webhook: {url: %q, secret_file: %q, private: true}}]\n  routes: [{sinks: [hook], wait: 0s}]\n",
			to.server.URL, to.secret)
	}
	path = filepath.Join(dir, "spoor.yaml")
	err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "heist.json"), []byte(h.theft), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// isAtRest reports whether everything was eaten and told.
func (h *heist) isAtRest(height uint64, hash string) func(State) bool {
	return func(s State) bool {
		if len(s.Chains) == 0 || s.Chains[0].Tip.Height != height || s.Chains[0].Tip.Hash.String() != hash {
			return false
		}
		for _, k := range s.Outbox.Sinks {
			if k.Queued > 0 || k.Dead > 0 {
				return false
			}
		}
		return s.Outbox.Doubtful == 0
	}
}

// finish lets everything come to rest, and holds what the store has and what was told against the chain. It returns how
// many hops there are.
func (h *heist) finish(t *testing.T, p *program, dir string, to *hook) (hops int) {
	t.Helper()
	height, hash := h.head()
	p.until("everything eaten and told", h.isAtRest(height, hash))
	p.stop()
	clean := t.TempDir()
	q := startProgram(t, p.path, h.configure(t, clean, nil, "{low: 1, ballast: 0}"), freePort(t))
	q.until("a fresh sync", h.isAtRest(height, hash))
	q.stop()
	if d := storetest.Difference(dumpIn(t, filepath.Join(dir, "store")), dumpIn(t, filepath.Join(clean, "store"))); d != "" {
		t.Errorf("the store is another than a fresh one: %s", d)
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	truth := h.truth()
	moves := map[flow.Hash]int{} // that stand
	for key, said := range to.said {
		for i, a := range said {
			if a.Serial != i || i > 0 && !follows(said[i-1], a) {
				t.Errorf("%s: message %d is %s, %s", key, i, a.ID(), a.Kind)
			}
		}
		last := said[len(said)-1]
		if said[0].Kind == alert.State || last.Tx.IsZero() {
			continue
		}
		if last.Kind != alert.Correction {
			if !truth[last.Tx] {
				t.Errorf("%s was not corrected, and its transaction is not on the chain", key)
			}
			if last.Finding != nil && last.Finding.Rule == "live-move" {
				moves[last.Tx]++
			}
		}
	}
	for tx := range truth {
		if moves[tx] != 1 {
			t.Errorf("hop %s is told %d times; want once", tx, moves[tx])
		}
	}
	corrected := 0
	for _, said := range to.said {
		if slices.ContainsFunc(said, func(a alert.Alert) bool { return a.Kind == alert.Correction }) {
			corrected++
		}
	}
	t.Logf("%d hops on %d blocks, %d alerts, %d of them corrected, %d messages came twice", len(truth), height, len(to.said), corrected, to.repeats)
	return len(truth)
}

// dumpIn is all that the store of a folder holds.
func dumpIn(t *testing.T, dir string) string {
	t.Helper()
	st, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := dumpOf(t, st)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return text
}

// SPOOR_KILLS is how often each is killed instead of the usual number.
func TestKilled(t *testing.T) {
	path := build(t)
	for name, c := range map[string]struct {
		heist func(*testing.T) *heist
		kills int
	}{"invented": {invented, 30}, "anvil": {anvilled, 20}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := c.heist(t)
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			rnd := rand.New(rand.NewPCG(seed, 1))
			if n, err := strconv.Atoi(os.Getenv("SPOOR_KILLS")); err == nil {
				c.kills = n
			}
			to, dir, port := newHook(t), t.TempDir(), freePort(t)
			to.rnd = rand.New(rand.NewPCG(seed, 2))
			config := h.configure(t, dir, to, "{low: 1, ballast: 0}")
			h.open()
			p := startProgram(t, path, config, port)
			p.until("the case is open", func(s State) bool { return len(s.Cases) == 1 && s.Cases[0].Open })
			following := 0
			for range c.kills {
				if rnd.IntN(3) > 0 { // in the middle of its work, not while it begins
					p.until("it follows", func(s State) bool { return s.Chains[0].Running && s.Chains[0].Tip.Height > 0 })
					following++
				}
				for end := time.Now().Add(time.Duration(rnd.IntN(300)) * time.Millisecond); time.Now().Before(end); {
					h.step(rnd, false)
					time.Sleep(time.Duration(rnd.IntN(60)) * time.Millisecond)
				}
				p.kill()
				if p.err == nil || !strings.Contains(p.err.Error(), "killed") {
					t.Fatalf("it ended by itself: %v\n%s", p.err, p.said.String())
				}
				h.step(rnd, false)
				p = startProgram(t, path, config, port)
			}
			for range 4 {
				h.step(rnd, true)
			}
			to.mu.Lock()
			to.rnd = nil
			to.mu.Unlock()
			t.Logf("killed %d times, %d of them while it followed", c.kills, following)
			if hops := h.finish(t, p, dir, to); hops < c.kills/2 {
				t.Errorf("only %d hops: the test tests nothing", hops)
			}
		})
	}
}
