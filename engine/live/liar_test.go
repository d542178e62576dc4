package live_test

import (
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/engine/live"
	"github.com/spoor-dev/spoor/internal/nodes"
	"github.com/spoor-dev/spoor/internal/nodes/liar"
	"github.com/spoor-dev/spoor/source/follow"
	"github.com/spoor-dev/spoor/store/storetest"
)

// A subject is a chain that nodes lie about.
type subject struct {
	url     string
	head    func() string
	height  func() uint64
	advance func() // one block with everything in it that can be lied about
	config  func(from uint64, keys string, nodes ...string) string
	node    func(url, ws, keys string) string
}

func subjectEVM(t *testing.T, e *nodes.EVM, id uint64) subject {
	c := newEVM(t, e, id, "a", "b")
	token := c.Deploy(c.Accounts[0], nodes.Crier())
	s := subject{url: c.URL, head: c.head, height: c.Height, config: c.config, node: c.node}
	s.advance = func() { c.token(token, "a", "b", big.NewInt(5)) }
	for range 3 {
		s.advance()
	}
	return s
}

func subjectBtcd(t *testing.T) subject {
	c := btcChain{nodes.Btcd(t), t}
	c.Generate(nodes.Maturity + 10)
	c.move(nodes.Miner, "a", 40*btc)
	return subject{url: c.URL, head: c.head, height: c.Height, config: c.config, node: c.node, advance: func() { c.move("a", "b", btc/10) }}
}

// later is the address of a proxy for a node that takes its time, so that another node beside it is asked first.
func later(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	pass := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(15 * time.Millisecond)
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	return server.URL
}

func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic("test: " + err.Error())
	}
	return u.Host
}

// statusOf is how a node stands.
func (r *rig) statusOf(address string) follow.NodeStatus {
	r.t.Helper()
	for _, n := range r.state().Chains[0].Nodes.Nodes {
		if n.Name == host(address) {
			return n
		}
	}
	r.t.Fatalf("no node is called %s", host(address))
	return follow.NodeStatus{}
}

// catches waits until a node that lies or fails was found out, and checks that people were told.
func (r *rig) catches(address string) {
	r.t.Helper()
	r.until("what is wrong with "+host(address), func() bool {
		n := r.statusOf(address)
		return n.Lies > 0 || n.State == follow.Stale || n.Errors > 0 && n.Error != ""
	})
	if n := r.statusOf(address); n.Lies == 0 {
		return
	}
	r.until("a message that names "+host(address), func() bool {
		return len(r.hook.all(func(m told) bool {
			return m.Kind == alert.State && strings.Contains(m.Title, host(address)) && strings.Contains(m.Title, "gave what cannot be") && m.Text != ""
		})) > 0
	})
}

// isWell waits until all is well again.
func (r *rig) isWell() {
	r.t.Helper()
	r.until("all well", func() bool {
		s := r.state()
		return s.Health == live.Well && !slices.ContainsFunc(s.Chains[0].Nodes.Nodes, func(n follow.NodeStatus) bool { return n.State != follow.Well })
	})
}

// In every way to lie, a node is found out. Alone it stops the chain until it is honest again; beside an honest one it
// does not. Nothing that is wrong is stored.
func lieInEveryWay(t *testing.T, s subject) {
	const keys = ", timeout: 1s, max_answer: 4MiB"
	from := s.height()
	for _, mode := range liar.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			lone, one := liar.New(t, s.url, ""), liar.New(t, s.url, "")
			quick := follow.Config{Bench: 60 * time.Millisecond, Patience: 200 * time.Millisecond, Slow: 300 * time.Millisecond}
			alone := newRig(t, setup{chains: s.config(from, "", s.node(lone.URL, "", keys))})
			honest := later(t, s.url)
			beside := newRig(t, setup{chains: s.config(from, "", s.node(one.URL, "", keys), s.node(honest, "", keys))})
			alone.inMemory, beside.inMemory = true, true
			alone.options.Follow, beside.options.Follow = quick, quick
			set := func(m liar.Mode) { lone.Set(m); one.Set(m) }
			if mode == liar.WrongChain { // a node is asked for its chain when it is first met
				set(mode)
			}
			alone.start()
			beside.start()
			beside.at(s.head)
			if mode != liar.WrongChain {
				alone.at(s.head)
			}
			was := alone.state().Chains[0].Tip
			set(mode)
			s.advance()
			beside.at(s.head)
			for n := 0; one.Lies() == 0 && n < 10; n++ { // until it was asked for something that it can lie about
				s.advance()
				beside.at(s.head)
			}
			if one.Lies() > 0 {
				beside.catches(one.URL)
			}
			switch {
			case mode == liar.StaleHead: // one that stands still looks like a chain that does
			case lone.Lies() == 0 && one.Lies() == 0:
				alone.at(s.head)
			default:
				alone.catches(lone.URL)
				alone.until("doubts about its health", func() bool { return alone.state().Health != live.Well })
				if now := alone.state().Chains[0].Tip; now != was {
					t.Errorf("alone it went on from %s to %s", was, now)
				}
			}
			set(liar.Honest)
			s.advance()
			for _, r := range []*rig{alone, beside} {
				r.at(s.head)
				r.isWell()
				if c := r.state().Chains[0]; c.HoleBlocks > 0 || c.Undone > 0 {
					t.Errorf("%d blocks are missing, %d were undone", c.HoleBlocks, c.Undone)
				}
			}
			want, _ := alone.fresh(s.config(from, "", s.node(s.url, "", "")), s.head)
			for who, r := range map[string]*rig{"alone": alone, "beside": beside} {
				r.at(s.head)
				if got := dump(t, r.st); got != want {
					t.Errorf("%s: %s", who, storetest.Difference(got, want))
				}
			}
			t.Logf("%d and %d lies", lone.Lies(), one.Lies())
		})
	}
}

func TestLies(t *testing.T) {
	leaveNothing(t)
	for name, start := range map[string]func(*testing.T) subject{
		"anvil": func(t *testing.T) subject { return subjectEVM(t, nodes.Anvil(t), 31337) },
		"geth":  func(t *testing.T) subject { return subjectEVM(t, nodes.Geth(t), 1337) },
		"btcd":  subjectBtcd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lieInEveryWay(t, start(t))
		})
	}
}
