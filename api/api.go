// Package api is questions for verdicts over HTTP, on our own wire and on those of the vendors whose clients exist.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

// A Screener answers questions. It is safe for several goroutines. An error is never an answer: no dialect turns it into
// one. Errors that wrap screen.ErrQuestion are the caller's fault.
type Screener interface {
	// Answer is the sealed verdict on a question. It is to be given only after Keep has kept it.
	Answer(ctx context.Context, q screen.Question) (screen.Verdict, error)
	// Keep keeps verdicts, all or none; what could not be kept must not be given.
	Keep(ctx context.Context, all ...screen.Verdict) error
}

// A World is what the server tells of the state that its answers come from. It is safe for several goroutines.
type World interface {
	// Status is the state of now; it is asked often and must be cheap.
	Status(ctx context.Context) Status
	// Tx is a transaction of the store. Errors: ErrNoTx.
	Tx(ctx context.Context, c flow.Chain, id flow.Hash) (flow.Tx, error)
}

// ErrNoTx is returned by a World for a transaction that its store does not hold.
var ErrNoTx = errors.New("no such transaction")

// A Status is what a server knows and how fresh it is.
type Status struct {
	Labels     LabelStatus   `json:"labels"`
	LabelError string        `json:"label_error,omitempty"` // why the labels cannot be read
	Chains     []ChainStatus `json:"chains"`
	StoreError string        `json:"store_error,omitempty"` // why the store cannot be read
}

// A LabelStatus names a state of all labels.
type LabelStatus struct {
	Hash   flow.Hash `json:"hash"`
	Count  int       `json:"count"`
	Newest int64     `json:"newest"` // when the newest list was made, seconds since 1970; 0 if no list says
}

// A ChainStatus is how far the store has read a chain.
type ChainStatus struct {
	Chain flow.Chain `json:"chain"`
	Tip   flow.Point `json:"tip"`
}

// Config is how a Server behaves. The zero value is valid: it lets every caller in, without a limit.
type Config struct {
	Version string // of the program
	Keys    *Keys  // who may ask; nil lets everybody in

	Rate  float64 // questions a second of one caller; 0 is no limit. A line of a batch is a question
	Burst int     // questions at once; a second's worth if 0

	Timeout     time.Duration // of one question; 10 s if 0
	MaxBody     int64         // bytes of a request; 1 MiB if 0. A batch is bounded by line instead
	MaxLine     int           // bytes of a line of a batch; 16 KiB if 0
	MaxLines    int           // lines of a batch; 1,000,000 if 0
	MaxInFlight int           // requests at once, the rest is told to come again; 512 if 0
	MaxBatches  int           // batches at once; 8 if 0
	Drain       time.Duration // for requests that run when the server stops; 20 s if 0
	ReadTimeout time.Duration // of a request, and of one line of a batch; 15 s if 0

	MaxListAge time.Duration // labels whose newest list is older are too old; 0 is never
	ServeStale bool          // answer with labels that are too old, and say "degraded", instead of refusing

	RealOnly bool // no magic test addresses
	Extras   bool // the vendors' objects get one more top-level field, "spoor", with what their shape cannot say

	OracleChain uint64 // the EIP-155 number which the eth_call facade says that it is; 1 if 0

	Log         *slog.Logger // nil logs nothing
	LogRequests bool         // every request, not only those that failed

	Now func() time.Time // the clock; time.Now if nil
}

func (c Config) withDefaults() Config {
	def(&c.Timeout, 10*time.Second)
	def(&c.MaxBody, 1<<20)
	def(&c.MaxLine, 16<<10)
	def(&c.MaxLines, 1_000_000)
	def(&c.MaxInFlight, 512)
	def(&c.MaxBatches, 8)
	def(&c.Drain, 20*time.Second)
	def(&c.ReadTimeout, 15*time.Second)
	def(&c.OracleChain, 1)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// def fills in a default.
func def[T int | int64 | uint64 | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}

// A Server answers HTTP requests. It is safe for several goroutines. It starts nothing by itself: see Serve.
type Server struct {
	config   Config
	screener Screener
	world    World
	limits   *limits
	metrics  *metrics
	handler  http.Handler
	routes   []route
	inFlight chan struct{}
	batches  chan struct{}
	ids      requestIDs
	draining drainState
}

// New makes a server that asks s and tells the state of w.
func New(s Screener, w World, c Config) *Server {
	c = c.withDefaults()
	if !c.RealOnly {
		s = magic{s}
	}
	server := &Server{
		config: c, screener: s, world: w,
		limits:   newLimits(c.Rate, c.Burst, 100_000),
		inFlight: make(chan struct{}, c.MaxInFlight),
		batches:  make(chan struct{}, c.MaxBatches),
		ids:      newRequestIDs(),
	}
	server.routes = server.allRoutes()
	server.metrics = newMetrics(server)
	server.handler = server.dispatch()
	return server
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }
