package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

func testKeys(t *testing.T, names ...string) (*Keys, map[string]string) {
	t.Helper()
	secrets := map[string]string{}
	var file strings.Builder
	for _, name := range names {
		scopes := ScopeScreen
		if name == "metrics" {
			scopes = ScopeMetrics
		}
		secret, line, err := NewKey(name, scopes)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, secret) {
			t.Errorf("the line of the key file holds the secret: %s", line)
		}
		secrets[name] = secret
		fmt.Fprintf(&file, "# a key\n%s\n", line)
	}
	k, err := ParseKeys(strings.NewReader(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	return k, secrets
}

func TestKeysLetIn(t *testing.T) {
	keys, secret := testKeys(t, "one", "metrics")
	var log bytes.Buffer
	s, f := newTestServer(t, func(c *Config) {
		c.Keys, c.LogRequests, c.Log = keys, true, slog.New(slog.NewTextHandler(&log, nil))
	})
	own, sanctions := "/v1/addresses/"+knownAddress, "/api/v1/address/"+knownAddress
	basic := "Basic " + b64(secret["one"]+":"+secret["one"])
	for _, c := range []struct {
		name, target string
		header       []string
		want         int
	}{
		{"none", own, nil, 401},
		{"wrong", own, []string{"Authorization", "Bearer " + secret["one"] + "x"}, 401},
		{"scope", own, []string{"Authorization", "Bearer " + secret["metrics"]}, 403},
		{"bearer", own, []string{"Authorization", "bearer " + secret["one"]}, 200},
		{"header", own, []string{"X-API-KEY", secret["one"]}, 200},
		{"token", "/api/risk/v2/entities/" + knownAddress, []string{"Token", secret["one"]}, 200},
		{"basic", own, []string{"Authorization", basic}, 200},
		{"query", "/v2/risk_score?coin=ETH&address=" + knownAddress + "&api_key=" + secret["one"], nil, 200},
		{"query-wrong", "/v2/risk_score?coin=ETH&address=" + knownAddress + "&api_key=x", nil, 401},
		{"long", own, []string{"X-API-Key", strings.Repeat("x", 5000)}, 401},
		{"chainalysis-none", sanctions, nil, 403},
		{"metrics-none", "/metrics", nil, 401},
		{"metrics", "/metrics", []string{"X-API-Key", secret["metrics"]}, 200},
		{"metrics-scope", "/metrics", []string{"X-API-Key", secret["one"]}, 403},
		{"health", "/v1/health", nil, 200},
	} {
		before := f.asked.Load()
		w := do(s, "GET", c.target, "", c.header...)
		if w.Code != c.want {
			t.Errorf("%s: status %d; want %d: %s", c.name, w.Code, c.want, w.Body)
		}
		if c.want != 200 && f.asked.Load() != before {
			t.Errorf("%s: a question was asked for somebody who was not let in", c.name)
		}
	}
	create := "/v2/risk_score_create_task"
	body := `{"coin":"ETH","address":"` + knownAddress + `","api_key":"%s"}`
	if w := do(s, "POST", create, fmt.Sprintf(body, secret["one"])); w.Code != 200 {
		t.Errorf("key in the body: status %d: %s", w.Code, w.Body)
	}
	if w := do(s, "POST", create, fmt.Sprintf(body, "x")); w.Code != 401 || !strings.Contains(w.Body.String(), "InvalidApiKey") {
		t.Errorf("wrong key in the body: status %d: %s", w.Code, w.Body)
	}
	for _, x := range secret {
		if strings.Contains(log.String(), x) {
			t.Error("the log holds a secret")
		}
	}
	if !strings.Contains(log.String(), "caller=one") {
		t.Error("the log does not say who asked")
	}
}

func TestKeyFilesAreReadStrictly(t *testing.T) {
	hash := "sha256:" + strings.Repeat("ab", 32)
	for _, c := range []struct{ name, text, want string }{
		{"empty", "# nothing\n", "holds no key"},
		{"fields", "a screen\n", "line 1"},
		{"hash", "a screen sha256:ab\n", "line 1"},
		{"plain", "a screen secret\n", "line 1"},
		{"scope", "\na admin " + hash, "line 2"},
		{"twice", "a screen " + hash + "\na screen " + hash, "line 2"},
		{"rate", "a screen " + hash + " -1", "line 1"},
		{"nan", "a screen " + hash + " NaN", "line 1"},
		{"name", "a\x1b screen " + hash, "line 1"},
		{"long", strings.Repeat("x", 5000), "too long"},
	} {
		if _, err := ParseKeys(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v; want one with %q", c.name, err, c.want)
		}
	}
	if k, err := ParseKeys(strings.NewReader("a screen,metrics " + hash + " 2.5\n")); err != nil || k.keys[0].Rate != 2.5 || k.keys[0].Scopes != ScopeScreen|ScopeMetrics {
		t.Errorf("a good line: %+v, %v", k, err)
	}
	if _, ok := (&Keys{}).Find("x"); ok {
		t.Error("no keys let somebody in")
	}
}

func TestRatesHoldForEveryCaller(t *testing.T) {
	keys, secret := testKeys(t, "one", "two")
	now := time.Unix(testNow, 0)
	s, _ := newTestServer(t, func(c *Config) {
		c.Keys, c.Rate, c.Burst, c.Now = keys, 2, 3, func() time.Time { return now }
	})
	ask := func(who string) *http.Response {
		return do(s, "GET", "/v1/addresses/"+knownAddress, "", "X-API-Key", secret[who]).Result()
	}
	for i := range 3 {
		if r := ask("one"); r.StatusCode != 200 {
			t.Fatalf("question %d: status %d", i, r.StatusCode)
		}
	}
	if r := ask("one"); r.StatusCode != 429 || r.Header.Get("Retry-After") != "1" {
		t.Errorf("one too many: status %d, Retry-After %q", r.StatusCode, r.Header.Get("Retry-After"))
	}
	if r := ask("two"); r.StatusCode != 200 {
		t.Errorf("another caller: status %d", r.StatusCode)
	}
	now = now.Add(time.Second)
	if r := ask("one"); r.StatusCode != 200 {
		t.Errorf("a second later: status %d", r.StatusCode)
	}
	trm := `[` + strings.Repeat(`{"address":"`+knownAddress+`","chain":"ethereum"},`, 2) + `{"address":"` + knownAddress + `","chain":"ethereum"}]`
	if w := do(s, "POST", "/public/v2/screening/addresses", trm, "X-API-Key", secret["one"]); w.Code != 429 {
		t.Errorf("three addresses in one request: status %d; each of them counts", w.Code)
	}
	l := newLimits(1, 1, 2)
	for i := range 100 {
		l.bucketOf(fmt.Sprint(i), 0)
	}
	if len(l.of) != 2 || l.old.Len() != 2 {
		t.Errorf("%d buckets are kept; want 2", len(l.of))
	}
}

func TestNothingFailsOpen(t *testing.T) {
	routes := []struct{ method, target, body string }{
		{"GET", "/v1/addresses/%s", ""},
		{"POST", "/v1/transfers", `{"address":"%s","direction":"out","asset":"native","amount":"1"}`},
		{"GET", "/api/v1/address/%s", ""},
		{"GET", "/api/risk/v2/entities/%s", ""},
		{"POST", "/public/v2/screening/addresses", `[{"address":"%s","chain":"ethereum"}]`},
		{"GET", "/v2/risk_score?coin=ETH&address=%s", ""},
		{"POST", "/v2/risk_score_create_task", `{"coin":"ETH","address":"%s"}`},
		{"GET", "/v2/risk_score_query_task?coin=ETH&address=%s", ""},
		{"GET", "/v1/address_labels?coin=ETH&address=%s", ""},
	}
	magicBlind := "0x" + TestAddresses()[6].Hash
	for address, want := range map[string]int{
		blindAddress: 503, slowAddress: 504, panicAddress: 500, noneAddress: 503, magicBlind: 503,
		"0x1da5821544e25c636c1417ba96ade4cf6d2f9b5A": 400, // wrong checksum
		"nobody": 400, "0x": 400, "%00": 400, "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3": 400,
	} {
		s, _ := newTestServer(t, nil)
		for _, r := range routes {
			fill := func(text string) string {
				if strings.Contains(text, "%s") {
					return fmt.Sprintf(text, address)
				}
				return text
			}
			w := do(s, r.method, fill(r.target), fill(r.body))
			if w.Code != want {
				t.Errorf("%s %s about %s: status %d; want %d: %s", r.method, r.target, address, w.Code, want, w.Body)
			}
			var any map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &any); err != nil || any["decision"] != nil || any["identifications"] != nil || any["risk"] != nil {
				t.Errorf("%s %s about %s: a fault with an answer in it: %s", r.method, r.target, address, w.Body)
			}
		}
	}
}

