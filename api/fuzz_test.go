package api

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

// FuzzBodies sends any body to every route that takes one: nothing may panic, and what is refused must say so.
func FuzzBodies(f *testing.F) {
	targets := []string{"/v1/transfers", "/v1/batch", "/public/v2/screening/addresses", "/api/risk/v2/entities", "/v2/risk_score_create_task", "/rpc"}
	for _, q := range recorded {
		for i, target := range targets {
			if q.target == target {
				f.Add(uint8(i), q.body)
			}
		}
	}
	f.Add(uint8(5), `[{"id":{},"method":"eth_call","params":[{"to":"0x40c57923924b5c5c5455c48d93317139addac8fb","data":"0xdf592f7d"},{},{}]}]`)
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		s, _ := newTestServer(t, nil)
		target := targets[int(which)%len(targets)]
		w := do(s, "POST", target, body)
		if w.Code >= 500 && w.Code != 503 && w.Code != 504 && !strings.Contains(body, panicAddress[2:]) {
			t.Errorf("%s: status %d for %q: %s", target, w.Code, body, w.Body)
		}
		for line := range strings.Lines(w.Body.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s: %q is answered by %q, which is no JSON", target, body, line)
			}
		}
	})
}

// FuzzPaths sends any path and query.
func FuzzPaths(f *testing.F) {
	for _, q := range recorded {
		if q.method == "GET" {
			path, query, _ := strings.Cut(q.target, "?")
			f.Add(path, query)
		}
	}
	f.Add("//v2/risk_score", "coin=%zz&address=1")
	f.Add("/v1/addresses/..", "direct=2")
	f.Fuzz(func(t *testing.T, path, query string) {
		s, fake := newTestServer(t, nil)
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = &url.URL{Path: "/" + strings.TrimPrefix(path, "/"), RawQuery: query}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code == 200 && fake.asked.Load() > 0 {
			if q := fake.last.Load(); q.AsOf <= 0 || q.AsOf > testNow || q.Account.IsZero() {
				t.Errorf("%s?%s asked %+v", path, query, q)
			}
		}
	})
}

// FuzzKeys reads any key file: what is read lets nobody in but the holder of a secret.
func FuzzKeys(f *testing.F) {
	f.Add("a screen sha256:" + strings.Repeat("ab", 32) + " 2\n# x\n")
	f.Add("a screen,metrics sha256:zz")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKeys(strings.NewReader(text))
		if err != nil {
			return
		}
		if _, ok := k.Find(text); ok || len(k.keys) == 0 {
			t.Errorf("%q lets itself in, or holds no key", text)
		}
	})
}

// FuzzVendorAddress reads any address with any chain: it never becomes another one.
func FuzzVendorAddress(f *testing.F) {
	f.Add("ethereum", ofacAddress)
	f.Add("BTC", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2")
	f.Add("USDT-TRC20", "0x1111111111111111111111111111111111111111")
	f.Fuzz(func(t *testing.T, chain, text string) {
		c, ok := vendorChain(chain)
		if !ok {
			return
		}
		a, err := accountOn(c, text)
		if err != nil {
			return
		}
		if again, err := flow.ParseAccount(a.String()); err != nil || again != a {
			t.Errorf("%q on %q is %s, which reads as %s, %v", text, chain, a, again, err)
		}
	})
}
