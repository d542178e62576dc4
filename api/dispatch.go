package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A route is one method and path that the server answers.
type route struct {
	pattern string // of http.ServeMux
	name    string // in metrics and logs
	scope   Scope  // that the caller's key needs; 0 lets everybody in
	screens bool   // gives verdicts: it is refused while the labels are not fit for that
	stream  bool   // bounds its own body, time and rate
	ownKey  bool   // finds the key in its own body
	dialect *dialect
	handle  func(c *call) *fault
}

// A dialect is how one wire writes what went wrong.
type dialect struct {
	name  string
	fault func(w http.ResponseWriter, c *call, f *fault)
}

// A call is one request on its way through the server.
type call struct {
	*Server
	w      *recorder
	r      *http.Request
	ctx    context.Context // ends with the question's time
	id     string
	route  *route
	caller string        // the name of the key, or the host
	bucket *rate.Limiter // nil without a limit
	start  time.Time
}

// Paths of the vendors, which are served behind any prefix: a client's base address may have a path of its own.
var vendorPaths = []string{
	"/api/v1/address/", "/api/risk/v2/entities", "/public/v2/screening/addresses",
	"/v1/risk_score", "/v2/risk_score", "/v3/risk_score", "/v1/address_labels", "/v1/status",
}

// dispatch is the handler of all routes.
func (s *Server) dispatch() http.Handler {
	mux := http.NewServeMux()
	for i := range s.routes {
		rt := &s.routes[i]
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, rt) })
	}
	nowhere := route{name: "nowhere", dialect: &own, handle: noSuchRoute}
	wrongMethod := route{name: "nowhere", dialect: &own, handle: noSuchMethod}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "//") {
			r = withPath(r, slashes(r.URL.Path))
		}
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		for _, v := range vendorPaths {
			if i := strings.LastIndex(r.URL.Path, v); i > 0 {
				if inner := withPath(r, r.URL.Path[i:]); patternOf(mux, inner) != "" {
					mux.ServeHTTP(w, inner)
					return
				}
			}
		}
		var probe statusProbe
		mux.ServeHTTP(&probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", probe.Header().Get("Allow"))
			s.serve(w, r, &wrongMethod)
			return
		}
		s.serve(w, r, &nowhere)
	})
}

func patternOf(mux *http.ServeMux, r *http.Request) string {
	_, p := mux.Handler(r)
	return p
}

// withPath is the request at another path.
func withPath(r *http.Request, path string) *http.Request {
	c := *r
	u := *r.URL
	u.Path, u.RawPath = path, ""
	c.URL = &u
	return &c
}

// slashes makes one slash of several.
func slashes(p string) string {
	var b strings.Builder
	for i := range len(p) {
		if p[i] != '/' || i == 0 || p[i-1] != '/' {
			b.WriteByte(p[i])
		}
	}
	return b.String()
}

// A statusProbe takes an answer and keeps its status.
type statusProbe struct {
	status int
	header http.Header
}

func (p *statusProbe) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }
func (p *statusProbe) WriteHeader(status int)      { p.status = status }

// serve answers one request on its route, whatever happens.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, rt *route) {
	c := &call{Server: s, w: &recorder{ResponseWriter: w}, r: r, route: rt, start: s.config.Now()}
	c.id = s.ids.next(r.Header.Get("X-Request-Id"))
	h := w.Header()
	h["X-Request-Id"] = []string{c.id}
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				s.account(c)
				panic(p)
			}
			s.config.Log.Error("panic", "id", c.id, "route", rt.name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if c.w.status != 0 { // half an answer must not look like a whole one
				s.account(c)
				panic(http.ErrAbortHandler)
			}
			c.fail(&fault{status: 500, title: "Internal error", detail: "the server made a mistake", hint: "tell its operator the id of the request"})
		}
		s.account(c)
	}()
	if f := c.answer(); f != nil {
		c.fail(f)
	}
}

var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// answer lets the request in and has its route answer it.
func (c *call) answer() *fault {
	if c.route.scope != 0 {
		select {
		case c.inFlight <- struct{}{}:
			defer func() { <-c.inFlight }()
		default:
			return &fault{status: 503, word: "busy", title: "Too many requests at once", hint: "come again after the seconds of Retry-After", retry: 1}
		}
	}
	if c.route.scope != 0 && !c.route.ownKey {
		if f := c.admit(presented(c.r, "")); f != nil {
			return f
		}
	}
	ctx := c.r.Context()
	if !c.route.stream {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.config.Timeout)
		defer cancel()
		c.r.Body = http.MaxBytesReader(c.w.ResponseWriter, c.r.Body, c.config.MaxBody)
	}
	c.ctx = ctx
	if c.route.screens {
		if f := c.fitToScreen(); f != nil {
			return f
		}
	}
	return c.route.handle(c)
}