func TestUnknownIsNeverClean(t *testing.T) {
	v := &screen.Verdict{Decision: screen.Allow, Unknown: true} // a policy that lets the unknown pass
	if e := toEntity(v, plainAddress); e.Risk != "Medium" || e.RiskReason == nil {
		t.Errorf("Chainalysis: %+v; want Medium with a reason", e)
	}
	if a := toTRM(v); len(a.Entities) != 1 || a.Entities[0].LevelLabel != "Unknown" {
		t.Errorf("TRM: %+v; want an entity of level Unknown", a)
	}
	if m := toMist([]*screen.Verdict{v}); m.RiskLevel != "Moderate" || len(m.DetailList) != 1 {
		t.Errorf("MistTrack: %+v; want Moderate with a remark", m)
	}
	v = &screen.Verdict{Decision: screen.Allow, Partial: true}
	if e, a, m := toEntity(v, plainAddress), toTRM(v), toMist([]*screen.Verdict{v}); e.Risk != "Medium" || a.Entities[0].Level != 0 || m.RiskLevel != "Moderate" {
		t.Errorf("partial: %+v, %+v, %+v; want none of them clean", e, a, m)
	}
	for d := screen.Allow; d <= screen.Block; d++ { // every decision shows, also without a reason
		v := &screen.Verdict{Decision: d}
		level, _ := trmLevel(d, false)
		top := 0
		for _, i := range toTRM(v).Indicators {
			top = max(top, i.Level)
		}
		if d > screen.Allow && top != level {
			t.Errorf("TRM: %s without reasons shows as level %d; want %d", d, top, level)
		}
		if got := toMist([]*screen.Verdict{v}).RiskLevel; (got == "Low") != (d == screen.Allow) {
			t.Errorf("MistTrack: %s shows as %s", d, got)
		}
	}
}

