package rpc

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/internal/fetch"
)

// serve starts a server and a client of it.
func serve(t *testing.T, c Config, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c.URL, c.Private = s.URL+c.URL, true
	if c.Socket != "" {
		c.Socket = "ws" + strings.TrimPrefix(s.URL, "http") + c.Socket
	}
	k, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// says is a server that gives one answer to everything.
func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestCallInEveryDialect(t *testing.T) {
	for _, c := range []struct {
		name, body string
		status     int
		want       string // the result, or
		is         error  // the error
		text       string // a part of it
		after      time.Duration
	}{
		{name: "2.0", status: 200, body: `{"jsonrpc":"2.0","id":0,"result":"0x1"}`, want: `"0x1"`},
		{name: "1.0", status: 200, body: `{"result":12.50000000,"error":null,"id":0}`, want: `12.50000000`},
		{name: "null", status: 200, body: `{"jsonrpc":"2.0","id":0,"result":null}`, want: `null`},
		{name: "id-as-text", status: 200, body: `{"jsonrpc":"2.0","id":"0","result":1}`, want: `1`},
		{name: "core-error", status: 500, body: `{"result":null,"error":{"code":-5,"message":"Block not found"},"id":0}`, text: `"Block not found" (code -5)`},
		{name: "core-method", status: 404, body: `{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":0}`, is: ErrMethod},
		{name: "core-warming-up", status: 500, body: `{"result":null,"error":{"code":-28,"message":"Loading block index…"},"id":0}`, is: ErrBusy},
		{name: "core-queue", status: 503, body: `Work queue depth exceeded`, is: ErrBusy},
		{name: "geth-method", status: 200, body: `{"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"the method trace_block does not exist/is not available"}}`, is: ErrMethod},
		{name: "geth-large", status: 200, body: `{"jsonrpc":"2.0","id":0,"error":{"code":-32003,"message":"response too large"}}`, is: ErrTooLarge},
		{name: "limit-1", status: 200, body: `{"jsonrpc":"2.0","id":0,"error":{"code":-32005,"message":"daily request count exceeded"}}`, is: ErrBusy},
		{name: "limit-2", status: 200, body: `{"jsonrpc":"2.0","id":0,"error":{"code":-32016,"message":"over rate limit"}}`, is: ErrBusy},
		{name: "limit-range", status: 200, body: `{"jsonrpc":"2.0","id":0,"error":{"code":-32005,"message":"query returned more than 10000 results"}}`, is: ErrTooLarge},
		{name: "429", status: 429, body: `slow down`, is: ErrBusy, after: 7 * time.Second},
		{name: "413", status: 413, body: `no`, is: ErrTooLarge},
		{name: "error-as-text", status: 200, body: `{"error":"unauthorized","id":0}`, text: `"unauthorized"`},
		{name: "error-without-id", status: 200, body: `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}`, text: "parse error"},
		{name: "another-id", status: 200, body: `{"jsonrpc":"2.0","id":1,"result":"0x1"}`, is: ErrAnswer},
		{name: "neither", status: 200, body: `{"jsonrpc":"2.0","id":0}`, is: ErrAnswer},
		{name: "html", status: 200, body: `<html>captcha</html>`, is: ErrAnswer},
		{name: "html-502", status: 502, body: `<html>bad gateway</html>`, text: "HTTP 502 Bad Gateway"},
		{name: "cut-off", status: 200, body: `{"jsonrpc":"2.0","id":0,"result":"0x`, is: ErrAnswer},
		{name: "empty", status: 200, body: ``, is: ErrAnswer},
		{name: "list", status: 200, body: `[]`, is: ErrAnswer},
		{name: "deep", status: 200, body: `{"jsonrpc":"2.0","id":0,"result":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, is: ErrAnswer},
		{name: "result-of-500", status: 500, body: `{"jsonrpc":"2.0","id":0,"result":"0x1"}`, text: "HTTP 500"},
		{name: "redirect", status: 302, body: ``, is: fetch.ErrRedirect},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := serve(t, Config{MaxDepth: 50}, says(c.status, c.body, "Retry-After", "7"))
			var got json.RawMessage
			err := k.Call(t.Context(), "m", nil, &got)
			switch {
			case c.want != "" && (err != nil || string(got) != c.want):
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			case c.want == "" && err == nil:
				t.Errorf("got %s; want an error", got)
			case c.is != nil && !errors.Is(err, c.is):
				t.Errorf("error %v; want %v", err, c.is)
			case !strings.Contains(fmt.Sprint(err), c.text):
				t.Errorf("error %v; want %q in it", err, c.text)
			}
			if c.after != 0 && Wait(err) != c.after {
				t.Errorf("wait %v; want %v", Wait(err), c.after)
			}
			for _, other := range []error{ErrMethod, ErrBusy, ErrTooLarge} {
				if errors.Is(err, other) && other != c.is {
					t.Errorf("%v is %v too", err, other)
				}
			}
		})
	}
}

func TestWhatIsAsked(t *testing.T) {
	k := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if want := `{"jsonrpc":"2.0","id":0,"method":"getblock","params":["ab",0]}`; string(body) != want || r.Method != "POST" {
			t.Errorf("%s %s; want %s", r.Method, body, want)
		}
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("Accept-Encoding %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		fmt.Fprint(z, `{"id":0,"result":"`, strings.Repeat("a", 100_000), `"}`)
		z.Close()
	})
	var s string
	if err := k.Call(t.Context(), "getblock", []any{"ab", 0}, &s); err != nil || len(s) != 100_000 {
		t.Errorf("%d bytes, %v", len(s), err)
	}
	var n int
	if err := k.Call(t.Context(), "getblock", []any{"ab", 0}, &n); !errors.Is(err, ErrAnswer) {
		t.Errorf("text read as a number: %v", err)
	}
	if err := k.CallMost(t.Context(), 99_999, "getblock", []any{"ab", 0}, &s); !errors.Is(err, ErrTooLarge) {
		t.Errorf("unpacked it is larger than allowed: %v", err)
	}
	if err := k.Call(t.Context(), "getblock", []any{"ab", 0}, nil); err != nil {
		t.Errorf("dropped result: %v", err)
	}
}

// TestNothingSecretIsRetold gives secrets in every place there is, and lets everything go wrong.
func TestNothingSecretIsRetold(t *testing.T) {
	const key, query, password = "k3y0123456789", "q5ery0123456789", "p4ssw0rd01234"
	answers := []http.HandlerFunc{
		func(w http.ResponseWriter, r *http.Request) {
			user, pass, _ := r.BasicAuth()
			fmt.Fprintf(w, `{"id":0,"error":{"code":1,"message":%q,"data":%q}}`, r.URL.String()+"\u202e\n"+user+":"+pass+strings.Repeat("x", 10_000), r.URL.String())
		},
		says(401, key), says(200, key), says(302, "", "Location", "http://127.0.0.1:1/"+key),
		func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
	}
	for i, h := range answers {
		k := serve(t, Config{URL: "/v3/" + key + "?token=" + query, User: "me", Password: password, Socket: "/v3/" + key}, h)
		err := k.Call(t.Context(), "m", nil, nil)
		batch := k.Batch(t.Context(), make([]Call, 3))
		socket := k.Subscribe(t.Context(), "m", nil, nil, nil)
		for _, err := range []error{err, batch, socket} {
			if text := fmt.Sprintf("%v %+v", err, err); err == nil && i != 0 || strings.Contains(text, key) || strings.Contains(text, query) || strings.Contains(text, password) || strings.Contains(text, "\u202e") || len(text) > 1500 {
				t.Errorf("answer %d: %q", i, text)
			}
			var said *Error
			if errors.As(err, &said) && bytes.Contains(said.Data, []byte(key)) {
				t.Errorf("answer %d: data %s", i, said.Data)
			}
		}
		if strings.Contains(k.Name(), "/") || !strings.HasPrefix(k.Name(), "127.0.0.1:") {
			t.Errorf("name %q", k.Name())
		}
	}
	for _, c := range []Config{{URL: "ftp://" + key}, {URL: "http://a/" + key + "\x7f"}, {URL: "http://me:" + password + "@a", User: "b"}, {URL: "http://a", Socket: "http://" + key}, {}} {
		if _, err := New(c); err == nil || strings.Contains(err.Error(), key) || strings.Contains(err.Error(), password) {
			t.Errorf("configuration %+v: %v", c, err)
		}
	}
}

func TestPrivateAddressesAreClosedUnlessConfigured(t *testing.T) {
	k, err := New(Config{URL: "http://127.0.0.1:1", Socket: "ws://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Call(t.Context(), "m", nil, nil); !errors.Is(err, fetch.ErrPrivate) {
		t.Errorf("call: %v", err)
	}
	if err := k.Subscribe(t.Context(), "m", nil, nil, nil); !errors.Is(err, fetch.ErrPrivate) {
		t.Errorf("socket: %v", err)
	}
}

func TestLoginFromFilesIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	want, asked := "first", 0
	h := func(w http.ResponseWriter, r *http.Request) {
		asked++
		user, pass, _ := r.BasicAuth()
		if !(user == "__cookie__" && pass == want) && r.Header.Get("Authorization") != "Bearer "+want && r.Header.Get("X-Key") != want {
			w.WriteHeader(401)
			return
		}
		io.WriteString(w, `{"id":0,"result":1}`)
	}
	for name, c := range map[string]struct {
		config Config
		format string
	}{
		"cookie": {Config{CookieFile: filepath.Join(dir, "cookie")}, "__cookie__:%s"},
		"bearer": {Config{BearerFile: filepath.Join(dir, "bearer")}, "%s\n"},
		"header": {Config{HeaderFiles: map[string]string{"X-Key": filepath.Join(dir, "header")}}, "%s\r\n"},
	} {
		want, asked = "first", 0
		file(name, fmt.Sprintf(c.format, want))
		k := serve(t, c.config, h)
		for _, want = range []string{"first", "second"} {
			file(name, fmt.Sprintf(c.format, want))
			if err := k.Call(t.Context(), "m", nil, nil); err != nil {
				t.Errorf("%s: %s: %v", name, want, err)
			}
		}
		if asked != 3 {
			t.Errorf("%s: asked %d times; want 3: the second call twice", name, asked)
		}
		want = "third" // of which the file knows nothing
		var s *Status
		if err := k.Call(t.Context(), "m", nil, nil); !errors.As(err, &s) || s.Code != 401 || asked != 5 {
			t.Errorf("%s: %v after %d requests", name, err, asked)
		}
	}
	for _, text := range []string{"", "\n", "without a colon", "a:b\nc", strings.Repeat("a:b", 10_000)} {
		k := serve(t, Config{CookieFile: file("bad", text)}, h)
		if err := k.Call(t.Context(), "m", nil, nil); err == nil || strings.Contains(err.Error(), "colon") {
			t.Errorf("cookie %.20q: %v", text, err)
		}
	}
	k := serve(t, Config{CookieFile: filepath.Join(dir, "absent")}, h)
	if err := k.Call(t.Context(), "m", nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no cookie: %v", err)
	}
}

func TestDeadline(t *testing.T) {
	stop := make(chan struct{})
	k := serve(t, Config{Timeout: 20 * time.Millisecond}, func(http.ResponseWriter, *http.Request) { <-stop })
	defer close(stop)
	if err := k.Call(t.Context(), "m", nil, nil); !isTimeout(err) {
		t.Errorf("%v; want a timeout", err)
	}
}

func TestRetryAfterIsReadAndBounded(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, " 3 ": 3 * time.Second, "-1": 0, "x": 0, "99999999": mostWait, "99999999999999999999": 0,
		now.Add(5 * time.Second).Format(http.TimeFormat): 5 * time.Second, now.Add(-time.Hour).Format(http.TimeFormat): 0,
		now.Add(1000 * time.Hour).Format(http.TimeFormat): mostWait,
	} {
		if got := after(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("Retry-After %q: %v; want %v", text, got, want)
		}
	}
}

func TestPatienceIsGranted(t *testing.T) {
	asked := 0
	k := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			says(429, "no", "Retry-After", "60")(w, r)
			return
		}
		io.WriteString(w, `{"id":0,"result":1}`)
	})
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	k.now = func() time.Time { return now }
	for _, c := range []struct {
		at    time.Duration
		wait  time.Duration // 0 for an answer
		asked int
	}{{0, 60 * time.Second, 1}, {0, 60 * time.Second, 1}, {59 * time.Second, time.Second, 1}, {60 * time.Second, 0, 2}, {61 * time.Second, 0, 3}} {
		now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Add(c.at)
		err := k.Call(t.Context(), "m", nil, nil)
		if Wait(err) != c.wait || errors.Is(err, ErrBusy) != (c.wait > 0) || (err == nil) != (c.wait == 0) || asked != c.asked {
			t.Errorf("after %v: %v after %d requests; want %+v", c.at, err, asked, c)
		}
	}
}
