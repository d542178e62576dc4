package engine

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/cluster"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/memstore"
)

// walletChain: hot and cold sign together; a CoinJoin of five strangers; hot and thief sign together later.
const walletChain = `
chain regtest
block 1 b1 time=1700000000
a1: - -> hot 5000
a2: - -> cold 7000
a3: - -> thief 9000
s1: - -> p1 150000
s2: - -> p2 150000
s3: - -> p3 150000
s4: - -> p4 150000
s5: - -> p5 150000
block 2 b2 time=1700000100
t1: a1:0, a2:0 -> shop 12000
block 3 b3 time=1700000200
mix: s1:0, s2:0, s3:0, s4:0, s5:0 -> m1 100000, m2 100000, m3 100000, m4 100000, m5 100000, c1 49000, c2 49001, c3 49002, c4 49003, c5 49004
block 4 b4 time=1700000300
c1: - -> hot 3000
t2: a3:0, c1:0 -> other 12000
`

func buildClusters(t *testing.T, c *Clusters, st store.Store, config ClusterConfig) ClusterStats {
	t.Helper()
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if config.Now == nil {
		config.Now = func() time.Time { return time.Unix(screenNow, 0) }
	}
	stats, err := c.Build(t.Context(), s, config)
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// named is the account that a word stands for on the chain of a story.
func named(t *testing.T, chain, word string) flow.Account {
	t.Helper()
	st := memstore.New()
	defer st.Close()
	if chain == "regtest" {
		addBlocks(t, st, "chain regtest\nblock 1 aa\nx: - -> "+word+" 1\n")
	} else {
		addBlocks(t, st, "chain "+chain+"\nblock 1 aa\n- "+word+" native 1\n")
	}
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b, err := s.Block(t.Context(), s.Chains()[0], 1)
	if err != nil {
		t.Fatal(err)
	}
	return b.Txs[0].Movements[0].Out[0].Account
}

func TestClustersOfBitcoin(t *testing.T) {
	st := storyStore(t, walletChain)
	c := NewClusters()
	stats := buildClusters(t, c, st, ClusterConfig{})
	if stats.Blocks != 4 || stats.Added != 2 || stats.Clusters != 1 || stats.Withheld != 1 {
		t.Errorf("%+v", stats)
	}
	hot, cold, thief := named(t, "regtest", "hot"), named(t, "regtest", "cold"), named(t, "regtest", "thief")
	if !c.Forest.Same(cold, thief) || c.Forest.Same(named(t, "regtest", "p1"), named(t, "regtest", "p2")) {
		t.Error("who signed together is apart, or strangers of a CoinJoin are together")
	}
	if p, ok := c.Forest.Explain(cold, thief); !ok || len(p.Evidence) != 2 || p.Weakest != 90 || p.Evidence[0].A != hot && p.Evidence[0].B != hot {
		t.Errorf("%+v, %v", p, ok)
	}
}

func TestVerdictThroughACluster(t *testing.T) {
	st := storyStore(t, walletChain)
	c := NewClusters()
	buildClusters(t, c, st, ClusterConfig{})
	cold, thief := named(t, "regtest", "cold"), named(t, "regtest", "thief")
	label := listed(thief, "Thief", attribute.Sanction)
	config := ScreenConfig{Store: st, Clusters: c, Now: func() time.Time { return time.Unix(screenNow, 0) }}
	s := NewScreener(config, book(t, label))
	ask := func(a flow.Account, asOf, knownAt int64) screen.Verdict {
		t.Helper()
		v, err := s.Screen(t.Context(), screen.Question{Account: a, AsOf: asOf, KnownAt: knownAt, Direct: true})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	v := ask(cold, 0, 0)
	if r, ok := reasonOf(v, "severe-cluster"); !ok || v.Decision != screen.Hold || r.Via != thief || r.Confidence != 60 || len(v.Cluster.Ties) != 1 ||
		len(v.Cluster.Ties[0].Links) != 2 || v.Cluster.Size != 3 {
		t.Errorf("%s %+v, %+v", v.Decision, v.Reasons, v.Cluster)
	}
	if v := ask(thief, 0, 0); v.Decision != screen.Block || v.Reasons[0].Rule != "severe-itself" {
		t.Errorf("%s %+v", v.Decision, v.Reasons)
	}
	// Before block 4 nothing tied cold to the thief, though hot and cold were one.
	if v := ask(cold, 1700000299, screenNow); v.Decision != screen.Attention || v.Cluster == nil || v.Cluster.Size != 2 {
		t.Errorf("before the evidence: %s %+v", v.Decision, v.Cluster)
	}
	if v := ask(cold, 1700000300, screenNow); v.Decision != screen.Hold || v.Cluster.Size != 3 {
		t.Errorf("at the evidence: %s %+v", v.Decision, v.Cluster)
	}
	// Nobody knew of it before the clusters were built.
	if v := ask(cold, screenNow, screenNow-1); v.Decision != screen.Attention || v.Cluster != nil {
		t.Errorf("before it was known: %s %+v", v.Decision, v.Cluster)
	}
	s.SetClusters(nil)
	if v := ask(cold, 0, 0); v.Decision != screen.Attention || v.Cluster != nil || !v.ClusterHash.IsZero() {
		t.Errorf("without clusters: %s %+v", v.Decision, v.Cluster)
	}
}

func TestCustomersOfAServiceAreNotEachOther(t *testing.T) {
	st := storyStore(t, walletChain)
	c := NewClusters()
	hot, cold, thief := named(t, "regtest", "hot"), named(t, "regtest", "cold"), named(t, "regtest", "thief")
	labels := book(t, listed(hot, "Big Exchange 4", attribute.Exchange), listed(thief, "Thief", attribute.Hack))
	buildClusters(t, c, st, ClusterConfig{Labels: labels})
	if c.Forest.Service(cold) != "big exchange" {
		t.Errorf("service %q", c.Forest.Service(cold))
	}
	s := NewScreener(ScreenConfig{Store: st, Clusters: c, Now: func() time.Time { return time.Unix(screenNow, 0) }}, labels)
	v, err := s.Screen(t.Context(), screen.Question{Account: cold, Direct: true})
	if err != nil || v.Decision != screen.Attention || v.Cluster.Withheld != 1 || len(v.Cluster.Ties) != 1 || v.Cluster.Ties[0].Account != hot {
		t.Errorf("%s %+v, %v", v.Decision, v.Cluster, err)
	}
}

// depositChain: user and friend pay a deposit account of the exchange, which passes it on; a stranger pays the exchange itself.
const depositChain = `
chain eip155:1
block 1 aa time=1700000000
tx u1
user - native 10 fee
user box native 1000000000000000000
tx -
block 2 bb time=1700000100
tx f1
box - native 10 fee
box exchange native 1000000000000000000
tx -
block 3 cc time=1700000200
stranger exchange native 5
tx u2
user - native 10 fee
user contract native 7
tx -
block 4 dd time=1700000300
tx k1
robot - native 10 fee
contract exchange native 7 internal
tx -
`

func TestClustersOfDeposits(t *testing.T) {
	st := storyStore(t, depositChain)
	exchange, user, box := who(t, st, "exchange"), who(t, st, "user"), who(t, st, "box")
	labels := book(t, listed(exchange, "Exchange", attribute.Exchange))
	c := NewClusters()
	if stats := buildClusters(t, c, st, ClusterConfig{Labels: labels}); stats.Added != 1 || !c.Forest.Same(user, box) {
		t.Errorf("%+v", stats)
	}
	e, _, err := c.Forest.Evidence(1)
	if err != nil || e.Heuristic != cluster.DepositReuse || e.At.Height != 2 {
		t.Errorf("%+v, %v", e, err)
	}
	if c.Forest.Size(who(t, st, "contract")) != 1 {
		t.Error("a contract was taken for a deposit account")
	}
	// Who passes on to a mixer is its user.
	m := NewClusters()
	if stats := buildClusters(t, m, st, ClusterConfig{Labels: book(t, listed(exchange, "Mixer", attribute.Mixing))}); stats.Added != 0 {
		t.Errorf("a payment to a mixer is a deposit: %+v", stats)
	}
}

func TestClustersOfOneKey(t *testing.T) {
	st := storyStore(t, "chain eip155:1\nblock 1 aa time=1700000000\nalice bob native 5\n")
	addBlocks(t, st, "chain eip155:137\nblock 9 zz time=1700000500\nalice carol native 5\ncarol bob native 5\n")
	c := NewClusters()
	stats := buildClusters(t, c, st, ClusterConfig{})
	alice := named(t, "eip155:1", "alice")
	there, err := alice.On(named(t, "eip155:137", "alice").Chain())
	if err != nil {
		t.Fatal(err)
	}
	if stats.Added != 1 || !c.Forest.Same(alice, there) {
		t.Errorf("%+v", stats)
	}
	if e, _, err := c.Forest.Evidence(1); err != nil || e.B != there || e.At.Height != 9 || e.Confidence != 95 {
		t.Errorf("%+v, %v: it holds from the later signature on", e, err)
	}
	if again := buildClusters(t, c, st, ClusterConfig{}); again.Added != 0 || again.Blocks != 0 {
		t.Errorf("built again: %+v", again)
	}
}

// until is a story without its blocks from one on.
func until(chain, block string) string { return chain[:strings.Index(chain, "block "+block)] }

func TestBuildGoesOnWhereItStopped(t *testing.T) {
	for name, story := range map[string]struct{ chain, at string }{"bitcoin": {walletChain, "4"}, "deposits": {depositChain, "2"}} {
		st := storyStore(t, story.chain)
		labels := book(t, listed(named(t, "eip155:1", "exchange"), "Exchange", attribute.Exchange))
		whole := NewClusters()
		buildClusters(t, whole, st, ClusterConfig{Labels: labels})
		var want bytes.Buffer
		if err := whole.writeTo(&want); err != nil {
			t.Fatal(err)
		}
		half := storyStore(t, until(story.chain, story.at))
		parts := NewClusters()
		buildClusters(t, parts, half, ClusterConfig{Labels: labels})
		path := filepath.Join(t.TempDir(), "clusters")
		if err := parts.Write(path); err != nil {
			t.Fatal(err)
		}
		back, err := ReadClusters(path)
		if err != nil || back.Hash() != parts.Hash() {
			t.Fatalf("%v, %s and %s", err, back.Hash(), parts.Hash())
		}
		buildClusters(t, back, st, ClusterConfig{Labels: labels})
		var got bytes.Buffer
		if err := back.writeTo(&got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) || back.Hash() != whole.Hash() {
			t.Errorf("%s: a build in two parts differs from one in one", name)
		}
	}
}

func TestBuildStopsAtABlock(t *testing.T) {
	st := storyStore(t, walletChain)
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := NewClusters()
	ctx, stop := context.WithCancel(t.Context())
	saved := 0
	_, err = c.Build(ctx, s, ClusterConfig{Save: func() error { saved++; return nil }, Progress: func(_ flow.Chain, done, total uint64, _ int) {
		if done == 2 {
			stop()
		}
	}})
	if !errors.Is(err, context.Canceled) || saved != 1 || len(c.Places()) != 1 || c.Places()[0].Height != 2 {
		t.Errorf("%v, saved %d times at %+v", err, saved, c.Places())
	}
	if stats := buildClusters(t, c, st, ClusterConfig{}); stats.Blocks != 2 {
		t.Errorf("it went on with %+v", stats)
	}
}

func TestBuildTakesAForkBack(t *testing.T) {
	st := storyStore(t, walletChain)
	c := NewClusters()
	buildClusters(t, c, st, ClusterConfig{})
	cold, thief := named(t, "regtest", "cold"), named(t, "regtest", "thief")
	// The winning branch has no transaction of hot and thief.
	won := storyStore(t, until(walletChain, "4")+"block 4 b4b time=1700000301\nd1: - -> nobody 5\n")
	stats := buildClusters(t, c, won, ClusterConfig{})
	if stats.Withdrawn != 1 || stats.Blocks != 1 || c.Forest.Same(cold, thief) || !c.Forest.Same(cold, named(t, "regtest", "hot")) {
		t.Errorf("%+v", stats)
	}
	s, err := storyStore(t, "chain regtest\nblock 4 other\nd1: - -> nobody 5\n").Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := c.Build(t.Context(), s, ClusterConfig{}); !errors.Is(err, ErrClusterFork) {
		t.Errorf("a chain of which nothing is remembered: %v; want %v", err, ErrClusterFork)
	}
}

func TestWithdrawnByAPersonStaysWithdrawn(t *testing.T) {
	st := storyStore(t, walletChain)
	c := NewClusters()
	buildClusters(t, c, st, ClusterConfig{})
	if err := c.Withdraw(screenNow, "", 2); err == nil {
		t.Error("without a reason")
	}
	if err := c.Withdraw(screenNow, "the thief paid for hot", 2); err != nil {
		t.Fatal(err)
	}
	anew := c.Anew()
	buildClusters(t, anew, st, ClusterConfig{})
	if w, ok := anew.Forest.Withdrawn(2); !ok || w.Reason != "the thief paid for hot" || anew.Forest.Same(named(t, "regtest", "cold"), named(t, "regtest", "thief")) {
		t.Errorf("%+v, %v", w, ok)
	}
}

func FuzzParseClusters(f *testing.F) {
	var empty bytes.Buffer
	if err := NewClusters().writeTo(&empty); err != nil {
		f.Fatal(err)
	}
	f.Add(empty.Bytes())
	f.Add([]byte(clusterMark + "[]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseClusters(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrClusters) && !errors.Is(err, cluster.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		var again bytes.Buffer
		if err := c.writeTo(&again); err != nil {
			t.Fatal(err)
		}
	})
}