func TestReadinessTellsTheTruth(t *testing.T) {
	for _, c := range []struct {
		name  string
		world Status
		stale bool
		state string
		ask   int
	}{
		{"fine", Status{Labels: LabelStatus{Count: 1, Newest: testNow - 60}}, false, Ready, 200},
		{"empty", Status{}, true, Unready, 503},
		{"unreadable", Status{Labels: LabelStatus{Count: 1, Newest: testNow}, LabelError: "torn"}, true, Unready, 503},
		{"old", Status{Labels: LabelStatus{Count: 1, Newest: testNow - 7200}}, false, Unready, 503},
		{"old-served", Status{Labels: LabelStatus{Count: 1, Newest: testNow - 7200}}, true, Degraded, 200},
		{"undated", Status{Labels: LabelStatus{Count: 1}}, false, Unready, 503},
		{"store", Status{Labels: LabelStatus{Count: 1, Newest: testNow}, StoreError: "gone"}, false, Degraded, 200},
	} {
		s, f := newTestServer(t, func(cfg *Config) { cfg.MaxListAge, cfg.ServeStale = time.Hour, c.stale })
		f.status.Store(&c.world)
		r := s.Readiness(t.Context())
		if r.State != c.state || (c.state == Ready) != (len(r.Reasons) == 0) {
			t.Errorf("%s: %+v; want %s", c.name, r, c.state)
		}
		want := http.StatusOK
		if c.state == Unready {
			want = http.StatusServiceUnavailable
		}
		if w := do(s, "GET", "/v1/ready", ""); w.Code != want {
			t.Errorf("%s: /v1/ready is %d; want %d", c.name, w.Code, want)
		}
		if w := do(s, "GET", "/v1/health", ""); w.Code != 200 {
			t.Errorf("%s: /v1/health is %d; the process is up", c.name, w.Code)
		}
		for _, target := range []string{"/v1/addresses/" + knownAddress, "/api/v1/address/" + knownAddress, "/v2/risk_score?coin=ETH&address=" + knownAddress} {
			if w := do(s, "GET", target, ""); w.Code != c.ask {
				t.Errorf("%s: %s is %d; want %d", c.name, target, w.Code, c.ask)
			}
		}
	}
}

