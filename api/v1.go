package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

// own is our own dialect.
var own = dialect{"spoor", func(w http.ResponseWriter, c *call, f *fault) { writeProblem(w, c.id, f) }}

// ownRoutes are the routes of our own wire, as openapi.json describes them.
func ownRoutes() []route {
	return []route{
		{pattern: "GET /v1/addresses/{address}", name: "address", scope: ScopeScreen, screens: true, dialect: &own, handle: askAddress},
		{pattern: "POST /v1/transfers", name: "transfer", scope: ScopeScreen, screens: true, dialect: &own, handle: askTransfer},
		{pattern: "GET /v1/transactions/{chain}/{hash}", name: "transaction", scope: ScopeScreen, screens: true, dialect: &own, handle: askTransaction},
		{pattern: "POST /v1/batch", name: "batch", scope: ScopeScreen, screens: true, stream: true, dialect: &own, handle: askBatch},
		{pattern: "GET /v1/health", name: "health", dialect: &own, handle: health},
		{pattern: "GET /v1/ready", name: "ready", dialect: &own, handle: readiness},
		{pattern: "GET /v1/version", name: "version", dialect: &own, handle: version},
		{pattern: "GET /v1/openapi.json", name: "openapi", dialect: &own, handle: openAPI},
		{pattern: "GET /metrics", name: "metrics", scope: ScopeMetrics, dialect: &own, handle: scrape},
	}
}

func (s *Server) allRoutes() []route {
	routes := ownRoutes()
	for _, of := range [...][]route{sanctionsRoutes(), entitiesRoutes(), trmRoutes(), mistRoutes(), oracleRoutes()} {
		routes = append(routes, of...)
	}
	return routes
}

// askAddress: GET /v1/addresses/{address}.
func askAddress(c *call) *fault {
	a, err := parseQuery(c.r.URL.RawQuery)
	if err != nil {
		return badQuestion(err)
	}
	a.Address = c.r.PathValue("address")
	return c.answerAsked(a)
}

// askTransfer: POST /v1/transfers, a transfer before it is made.
func askTransfer(c *call) *fault {
	b, f := c.body()
	if f != nil {
		return f
	}
	a, err := parseAsked(b)
	switch {
	case err != nil:
		return badQuestion(err)
	case a.Direction != "in" && a.Direction != "out":
		return badQuestion(errors.New("a transfer has a direction: in takes money from the address, out sends money to it"))
	case a.Asset == "" || a.Amount == "":
		return badQuestion(errors.New("a transfer has an asset and an amount"))
	}
	return c.answerAsked(a)
}

func (c *call) answerAsked(a asked) *fault {
	q, err := a.question(c.config.Now().Unix())
	if err != nil {
		return badQuestion(err)
	}
	v, f := c.screen(c.ctx, q)
	if f != nil {
		return f
	}
	writeJSON(c.w, http.StatusOK, v)
	return nil
}

// A TxVerdict is what is said about everybody in one transaction.
type TxVerdict struct {
	Chain    flow.Chain       `json:"chain"`
	Tx       flow.Hash        `json:"tx"`
	Decision screen.Decision  `json:"decision"` // the strictest of all
	Unknown  bool             `json:"unknown"`  // nobody says who one of them is
	Partial  bool             `json:"partial"`
	Verdicts []screen.Verdict `json:"verdicts"` // in the order in which the transaction names them
	Omitted  int              `json:"omitted"`  // accounts that were not asked for, beyond MaxTxAccounts
}

// MaxTxAccounts bounds how many accounts of one transaction are asked for.
const MaxTxAccounts = 64

