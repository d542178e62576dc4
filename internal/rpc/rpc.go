// Package rpc asks one JSON-RPC endpoint: calls, batches of the size that it bears, and subscriptions.
package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/spoor-dev/spoor/internal/fetch"
)

// Config is where an endpoint is and how it is asked. Secrets come from files, which are read when they are needed and
// again after the endpoint refused what they held.
type Config struct {
	URL         string            // http or https; a user and a password in it are taken as User and Password
	Socket      string            // ws or wss, for Subscribe; none if empty
	User        string            // of HTTP basic authentication; none if empty
	Password    string            //
	CookieFile  string            // holds user:password, as Bitcoin Core writes it anew at each start
	BearerFile  string            // holds the token of an Authorization: Bearer header
	HeaderFiles map[string]string // the name of a header -> the file that holds its value
	Private     bool              // private and loopback addresses may be asked too
	Timeout     time.Duration     // of one request with its answer; 30 s if 0
	Slow        time.Duration     // a batch that took longer is followed by smaller ones; a quarter of Timeout if 0
	MaxAnswer   int64             // bytes of one answer, a whole batch or a message of a socket; 64 MiB if 0
	MaxDepth    int               // brackets inside brackets in one answer; 4096 if 0
	MaxBatch    int               // calls in one request; 100 if 0, 1 where the endpoint knows no batches
	Ping        time.Duration     // how often a socket is asked whether it lives; 20 s if 0
}

// A Client asks one endpoint. It is safe for several goroutines.
type Client struct {
	config Config
	url    string // without user and password
	socket string // empty if there is none
	name   string
	secret []string // what no error may retell
	fetch  *fetch.Client

	now func() time.Time

	mu    sync.Mutex
	login login     // guarded by mu
	size  int       // of the next batch; guarded by mu
	until time.Time // the endpoint asked for patience until then; guarded by mu
}

// A Call is one question. Batch fills Err, and Result where Err is nil.
type Call struct {
	Method string
	Params []any // positional; none if nil
	Result any   // a pointer that the answer is read into, as by json.Unmarshal; a *json.RawMessage takes it as it is
	Err    error
}

// New makes a client. Nothing is asked yet. Errors are about the configuration and hold no secret.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the address of the endpoint is not http://… or https://…")
	}
	socket := ""
	if c.Socket != "" {
		s, err := url.Parse(c.Socket)
		if err != nil || s.Host == "" || s.Scheme != "ws" && s.Scheme != "wss" || s.User != nil {
			return nil, fmt.Errorf("%s: the address of its socket is not ws://… or wss://… without a user", u.Host)
		}
		socket = s.String()
	}
	if u.User != nil {
		if c.User != "" || c.CookieFile != "" {
			return nil, fmt.Errorf("%s: two users are configured", u.Host)
		}
		c.User = u.User.Username()
		c.Password, _ = u.User.Password()
		u.User = nil
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Slow <= 0 {
		c.Slow = c.Timeout / 4
	}
	if c.MaxAnswer <= 0 {
		c.MaxAnswer = 64 << 20
	}
	if c.MaxDepth <= 0 {
		c.MaxDepth = 4096
	}
	if c.MaxBatch <= 0 {
		c.MaxBatch = 100
	}
	if c.Ping <= 0 {
		c.Ping = 20 * time.Second
	}
	k := &Client{config: c, url: u.String(), socket: socket, name: u.Host, now: time.Now, size: c.MaxBatch, secret: secrets(c)}
	k.fetch = fetch.New(fetch.Config{Timeout: c.Timeout, MaxBody: c.MaxAnswer, Private: c.Private})
	return k, nil
}

// Name is the host of the endpoint, with its port where the address has one, and nothing else of the address.
func (c *Client) Name() string { return c.name }

// Close ends the idle connections.
func (c *Client) Close() { c.fetch.Close() }

// Call asks one question and reads the answer into result, a pointer; nil drops it. Errors: *Error where the endpoint
// itself says what is wrong, *Status for an HTTP answer that is no JSON-RPC, ErrAnswer, and those of fetch; ErrMethod, ErrBusy
// and ErrTooLarge tell the common ones apart. An endpoint that said for how long it wants patience is not asked before:
// until then every question is answered by a *Status that is ErrBusy.
func (c *Client) Call(ctx context.Context, method string, params []any, result any) error {
	return c.CallMost(ctx, c.config.MaxAnswer, method, params, result)
}

// CallMost is Call with a bound of its own for the bytes of the answer.
func (c *Client) CallMost(ctx context.Context, most int64, method string, params []any, result any) error {
	call := Call{Method: method, Params: params, Result: result}
	body, err := json.Marshal(request(0, call))
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	status, answer, err := c.post(ctx, body, most)
	if err != nil {
		return c.at(method, err)
	}
	r, err := parse(answer, c.config.MaxDepth)
	if err != nil {
		return c.at(method, failure(status, err))
	}
	return c.at(method, c.take(&call, status, r))
}

// A message is a question on the wire.
type message struct {
	Version string `json:"jsonrpc"`
	ID      int    `json:"id"`
	Method  string `json:"method"`
	Params  []any  `json:"params"`
}

func request(id int, call Call) message {
	m := message{"2.0", id, call.Method, call.Params}
	if m.Params == nil {
		m.Params = []any{}
	}
	return m
}

// take reads one reply.
func (c *Client) take(call *Call, status answerStatus, r reply) error {
	switch {
	case r.err != nil:
		return c.clean(r.err)
	case status.code != http.StatusOK:
		return status.failure()
	case call.Result == nil:
		return nil
	}
	if raw, ok := call.Result.(*json.RawMessage); ok {
		*raw = r.result
		return nil
	}
	if err := json.Unmarshal(r.result, call.Result); err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return nil
}

// at says which endpoint was asked what.
func (c *Client) at(method string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", c.name, method, err)
}
