package api

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

const (
	ofacAddress  = "0x1da5821544e25c636c1417ba96ade4cf6d2f9b5a" // Secondeye Solution, OFAC SDN 2021-04-15
	plainAddress = "0x1111111111111111111111111111111111111111"
	mixedAddress = "0x2222222222222222222222222222222222222222"
	knownAddress = "0x3333333333333333333333333333333333333333"
	blindAddress = "0x4444444444444444444444444444444444444444"
	slowAddress  = "0x5555555555555555555555555555555555555555"
	panicAddress = "0x6666666666666666666666666666666666666666"
	noneAddress  = "0x7777777777777777777777777777777777777777"
	txHash       = "00000000000000000000000000000000000000000000000000000000000000aa"

	testNow  = 1_750_000_000 // 2025-06-15T15:06:40Z
	listDate = testNow - 3600
)

// A fake answers from a few addresses and keeps what it was asked.
type fake struct {
	asked  atomic.Int64
	last   atomic.Pointer[screen.Question]
	status atomic.Pointer[Status]

	mu   sync.Mutex
	kept [][]screen.Verdict // guarded by mu; what was kept together
	full atomic.Bool        // nothing can be kept
}

func newFake() *fake {
	f := &fake{}
	f.status.Store(&Status{Labels: LabelStatus{Count: 7, Newest: listDate},
		Chains: []ChainStatus{{flow.Ethereum, flow.Point{Chain: flow.Ethereum, Height: 19_000_000, Time: listDate}}}})
	return f
}

func (f *fake) Answer(ctx context.Context, q screen.Question) (screen.Verdict, error) {
	f.asked.Add(1)
	f.last.Store(&q)
	v := screen.Verdict{Subject: q.Account, Decision: screen.Allow, Reasons: []screen.Reason{}, Labels: []attribute.Label{}, Exposure: []screen.Exposure{},
		Covered: []screen.Covered{}, DoesNotKnow: []string{}, Direction: q.Direction, Asset: q.Asset, Amount: q.Amount, Counterparties: q.Counterparties,
		Direct: q.Direct, AsOf: q.AsOf, KnownAt: q.KnownAt, ListAge: testNow - listDate, PolicyID: "test/1", LabelCount: 7, Version: "test"}
	label := func(name, actor string, c attribute.Category) {
		v.Labels = append(v.Labels, attribute.Label{Subject: attribute.OfAnyEVM(q.Account), Name: name, Actor: actor, Category: c, Confidence: attribute.AuthorityData,
			Source: attribute.Source{ID: "ofac-sdn", Date: 1618444800}, Evidence: "https://home.treasury.gov/news/press-releases/jy0126", Seen: 1618500000})
	}
	switch strings.ToLower(q.Account.Address()) {
	case ofacAddress:
		label("Secondeye Solution", "Secondeye Solution", attribute.Sanction)
		v.Decision = screen.Block
		v.Reasons = append(v.Reasons, screen.Reason{Rule: "severe-itself", Decision: screen.Block, Sentence: "sanctioned by OFAC", Category: "sanction", Direct: true,
			Entity: "Secondeye Solution", Source: "ofac-sdn", Confidence: 60})
	case mixedAddress:
		label("hot wallet", "Some Exchange", attribute.Exchange)
		v.Decision = screen.Hold
		x := screen.Exposure{Category: "mixing_service", Direction: screen.In, Direct: false, Value: flow.NewAmount(5), Share: 123_456_789, Hops: 3}
		v.Exposure = append(v.Exposure, x, screen.Exposure{Category: "gambling", Direction: screen.Out, Direct: true, Value: flow.NewAmount(1), Share: 1, Hops: 1})
		v.Reasons = append(v.Reasons, screen.Reason{Rule: "mixer-indirect", Decision: screen.Hold, Sentence: "12.3 % came from a mixer", Category: "mixing_service",
			Hops: 3, Direction: screen.In, Share: 123_456_789, Entity: "Some Mixer", Confidence: 50})
	case knownAddress:
		label("deposit", "Some Exchange", attribute.Exchange)
		v.Reasons = append(v.Reasons, screen.Reason{Rule: "nothing", Decision: screen.Allow, Sentence: "nothing against it", Direct: true})
	case blindAddress:
		return screen.Verdict{}, errors.New("disk gone: " + screen.ErrBlind.Error())
	case slowAddress:
		<-ctx.Done()
		return screen.Verdict{}, ctx.Err()
	case panicAddress:
		panic("our own mistake")
	case noneAddress:
		v.Decision = 0
	default:
		v.Unknown, v.Decision = true, screen.Attention
		v.Reasons = append(v.Reasons, screen.Reason{Rule: "unknown", Decision: screen.Attention, Sentence: "nobody says who it is", Direct: true})
	}
	return v, nil
}

func (f *fake) Keep(_ context.Context, all ...screen.Verdict) error {
	if f.full.Load() {
		return errors.New("disk full")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = append(f.kept, slices.Clone(all))
	return nil
}

func (f *fake) Status(context.Context) Status { return *f.status.Load() }

func (f *fake) Tx(_ context.Context, c flow.Chain, id flow.Hash) (flow.Tx, error) {
	if c != flow.Ethereum || id.String() != txHash {
		return flow.Tx{}, ErrNoTx
	}
	a, err := flow.ParseAccount(knownAddress)
	if err != nil {
		return flow.Tx{}, err
	}
	b, err := flow.ParseAccount(ofacAddress)
	if err != nil {
		return flow.Tx{}, err
	}
	asset, err := flow.ParseAssetOn(c, "native")
	if err != nil {
		return flow.Tx{}, err
	}
	return flow.Tx{ID: id, Movements: []flow.Movement{flow.In1Out1(flow.Transfer, asset, 0, a, b, flow.NewAmount(5))}}, nil
}

func testConfig() Config {
	return Config{Version: "test", Now: func() time.Time { return time.Unix(testNow, 0) }, Timeout: 50 * time.Millisecond}
}

// do sends one request to a server, without a network.
func do(s http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body == "" {
		r.Body = io.NopCloser(strings.NewReader(""))
	}
	r.RemoteAddr = "127.0.0.1:1234"
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { // an answer may break off
				panic(p)
			}
		}()
		s.ServeHTTP(w, r)
	}()
	return w
}

func newTestServer(t testing.TB, change func(*Config)) (*Server, *fake) {
	t.Helper()
	c := testConfig()
	if change != nil {
		change(&c)
	}
	f := newFake()
	return New(f, f, c), f
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
