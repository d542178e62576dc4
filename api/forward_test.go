package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

// TestForwardUnderstandsEveryDialect asks a server of ours in the place of the vendor, on every wire: what one says the
// other must understand.
func TestForwardUnderstandsEveryDialect(t *testing.T) {
	keys, secret := testKeys(t, "me")
	vendor, _ := newTestServer(t, func(c *Config) { c.Keys = keys })
	hs := httptest.NewServer(vendor)
	defer hs.Close()
	plain := ownScreener(screen.Allow)
	for _, dialect := range VendorDialects() {
		f, err := NewForward(plain, VendorConfig{Dialect: dialect, Base: hs.URL + "/prefix", Key: secret["me"], Private: true, Now: testConfig().Now})
		if err != nil {
			t.Fatal(err)
		}
		for address, want := range map[string]screen.Decision{ofacAddress: screen.Block, mixedAddress: screen.Hold, knownAddress: screen.Allow, plainAddress: screen.Attention, blindAddress: screen.Hold} {
			if dialect == "chainalysis-sanctions" && (address == mixedAddress || address == plainAddress) {
				want = screen.Allow // it knows sanctions alone
			}
			a, err := flow.ParseAccount(address)
			if err != nil {
				t.Fatal(err)
			}
			v, err := f.Answer(t.Context(), screen.Question{Account: a, AsOf: testNow})
			if err != nil || v.Decision != want || v.Check() != nil {
				t.Errorf("%s about %s: %s, %v, %v; want %s: %+v", dialect, address, v.Decision, err, v.Check(), want, v.Reasons)
			}
			if address == blindAddress && (!v.Partial || len(v.DoesNotKnow) == 0 || v.Reasons[0].Rule != screen.RuleVendor) {
				t.Errorf("%s: a vendor that failed is not reported: %+v", dialect, v)
			}
			if address == ofacAddress && dialect != "misttrack" && len(sanctions(&v)) == 0 {
				t.Errorf("%s: the vendor's sanction is not among the labels: %+v", dialect, v.Labels)
			}
		}
		f.Close()
	}
}

// ownScreener decides everything alike.
type ownScreener screen.Decision

func (s ownScreener) Answer(_ context.Context, q screen.Question) (screen.Verdict, error) {
	return screen.Verdict{Subject: q.Account, Decision: screen.Decision(s), AsOf: q.AsOf, KnownAt: q.KnownAt}, nil
}

func (s ownScreener) Keep(context.Context, ...screen.Verdict) error { return nil }

func TestForwardNeverFailsOpen(t *testing.T) {
	bodies := map[string]string{
		"empty": "", "null": "null", "object": "{}", "array": "[]", "success": `{"success":true}`, "none": `[{}]`, "risk": `{"risk":"Fine"}`,
		"list": `{"identifications":null}`, "level": `{"success":true,"data":{"risk_level":""}}`, "html": "<html>",
	}
	var body string
	status := http.StatusOK
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(body))
	}))
	defer hs.Close()
	a, err := flow.ParseAccount(knownAddress)
	if err != nil {
		t.Fatal(err)
	}
	q := screen.Question{Account: a, AsOf: testNow}
	config := VendorConfig{Base: hs.URL, Key: "hidden-key", Private: true, Now: testConfig().Now}
	for _, dialect := range VendorDialects() {
		config.Dialect = dialect
		f, err := NewForward(ownScreener(screen.Allow), config)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range bodies {
			for _, status = range []int{200, 201, 403, 500} {
				body = text
				v, err := f.Answer(t.Context(), q)
				if err != nil || v.Decision != screen.Hold {
					t.Errorf("%s, answer %s with status %d: %s, %v; want hold", dialect, name, status, v.Decision, err)
				}
				if strings.Contains(v.Reasons[0].Sentence, "hidden-key") {
					t.Errorf("the key stands in a reason: %s", v.Reasons[0].Sentence)
				}
			}
		}
		f.Close()
	}
	config.Private = false
	config.Base = strings.Replace(hs.URL, "http:", "https:", 1)
	f, err := NewForward(ownScreener(screen.Allow), config)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if v, err := f.Answer(t.Context(), q); err != nil || v.Decision != screen.Hold || !strings.Contains(v.Reasons[0].Sentence, "public") {
		t.Errorf("a vendor on this machine that is not allowed there: %s, %v, %+v", v.Decision, err, v.Reasons)
	}
	past, err := f.Answer(t.Context(), screen.Question{Account: a, AsOf: testNow - 1000})
	if err != nil || past.Decision != screen.Allow || len(past.DoesNotKnow) != 1 {
		t.Errorf("about the past: %+v, %v; the vendor is not asked, and that is said", past, err)
	}
}

func TestForwardGivesTheStricter(t *testing.T) {
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(`{"identifications":[]}`)) }))
	defer hs.Close()
	f, err := NewForward(ownScreener(screen.Block), VendorConfig{Dialect: "chainalysis-sanctions", Base: hs.URL, Private: true, Timeout: time.Second, Now: testConfig().Now})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := flow.ParseAccount(knownAddress)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := f.Answer(t.Context(), screen.Question{Account: a, AsOf: testNow}); err != nil || v.Decision != screen.Block {
		t.Errorf("a clean vendor made a block into %s, %v", v.Decision, err)
	}
}

func TestVendorsAreConfiguredStrictly(t *testing.T) {
	for _, c := range []VendorConfig{
		{Dialect: "elliptic", Base: "https://example.org"}, {Dialect: "trm", Base: "ftp://example.org"}, {Dialect: "trm", Base: "example.org"},
		{Dialect: "trm", Base: "http://example.org"}, {Dialect: "trm", Base: "https://user:pw@example.org"}, {Dialect: "trm", Base: "https://example.org?x=1"},
	} {
		if _, err := NewForward(ownScreener(screen.Allow), c); !errors.Is(err, ErrVendor) {
			t.Errorf("%+v: %v; want %v", c, err, ErrVendor)
		}
	}
}