// admit finds out who asks by the secret that came along, and takes one question out of that caller's bucket.
func (c *call) admit(secret string) *fault {
	var own float64
	if k := c.config.Keys; k != nil {
		key, ok := k.Find(secret)
		switch {
		case !ok && secret == "":
			return &fault{status: 401, word: "key-missing", title: "A key is needed", hint: "send it as Authorization: Bearer KEY, X-API-Key: KEY or Token: KEY"}
		case !ok:
			return &fault{status: 401, word: "key-unknown", title: "The key is not known", hint: "ask the operator for a key"}
		case key.Scopes&c.route.scope == 0:
			return &fault{status: 403, word: "key-scope", title: "The key is not for this", hint: "ask the operator for a key with another scope"}
		}
		c.caller, own = key.Name, key.Rate
	} else {
		c.caller = hostOf(c.r.RemoteAddr)
	}
	c.bucket = c.limits.bucketOf(c.caller, own)
	if !c.route.stream {
		return c.charge(1)
	}
	return nil
}

// charge takes n questions out of the caller's bucket, at most all that it holds.
func (c *call) charge(n int) *fault {
	if c.bucket != nil {
		n = min(n, c.bucket.Burst())
	}
	if retry, ok := take(c.bucket, c.config.Now(), n); !ok {
		return &fault{status: 429, word: "rate", title: "Too many questions", hint: "come again after the seconds of Retry-After", retry: retry}
	}
	return nil
}

// fail answers with what went wrong, in the words of the route's dialect.
func (c *call) fail(f *fault) {
	if f.status == 401 {
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="spoor"`)
	}
	c.route.dialect.fault(c.w, c, f)
	if f.status >= 500 {
		c.config.Log.Warn("refused", "id", c.id, "route", c.route.name, "status", f.status, "problem", f.word, "detail", f.detail)
	}
}

// body reads the whole body of a request.
func (c *call) body() ([]byte, *fault) {
	b, err := io.ReadAll(c.r.Body)
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return nil, &fault{status: 413, word: "too-large", title: "The body is too large", detail: "it has more than " + strconv.FormatInt(large.Limit, 10) + " bytes"}
	}
	if err != nil {
		return nil, &fault{status: 400, word: "body", title: "The body broke off"}
	}
	return b, nil
}

// account counts and logs a request that was answered.
func (s *Server) account(c *call) {
	took := s.config.Now().Sub(c.start)
	s.metrics.observe(c.route.name, c.w.status, took)
	if s.config.LogRequests {
		s.config.Log.LogAttrs(context.Background(), slog.LevelInfo, "request",
			slog.String("id", c.id), slog.String("route", c.route.name), slog.String("method", c.r.Method), slog.Int("status", c.w.status),
			slog.String("caller", c.caller), slog.Duration("took", took), slog.Int64("bytes", c.w.bytes))
	}
}

func noSuchRoute(c *call) *fault {
	return &fault{status: 404, word: "route", title: "No such route", hint: "GET /v1/openapi.json lists all"}
}

func noSuchMethod(c *call) *fault {
	return &fault{status: 405, word: "method", title: "Not by this method", hint: "the header Allow names those that are"}
}

// A recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController through.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// requestIDs names requests: a random word of this server and a number.
type requestIDs struct {
	server string
	n      *atomic.Uint64
}

func newRequestIDs() requestIDs {
	var b [6]byte
	rand.Read(b[:])
	return requestIDs{hex.EncodeToString(b[:]), new(atomic.Uint64)}
}

// next is the id that the caller gave, if it is harmless in logs and headers, else one of our own.
func (ids requestIDs) next(given string) string {
	if isToken(given, 64) {
		return given
	}
	return ids.server + "-" + strconv.FormatUint(ids.n.Add(1), 10)
}

// hostOf is the host of an address with a port.
func hostOf(address string) string {
	if i := strings.LastIndexByte(address, ':'); i > 0 {
		return address[:i]
	}
	return address
}
