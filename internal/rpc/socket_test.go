package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// socket is a server that reads the question and then does as it is told. Until it returns the connection stays.
func socket(t *testing.T, do func(ctx context.Context, c *websocket.Conn, question string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		_, question, err := c.Read(r.Context())
		if err != nil {
			t.Errorf("question: %v", err)
			return
		}
		do(r.Context(), c, string(question))
	}
}

func write(ctx context.Context, c *websocket.Conn, text string) {
	_ = c.Write(ctx, websocket.MessageText, []byte(text)) // the client may have gone
}

const agreed = `{"jsonrpc":"2.0","id":0,"result":"0xabc"}`

func notices(n int) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0xabc","result":%d}}`, n)
}

func TestSubscribe(t *testing.T) {
	k := serve(t, Config{Socket: "/ws"}, socket(t, func(ctx context.Context, c *websocket.Conn, question string) {
		if want := `{"jsonrpc":"2.0","id":0,"method":"eth_subscribe","params":["newHeads"]}`; question != want {
			t.Errorf("question %s; want %s", question, want)
		}
		write(ctx, c, agreed)
		for i := range 3 {
			write(ctx, c, notices(i))
		}
		<-c.CloseRead(ctx).Done()
	}))
	var told []string
	enough := errors.New("enough")
	err := k.Subscribe(t.Context(), "eth_subscribe", []any{"newHeads"}, func(answer json.RawMessage) { told = append(told, string(answer)) },
		func(method string, params json.RawMessage) error {
			told = append(told, method+" "+string(params))
			if len(told) == 4 {
				return enough
			}
			return nil
		})
	if want := `["0xabc" eth_subscription {"subscription":"0xabc","result":0} eth_subscription {"subscription":"0xabc","result":1} eth_subscription {"subscription":"0xabc","result":2}]`; fmt.Sprint(told) != want || !errors.Is(err, enough) {
		t.Errorf("told %s, %v; want %s", told, err, want)
	}
}

func TestSocketThatFails(t *testing.T) {
	quiet := func(ctx context.Context, c *websocket.Conn, _ string) { <-c.CloseRead(ctx).Done() }
	for _, c := range []struct {
		name   string
		config Config
		do     func(ctx context.Context, c *websocket.Conn, question string)
		is     error
		text   string
	}{
		{name: "refused", do: func(ctx context.Context, c *websocket.Conn, _ string) {
			write(ctx, c, `{"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"notifications not supported"}}`)
		}, is: ErrMethod},
		{name: "lost", do: func(ctx context.Context, c *websocket.Conn, _ string) { write(ctx, c, agreed); _ = c.CloseNow() }, text: "its socket"},
		{name: "closed", do: func(ctx context.Context, c *websocket.Conn, _ string) { _ = c.Close(1001, "bye") }, text: `closed its socket: StatusGoingAway "bye"`},
		{name: "garbage", do: func(ctx context.Context, c *websocket.Conn, _ string) {
			write(ctx, c, agreed)
			write(ctx, c, `{"method":`)
		}, is: ErrAnswer},
		{name: "deep", do: func(ctx context.Context, c *websocket.Conn, _ string) { write(ctx, c, strings.Repeat("[", 5000)) }, is: ErrAnswer},
		{name: "too-large", config: Config{MaxAnswer: 1000}, do: func(ctx context.Context, c *websocket.Conn, _ string) {
			write(ctx, c, agreed)
			write(ctx, c, strings.Repeat(" ", 1001))
		}, is: ErrTooLarge},
		{name: "silent", config: Config{Timeout: 30 * time.Millisecond}, do: quiet, is: context.DeadlineExceeded},
		{name: "dead", config: Config{Timeout: 30 * time.Millisecond, Ping: time.Millisecond}, do: func(ctx context.Context, c *websocket.Conn, _ string) {
			write(ctx, c, agreed)
			<-ctx.Done() // nobody reads, so nobody answers the ping; the client's end ends the request
		}, text: "its socket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Socket = "/"
			end := make(chan struct{})
			defer close(end)
			k := serve(t, c.config, socket(t, func(ctx context.Context, conn *websocket.Conn, q string) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				go func() {
					select {
					case <-end:
						cancel()
					case <-ctx.Done():
					}
				}()
				c.do(ctx, conn, q)
			}))
			err := k.Subscribe(t.Context(), "eth_subscribe", nil, func(json.RawMessage) {}, func(string, json.RawMessage) error { return nil })
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(fmt.Sprint(err), c.text) {
				t.Errorf("%v; want %v %s", err, c.is, c.text)
			}
		})
	}
}

func TestSocketThatIsNone(t *testing.T) {
	k := serve(t, Config{}, says(200, ""))
	if err := k.Subscribe(t.Context(), "m", nil, nil, nil); !errors.Is(err, ErrNoSocket) {
		t.Errorf("no socket: %v", err)
	}
	k = serve(t, Config{Socket: "/ws"}, says(429, "", "Retry-After", "2"))
	if err := k.Subscribe(t.Context(), "m", nil, nil, nil); !errors.Is(err, ErrBusy) || Wait(err) != 2*time.Second {
		t.Errorf("429: %v", err)
	}
	k = serve(t, Config{Socket: "/ws"}, says(302, "", "Location", "/elsewhere"))
	if err := k.Subscribe(t.Context(), "m", nil, nil, nil); err == nil {
		t.Error("a redirect was followed")
	}
}

func TestSocketLoginIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	talk := socket(t, func(ctx context.Context, c *websocket.Conn, _ string) {
		write(ctx, c, agreed)
		write(ctx, c, notices(1))
	})
	k := serve(t, Config{Socket: "/", BearerFile: path}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer new" {
			if err := os.WriteFile(path, []byte("new"), 0o600); err != nil {
				t.Error(err)
			}
			w.WriteHeader(401)
			return
		}
		talk(w, r)
	})
	enough := errors.New("enough")
	if err := k.Subscribe(t.Context(), "m", nil, func(json.RawMessage) {}, func(string, json.RawMessage) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
}

func TestSubscribeLeavesNothingBehind(t *testing.T) {
	k := serve(t, Config{Socket: "/", Ping: time.Millisecond}, socket(t, func(ctx context.Context, c *websocket.Conn, _ string) {
		write(ctx, c, agreed)
		<-c.CloseRead(ctx).Done()
	}))
	before := runtime.NumGoroutine()
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		err := k.Subscribe(ctx, "m", nil, func(json.RawMessage) { cancel() }, nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v; want %v", err, context.Canceled)
		}
	}
	for try := 0; runtime.NumGoroutine() > before; try++ { // the server's own end a moment later
		if try == 2000 {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines; before %d\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(time.Millisecond)
	}
}