// askTransaction: GET /v1/transactions/{chain}/{hash}.
func askTransaction(c *call) *fault {
	a, err := parseQuery(c.r.URL.RawQuery)
	if err != nil {
		return badQuestion(err)
	}
	chain, err := flow.ParseChain(c.r.PathValue("chain"))
	if err != nil {
		return badQuestion(err)
	}
	hash, err := flow.ParseHash(c.r.PathValue("hash"))
	if err != nil {
		return badQuestion(err)
	}
	tx, err := c.world.Tx(c.ctx, chain, hash)
	if errors.Is(err, ErrNoTx) {
		return &fault{status: 404, word: "transaction", title: "No such transaction", detail: "the store does not hold it; that is no clearance", hint: "ingest the block that holds it first"}
	}
	if err != nil {
		c.config.Log.Error("transaction", "id", c.id, "error", clean(err.Error()))
		return &fault{status: 503, word: "blind", title: "No verdict can be given", detail: "the store could not be read", hint: "treat it as not cleared", retry: 5}
	}
	accounts, missing := parties(tx)
	out := TxVerdict{Chain: chain, Tx: hash, Decision: screen.Allow, Partial: missing, Verdicts: []screen.Verdict{}}
	if n := len(accounts) - MaxTxAccounts; n > 0 {
		out.Omitted, accounts = n, accounts[:MaxTxAccounts]
	}
	for _, account := range accounts {
		a.Address = account.String()
		q, err := a.question(c.config.Now().Unix())
		if err != nil {
			return badQuestion(err)
		}
		v, f := c.screen(c.ctx, q)
		if f != nil {
			return f
		}
		out.Decision = max(out.Decision, v.Decision)
		out.Unknown = out.Unknown || v.Unknown
		out.Partial = out.Partial || v.Partial
		out.Verdicts = append(out.Verdicts, *v)
	}
	if out.Omitted > 0 || missing || len(accounts) == 0 { // who was not seen is not cleared
		out.Partial = true
		out.Decision = max(out.Decision, screen.Attention)
	}
	writeJSON(c.w, http.StatusOK, out)
	return nil
}

// parties are the accounts of a transaction in the order in which it names them; missing says that it spends outputs
// whose owner is not known.
func parties(tx flow.Tx) (accounts []flow.Account, missing bool) {
	seen := map[flow.Account]bool{}
	for _, m := range tx.Movements {
		for _, legs := range [...][]flow.Leg{m.In, m.Out} {
			for _, l := range legs {
				if l.Account.IsZero() {
					missing = true
				} else if !seen[l.Account] {
					seen[l.Account] = true
					accounts = append(accounts, l.Account)
				}
			}
		}
	}
	return accounts, missing
}

// A batchLine is one line of the answer to a batch. The last line of a whole answer has Done; an answer without it broke
// off.
type batchLine struct {
	Line    int             `json:"line,omitempty"` // of the question, from 1
	ID      string          `json:"id,omitempty"`   // that the question gave
	Verdict *screen.Verdict `json:"verdict,omitempty"`
	Error   *Problem        `json:"error,omitempty"`
	Done    *batchDone      `json:"done,omitempty"`
}

type batchDone struct {
	Lines     int            `json:"lines"`
	Errors    int            `json:"errors"` // lines that got no verdict: nobody is cleared by them
	Decisions map[string]int `json:"decisions"`
}

// batchWindow is how many lines of a batch are answered and kept at once, at most, and batchWorkers by how many.
const (
	batchWindow  = 256
	batchWorkers = 8
)

// A batchText is one line of a batch as it came.
type batchText struct {
	line int
	text []byte
}

// askBatch: POST /v1/batch. Lines come in and go out as they come, in their order, however many there are.
func askBatch(c *call) *fault {
	select {
	case c.batches <- struct{}{}:
		defer func() { <-c.batches }()
	default:
		return &fault{status: 503, word: "busy", title: "Too many batches at once", hint: "come again after the seconds of Retry-After", retry: 5}
	}
	rc := http.NewResponseController(c.w)
	if err := rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return &fault{status: 500, title: "Internal error"}
	}
	in := bufio.NewReaderSize(c.r.Body, c.config.MaxLine)
	out := bufio.NewWriterSize(c.w, 32<<10)
	enc := json.NewEncoder(out)
	done := batchDone{Decisions: map[string]int{}}
	c.w.Header().Set("Content-Type", "application/x-ndjson")
	n := 0
	for {
		if out.Flush() != nil || rc.Flush() != nil {
			return nil // nobody listens
		}
		extend(rc, c.config.ReadTimeout)
		window, end, broken := c.readWindow(in, &n)
		extend(rc, c.config.ReadTimeout+c.config.Timeout*batchWindow/batchWorkers)
		for _, l := range c.answerWindow(window) {
			done.Lines++
			if l.Verdict != nil {
				done.Decisions[l.Verdict.Decision.String()]++
			} else {
				done.Errors++
			}
			if enc.Encode(l) != nil {
				return nil
			}
		}
		if broken != nil {
			p := broken.problem(c.id)
			enc.Encode(batchLine{Line: n, Error: &p})
			out.Flush()
			rc.Flush()
			panic(http.ErrAbortHandler) // so that nobody takes it for a whole answer
		}
		if end {
			enc.Encode(batchLine{Done: &done})
			out.Flush()
			return nil
		}
	}
}