func TestTestAddresses(t *testing.T) {
	s, f := newTestServer(t, nil)
	real, _ := newTestServer(t, func(c *Config) { c.RealOnly = true })
	for _, a := range TestAddresses() {
		evm, err := flow.ParseAccount("0x" + a.Hash)
		if err != nil {
			t.Fatal(err)
		}
		p2pkh, err := flow.UTXOAccount(flow.Bitcoin, flow.PayToPubKeyHash, []byte(evm.Key()[1:]))
		if err != nil {
			t.Fatal(err)
		}
		tron, err := flow.ParseAccount("41" + a.Hash)
		if err != nil {
			t.Fatal(err)
		}
		for _, account := range []flow.Account{evm, p2pkh, tron} {
			w := do(s, "GET", "/v1/addresses/"+account.Address(), "")
			if a.Error {
				if w.Code != 503 {
					t.Errorf("%s: status %d; want 503", account, w.Code)
				}
				continue
			}
			var v screen.Verdict
			if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || v.Decision != a.Decision || v.Unknown != a.Unknown || v.Check() != nil {
				t.Errorf("%s: %v, %v: %s; want %s", account, err, v.Check(), w.Body, a.Decision)
			}
			if w := do(s, "GET", "/api/v1/address/"+account.Address(), ""); strings.Contains(w.Body.String(), "sanctions") != (a.Category == "sanction") {
				t.Errorf("%s on the sanctions wire: %s", account, w.Body)
			}
		}
	}
	if f.asked.Load() != 0 {
		t.Error("a test address was looked up")
	}
	if w := do(real, "GET", "/v1/addresses/0x"+TestAddresses()[0].Hash, ""); !strings.Contains(w.Body.String(), `"unknown":true`) {
		t.Errorf("a test address was answered though it was switched off: %s", w.Body)
	}
}

func TestRequestsOfStrangers(t *testing.T) {
	s, _ := newTestServer(t, func(c *Config) { c.MaxBody, c.MaxLine, c.MaxLines = 1000, 500, 3 })
	big := strings.Repeat("x", 2000)
	if w := do(s, "POST", "/v1/transfers", big); w.Code != 413 {
		t.Errorf("a huge body: status %d; want 413", w.Code)
	}
	w := do(s, "POST", "/v1/batch", knownAddress+"\n"+big+"\n"+knownAddress)
	if !strings.Contains(w.Body.String(), "too-large") || strings.Contains(w.Body.String(), "done") {
		t.Errorf("a huge line: %s", w.Body)
	}
	w = do(s, "POST", "/v1/batch", strings.Repeat(knownAddress+"\n", 5))
	if strings.Count(w.Body.String(), `"verdict"`) != 3 || strings.Contains(w.Body.String(), "done") {
		t.Errorf("too many lines: %s", w.Body)
	}
	for _, id := range []string{"a b", "x\x00", strings.Repeat("a", 65), "<script>"} {
		w := do(s, "GET", "/v1/health", "", "X-Request-Id", id)
		if got := w.Header().Get("X-Request-Id"); got == id || !isToken(got, 64) {
			t.Errorf("request id %q came back as %q", id, got)
		}
	}
	if w := do(s, "GET", "/v1/health", "", "X-Request-Id", "mine-1"); w.Header().Get("X-Request-Id") != "mine-1" {
		t.Error("a harmless request id is not kept")
	}
	for _, body := range []string{"", "[]", "{", "null", "1", `{"address":1}`, `{"addres":"x"}`, `{"address":"x"} {}`, strings.Repeat("[", 900)} {
		if w := do(s, "POST", "/v1/transfers", body); w.Code != 400 {
			t.Errorf("the body %.20q: status %d; want 400", body, w.Code)
		}
	}
}

func TestMetricsCount(t *testing.T) {
	s, _ := newTestServer(t, nil)
	do(s, "GET", "/v1/addresses/"+ofacAddress, "")
	do(s, "GET", "/v1/addresses/"+plainAddress, "")
	do(s, "GET", "/no/such/"+plainAddress, "")
	text := do(s, "GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`spoor_http_requests_total{route="address",status="200"} 2`, `spoor_http_requests_total{route="nowhere",status="404"} 1`,
		`spoor_verdicts_total{decision="block"} 1`, `spoor_verdicts_unknown_total 1`, `spoor_ready 1`, `spoor_labels 7`, `spoor_list_age_seconds 3600`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("metrics lack %q", want)
		}
	}
	if strings.Contains(text, plainAddress) {
		t.Error("metrics name what was asked")
	}
}

func TestBatchWaitsForItsRate(t *testing.T) {
	s, _ := newTestServer(t, func(c *Config) { c.Rate, c.Burst = 1000, 1 })
	start := time.Now()
	w := do(s, "POST", "/v1/batch", strings.Repeat(knownAddress+"\n", 21))
	if n := strings.Count(w.Body.String(), `"verdict"`); n != 21 {
		t.Errorf("%d verdicts; want 21: %s", n, w.Body)
	}
	if took := time.Since(start); took < 15*time.Millisecond {
		t.Errorf("21 questions at 1000 a second, one of them at once, took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := &call{Server: s, bucket: newLimits(1, 1, 1).bucketOf("x", 0)}
	c.bucket.Allow()
	if f := c.patience(ctx); f == nil || f.status != 503 {
		t.Errorf("a batch whose caller has gone: %+v", f)
	}
}
