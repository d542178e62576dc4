package live

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/alert/outbox"
	"github.com/spoor-dev/spoor/api"
	"github.com/spoor-dev/spoor/engine"
)

//go:embed page
var pages embed.FS

// Handler answers /metrics for Prometheus, /livez and /readyz, /v1/state and /v1/alerts in JSON, and a page for people at
// /. keys may be nil: then everybody may ask, see api.Listen.
func (l *Live) Handler(keys *api.Keys) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", keys.Require(api.ScopeMetrics, l.metrics.handler()))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", l.serveReady)
	mux.Handle("GET /v1/state", keys.Require(api.ScopeMetrics, http.HandlerFunc(l.serveState)))
	mux.Handle("GET /v1/alerts", keys.Require(api.ScopeMetrics, http.HandlerFunc(l.serveAlerts)))
	mux.Handle("GET /{$}", keys.Require(api.ScopeMetrics, http.HandlerFunc(l.servePage)))
	mux.Handle("GET /page/style.css", http.FileServerFS(pages))
	return secured(mux)
}

// secured sets what keeps a page from being used against its reader.
func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

// Serve answers on a listener until ctx is done.
func Serve(ctx context.Context, listener net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(drain); err != nil {
		s.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (l *Live) serveReady(w http.ResponseWriter, _ *http.Request) {
	s, err := l.State()
	switch {
	case err != nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, Sick)
		return
	case s.Health == Sick:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, s.Health)
}

func (l *Live) serveState(w http.ResponseWriter, _ *http.Request) {
	s, err := l.State()
	if err != nil {
		http.Error(w, "the state cannot be read", http.StatusInternalServerError)
		l.log.Error("state", "error", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s)
}

// mostAlerts bounds one answer of /v1/alerts.
const mostAlerts = 1000

func (l *Live) serveAlerts(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || n <= 0 || n > mostAlerts {
		n = mostAlerts
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	for a, err := range l.outbox.List(r.Context(), outbox.Filter{Case: r.URL.Query().Get("case")}) {
		if err != nil {
			l.log.Error("alerts", "error", err.Error())
			return
		}
		if n--; n < 0 || out.Encode(a) != nil {
			return
		}
	}
}

// shownAlerts is how many alerts the page shows.
const shownAlerts = 20

var page = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"ago":   func(now, t time.Time) string { return ago(now.Sub(t)) },
	"when":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"count": func(n any, noun string) string { return engine.Count(toInt(n), noun) },
	"bytes": sizeOf,
	"short": short,
	"join":  func(names []string) string { return strings.Join(names, ", ") },
}).ParseFS(pages, "page/page.html"))

func (l *Live) servePage(w http.ResponseWriter, r *http.Request) {
	s, err := l.State()
	if err != nil {
		http.Error(w, "the state cannot be read", http.StatusInternalServerError)
		return
	}
	var shown []outbox.Entry
	for a, err := range l.outbox.List(r.Context(), outbox.Filter{}) {
		if err != nil || len(shown) == shownAlerts {
			break
		}
		shown = append(shown, a)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Refresh", "5")
	view := map[string]any{"State": s, "Alerts": shown}
	open, queued, dead := 0, 0, 0
	for _, c := range s.Cases {
		if c.Open {
			open++
		}
	}
	for _, k := range s.Outbox.Sinks {
		queued, dead = queued+k.Queued, dead+k.Dead
	}
	view["Open"], view["Waiting"], view["Queued"], view["Dead"] = open, len(s.Cases)-open, queued, dead
	if err := page.Execute(w, view); err != nil {
		l.log.Error("page", "error", err.Error())
	}
}

// short is a time span in two or three digits.
func short(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond} {
		if d >= 10*unit {
			return d.Round(unit).String()
		}
		if d >= unit {
			return d.Round(unit / 10).String()
		}
	}
	return d.Round(time.Microsecond).String()
}

func toInt(n any) int64 {
	switch n := n.(type) {
	case int:
		return int64(n)
	case int64:
		return n
	case uint64:
		return int64(n)
	}
	return 0
}

// ago is a time span in words for people.
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// sizeOf is a number of bytes for people.
func sizeOf(n uint64) string {
	for _, u := range []struct {
		name string
		size uint64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
