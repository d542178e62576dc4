package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/internal/fetch"
)

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		status  int
		after   string
		refused bool
		wait    time.Duration // -1 where the receiver says nothing
	}{
		{200, "", false, -1}, {202, "", false, -1}, {204, "", false, -1},
		{400, "", true, -1}, {401, "", true, -1}, {403, "", true, -1}, {404, "", true, -1}, {410, "60", true, -1}, {413, "", true, -1}, {422, "", true, -1},
		{408, "", false, -1}, {425, "", false, -1}, {429, "", false, -1}, {429, "7", false, 7 * time.Second}, {503, "0", false, 0},
		{503, noon().Add(90 * time.Second).Format(http.TimeFormat), false, 90 * time.Second}, {503, noon().Add(-time.Hour).Format(http.TimeFormat), false, 0},
		{429, "99999999999", false, time.Hour}, {429, "-5", false, -1}, {429, "soon", false, -1}, {500, "", false, -1}, {502, "3", false, 3 * time.Second}, {599, "", false, -1},
	} {
		name := fmt.Sprintf("%d-%s", c.status, c.after)
		r := newReceiver(t, func(w http.ResponseWriter, _ int) {
			if c.after != "" {
				w.Header().Set("Retry-After", c.after)
			}
			w.WriteHeader(c.status)
			if c.status != http.StatusNoContent {
				_, _ = w.Write([]byte(`{"ok":true}`))
			}
		})
		for kind, s := range posters(t, r.URL, true) {
			if kind == "telegram" && c.status == http.StatusNoContent {
				continue // it always says something
			}
			err := s.Send(t.Context(), []alert.Alert{arrival()})
			var after alert.RetryAfter
			wait := time.Duration(-1)
			if errors.As(err, &after) {
				wait = after.After
			}
			if taken := c.status < 300; (err == nil) != taken || errors.Is(err, alert.ErrRefused) != c.refused || wait != c.wait {
				t.Errorf("%s, %s: error %v, refused %v, wait %s; want refused %v, wait %s", name, kind, err, errors.Is(err, alert.ErrRefused), wait, c.refused, c.wait)
			}
			if err != nil && !strings.Contains(err.Error(), s.Name()) {
				t.Errorf("%s, %s: the error does not name the sink: %v", name, kind, err)
			}
		}
		r.Close()
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, _ int) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	for kind, s := range posters(t, r.URL, true) {
		if err := s.Send(t.Context(), []alert.Alert{arrival()}); !errors.Is(err, fetch.ErrRedirect) {
			t.Errorf("%s: error %v; want %v", kind, err, fetch.ErrRedirect)
		}
	}
}

func TestPrivateNetworksAreClosedUnlessConfigured(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a private host was asked") }))
	defer s.Close()
	for _, url := range []string{s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1), "https://169.254.169.254"} {
		for kind, s := range posters(t, url, false) {
			if err := s.Send(t.Context(), []alert.Alert{arrival()}); !errors.Is(err, fetch.ErrPrivate) || errors.Is(err, alert.ErrRefused) {
				t.Errorf("%s at %s: error %v; want %v", kind, url, err, fetch.ErrPrivate)
			}
		}
	}
}

// TestErrorsTellNoSecret asks receivers that repeat all that they were told.
func TestErrorsTellNoSecret(t *testing.T) {
	secrets := []string{"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "secret_token", testPager, "secretpath", "secret-password", "bearer-secret", "c3Bvb3I6c2VjcmV0LXBhc3N3b3Jk"}
	check := func(t *testing.T, kind string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", kind)
			return
		}
		for _, s := range secrets {
			if strings.Contains(err.Error(), s) {
				t.Errorf("%s: the error tells %q: %v", kind, s, err)
			}
		}
	}
	for _, status := range []int{400, 429, 500, 200} {
		echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s\n%s\n%v", r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header)
			_, _ = w.Write(body)
		}))
		for kind, s := range posters(t, echo.URL, true) {
			err := s.Send(t.Context(), []alert.Alert{arrival()})
			if status != 200 || kind == "telegram" {
				check(t, kind, err)
			}
			if text := fmt.Sprintf("%v %s", s.Name(), s.Name()); strings.Contains(text, "secret") {
				t.Errorf("%s: its name is %s", kind, text)
			}
		}
		echo.Close()
		for kind, s := range posters(t, echo.URL, true) { // nobody listens
			check(t, kind, s.Send(t.Context(), []alert.Alert{arrival()}))
		}
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for kind, s := range posters(t, "https://host.invalid", false) {
		check(t, kind, s.Send(done, []alert.Alert{arrival()}))
	}
}

func TestSecretsAreReadForEveryMessage(t *testing.T) {
	r := newReceiver(t, nil)
	key := file(t, testPager)
	p := must(NewPagerDuty(PagerDutyConfig{Name: "p", URL: r.URL, RoutingKeyFile: key, Private: true, Now: noon}))
	defer p.Close()
	for i, want := range []string{testPager, "new-key"} {
		if err := os.WriteFile(key, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.Send(t.Context(), []alert.Alert{arrival()}); err != nil {
			t.Fatal(err)
		}
		var e pagerEvent
		if err := json.Unmarshal(r.got()[i].body, &e); err != nil || e.RoutingKey != want {
			t.Errorf("message %d has the key %q, %v; want %q", i, e.RoutingKey, err, want)
		}
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := p.Send(t.Context(), []alert.Alert{arrival()}); err == nil || errors.Is(err, alert.ErrRefused) {
		t.Errorf("without its file: %v; want an error that may pass", err)
	}
}

// many are n alerts of different keys.
func many(n int) []alert.Alert {
	group := make([]alert.Alert, n)
	for i := range group {
		group[i] = arrival()
		group[i].Key = fmt.Sprintf("heist-1/live-move/%064x", i)
	}
	return group
}

// TestAGroupComesWholeAndOnce sends groups to receivers that fail in between.
func TestAGroupComesWholeAndOnce(t *testing.T) {
	for kind, messages := range map[string]int{"webhook": 25, "webhookgroup": 1, "alertmanager": 1, "slack": 3, "pagerduty": 25, "telegram": 7} {
		for _, fail := range []int{0, messages / 2, messages - 1} {
			taken := 0
			r := newReceiver(t, func(w http.ResponseWriter, n int) {
				if n == fail {
					w.WriteHeader(http.StatusBadGateway)
					return
				}
				taken++
				_, _ = w.Write([]byte(`{"ok":true}`))
			})
			s := posters(t, r.URL, true)[kind]
			if err := s.Send(t.Context(), many(25)); err == nil || errors.Is(err, alert.ErrRefused) {
				t.Errorf("%s, failing at %d: %v", kind, fail, err)
			}
			if err := s.Send(t.Context(), many(25)); err != nil {
				t.Errorf("%s, failing at %d, again: %v", kind, fail, err)
			}
			if taken != messages {
				t.Errorf("%s, failing at %d: %d messages were taken; want %d", kind, fail, taken, messages)
			}
			all := ""
			for _, q := range r.got() {
				all += string(q.body)
			}
			for _, a := range many(25) {
				if !strings.Contains(all, a.Key[len(a.Key)-20:]) {
					t.Errorf("%s, failing at %d: %s never came", kind, fail, a.Key)
				}
			}
			r.Close()
		}
	}
}

func TestTelegramSaysWhenToComeBack(t *testing.T) {
	for body, want := range map[string]time.Duration{
		`{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 9","parameters":{"retry_after":9}}`: 9 * time.Second,
		`{"ok":false,"parameters":{"retry_after":999999999999}}`:                                                        time.Hour,
		`{"ok":false,"parameters":{"retry_after":-1}}`:                                                                  -1, `garbage`: -1,
	} {
		r := newReceiver(t, func(w http.ResponseWriter, _ int) {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(body))
		})
		err := posters(t, r.URL, true)["telegram"].Send(t.Context(), []alert.Alert{arrival()})
		var after alert.RetryAfter
		got := time.Duration(-1)
		if errors.As(err, &after) {
			got = after.After
		}
		if err == nil || got != want {
			t.Errorf("%s: %v, wait %s; want %s", body, err, got, want)
		}
	}
	r := newReceiver(t, func(w http.ResponseWriter, _ int) { _, _ = w.Write([]byte(`{"ok":false}`)) })
	if err := posters(t, r.URL, true)["telegram"].Send(t.Context(), []alert.Alert{arrival()}); err == nil {
		t.Error("200 that does not say ok was taken for yes")
	}
	if path := r.got()[0].path; path != "/bot"+testToken+"/sendMessage" {
		t.Errorf("asked %s", path)
	}
}

func TestTimeout(t *testing.T) {
	stop := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(stop)
	w := must(NewWebhook(WebhookConfig{Name: "hook", URL: s.URL, SecretFile: file(t, testKey), Private: true, Timeout: 20 * time.Millisecond}))
	defer w.Close()
	if err := w.Send(t.Context(), []alert.Alert{arrival()}); err == nil || errors.Is(err, alert.ErrRefused) {
		t.Errorf("error %v; want a timeout, which may pass", err)
	}
}