// readWindow waits for one line, and takes those that have come with it. n counts the lines.
func (c *call) readWindow(in *bufio.Reader, n *int) (window []batchText, end bool, broken *fault) {
	for len(window) < batchWindow {
		if len(window) > 0 {
			if b, err := in.Peek(in.Buffered()); err != nil || bytes.IndexByte(b, '\n') < 0 {
				return window, false, nil // who sends one line at a time waits for its answer
			}
		}
		line, err := in.ReadSlice('\n')
		end = errors.Is(err, io.EOF)
		if end && len(line) == 0 {
			return window, true, nil
		}
		*n++
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return window, false, &fault{status: 413, word: "too-large", title: "The line is too long"}
		case err != nil && !end:
			return window, false, &fault{status: 400, word: "body", title: "The batch broke off"}
		case *n > c.config.MaxLines:
			return window, false, &fault{status: 413, word: "too-large", title: "The batch has too many lines"}
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			window = append(window, batchText{*n, bytes.Clone(text)})
		}
		if end {
			return window, true, nil
		}
	}
	return window, false, nil
}

// answerWindow answers lines by several workers, in their order, and keeps the verdicts together: one wait for the disk.
func (c *call) answerWindow(window []batchText) []batchLine {
	out := c.askWindow(window)
	verdicts := make([]screen.Verdict, 0, len(out))
	for _, l := range out {
		if l.Verdict != nil {
			verdicts = append(verdicts, *l.Verdict)
		}
	}
	if len(verdicts) == 0 {
		return out
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.config.Timeout)
	defer cancel()
	if f := c.keep(ctx, verdicts...); f != nil {
		p := f.problem(c.id)
		for i := range out {
			if out[i].Verdict != nil {
				out[i].Verdict, out[i].Error = nil, &p
			}
		}
	}
	return out
}

func (c *call) askWindow(window []batchText) []batchLine {
	out := make([]batchLine, len(window))
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(len(window), batchWorkers) {
		group.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(window); i = next.Add(1) - 1 {
				out[i] = c.answerLine(window[i])
			}
		})
	}
	group.Wait()
	return out
}

// answerLine answers one line, whatever happens: a mistake of ours costs that line its verdict, and nothing else.
func (c *call) answerLine(t batchText) (l batchLine) {
	defer func() {
		if p := recover(); p != nil {
			c.config.Log.Error("panic", "id", c.id, "route", c.route.name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			problem := (&fault{status: 500, title: "Internal error", detail: "the server made a mistake"}).problem(c.id)
			l = batchLine{Error: &problem}
		}
		l.Line = t.line
	}()
	return c.batchLine(c.ctx, t.text)
}

// extend gives the other side so much more time.
func extend(rc *http.ResponseController, d time.Duration) {
	t := time.Now().Add(d) // the network's clock
	rc.SetReadDeadline(t)
	rc.SetWriteDeadline(t.Add(d))
}

// batchLine answers one line: a question as a JSON object, an address as a JSON text, or a bare address.
func (c *call) batchLine(ctx context.Context, text []byte) batchLine {
	var a asked
	var err error
	switch text[0] {
	case '{':
		a, err = parseAsked(text)
	case '"':
		err = json.Unmarshal(text, &a.Address)
	default:
		a.Address = string(text)
	}
	l := batchLine{ID: clean(a.ID)}
	f := c.patience(ctx)
	var q screen.Question
	if f == nil && err == nil {
		q, err = a.question(c.config.Now().Unix())
	}
	if f == nil && err != nil {
		f = badQuestion(err)
	}
	if f == nil {
		f = c.fitToScreen()
	}
	if f == nil {
		ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
		defer cancel()
		l.Verdict, f = c.ask(ctx, q)
	}
	if f != nil {
		p := f.problem(c.id)
		l.Error = &p
	}
	return l
}

// patience waits until the caller may ask the next question of a batch.
func (c *call) patience(ctx context.Context) *fault {
	if c.bucket == nil {
		return nil
	}
	if err := c.bucket.Wait(ctx); err != nil {
		return &fault{status: 503, word: "busy", title: "The batch was stopped"}
	}
	return nil
}
