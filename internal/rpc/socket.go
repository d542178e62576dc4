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

	"github.com/coder/websocket"
)

// ErrNoSocket is returned by Subscribe where no socket is configured.
var ErrNoSocket = errors.New("no socket is configured")

// mostNotice is how many bytes one message of a socket may have, where Config.MaxAnswer allows as many.
const mostNotice = 4 << 20

// Subscribe opens a socket, asks one question that makes the endpoint talk by itself, and calls each with every notice: its
// method and its parameters. begun is called once with the answer, as soon as the endpoint has agreed. It blocks until
// ctx is done, the connection is lost, or each returns an error, and leaves nothing behind. Neither function is called by two
// goroutines at once; while they work the endpoint waits. The error is never nil: an *Error where the endpoint refuses, a
// *Status, ErrNoSocket, ErrTooLarge, ErrAnswer, and those of the connection.
func (c *Client) Subscribe(ctx context.Context, method string, params []any, begun func(answer json.RawMessage), each func(method string, params json.RawMessage) error) error {
	if c.config.Socket == "" {
		return c.at(method, ErrNoSocket)
	}
	ask, err := json.Marshal(request(0, Call{Method: method, Params: params}))
	if err != nil {
		return c.at(method, err)
	}
	conn, done, err := c.dial(ctx)
	if err != nil {
		return c.at(method, c.lost(ctx, err))
	}
	defer done()
	conn.SetReadLimit(min(mostNotice, c.config.MaxAnswer))
	if err := conn.Write(ctx, websocket.MessageText, ask); err != nil {
		return c.at(method, c.lost(ctx, err))
	}
	for agreed := false; ; {
		_, text, err := c.read(ctx, conn, agreed)
		if err != nil {
			return c.at(method, c.lost(ctx, err))
		}
		n, err := readNotice(text, c.config.MaxDepth)
		switch {
		case err != nil:
			return c.at(method, err)
		case n.method != "":
			if err := each(n.method, n.params); err != nil {
				_ = conn.Close(websocket.StatusNormalClosure, "") // it is over in any case
				return err
			}
		case n.answer.err != nil:
			return c.at(method, c.clean(n.answer.err))
		case !agreed:
			agreed = true
			begun(n.answer.result)
		}
	}
}

// read takes the next message. The answer has a deadline; notices come when they come, and the ping finds out whether the
// connection lives.
func (c *Client) read(ctx context.Context, conn *websocket.Conn, agreed bool) (websocket.MessageType, []byte, error) {
	if !agreed {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.config.Timeout)
		defer cancel()
	}
	return conn.Read(ctx)
}

// dial opens the socket, once more where the endpoint refused a login from a file. done closes it and waits for what
// belongs to it.
func (c *Client) dial(ctx context.Context) (conn *websocket.Conn, done func(), err error) {
	for again := false; ; again = true {
		header, err := c.headers(again)
		if err != nil {
			return nil, nil, err
		}
		via := c.fetch.Upgrade()
		conn, resp, err := websocket.Dial(ctx, c.socket, &websocket.DialOptions{HTTPClient: via, HTTPHeader: header.Clone()})
		if err == nil {
			stop := c.ping(conn)
			return conn, func() {
				_ = conn.CloseNow() // what could still be said is not needed
				stop()
				via.CloseIdleConnections()
			}, nil
		}
		via.CloseIdleConnections()
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			if resp.StatusCode == http.StatusUnauthorized && !again && c.hasFiles() {
				continue
			}
			return nil, nil, &Status{Code: resp.StatusCode, After: after(resp.Header, time.Now())}
		}
		return nil, nil, err
	}
}

// ping asks every now and then whether the connection lives, and closes it where it does not. stop waits until that is
// over; the connection is closed by then.
func (c *Client) ping(conn *websocket.Conn) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(c.config.Ping)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
			err := conn.Ping(ctx)
			cancel()
			if err != nil {
				_ = conn.CloseNow() // the reader learns it from its next read
				return
			}
		}
	})
	return func() {
		cancel()
		wait.Wait()
	}
}

// lost makes an error of the connection fit to be shown: those of HTTP retell the whole address.
func (c *Client) lost(ctx context.Context, err error) error {
	var u *url.Error
	var closed websocket.CloseError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, websocket.ErrMessageTooBig):
		return fmt.Errorf("%w: a message of its socket", ErrTooLarge)
	case errors.As(err, &closed):
		return fmt.Errorf("the endpoint closed its socket: %s %q", closed.Code, c.clean(&Error{Message: closed.Reason}).Message)
	case errors.As(err, &u):
		return fmt.Errorf("its socket: %w", u.Err)
	}
	return fmt.Errorf("its socket: %w", err)
}

// A notice is one message of a socket: what the endpoint says by itself, or the answer to the question.
type notice struct {
	method string // empty for the answer
	params json.RawMessage
	answer reply
}

// readNotice reads one message. Errors wrap ErrAnswer.
func readNotice(text []byte, depth int) (notice, error) {
	if err := bounded(text, depth); err != nil {
		return notice{}, err
	}
	var n struct {
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
	}
	if err := json.Unmarshal(text, &n); err != nil {
		return notice{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if n.Method != "" {
		return notice{method: n.Method, params: n.Params}, nil
	}
	r, err := parse(text, depth)
	return notice{answer: r}, err
}
