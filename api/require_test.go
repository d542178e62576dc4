package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRequireLetsKeysIn(t *testing.T) {
	secret, line, err := NewKey("page", ScopeMetrics)
	if err != nil {
		t.Fatal(err)
	}
	other, otherLine, err := NewKey("desk", ScopeScreen)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeys(strings.NewReader(line + "\n" + otherLine + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, c := range []struct {
		name string
		keys *Keys
		set  func(*http.Request)
		want int
	}{
		{"no keys are asked for", nil, func(*http.Request) {}, http.StatusNoContent},
		{"nothing presented", keys, func(*http.Request) {}, http.StatusUnauthorized},
		{"a wrong key", keys, func(r *http.Request) { r.SetBasicAuth("me", "wrong") }, http.StatusUnauthorized},
		{"a key as the password", keys, func(r *http.Request) { r.SetBasicAuth("me", secret) }, http.StatusNoContent},
		{"a key as a token", keys, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) }, http.StatusNoContent},
		{"a key for something else", keys, func(r *http.Request) { r.SetBasicAuth("me", other) }, http.StatusForbidden},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		c.set(r)
		w := httptest.NewRecorder()
		c.keys.Require(ScopeMetrics, ok).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: status %d, want %d", c.name, w.Code, c.want)
		}
	}
}
