package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A bench is a server that answers each question with its own first parameter, and refuses batches as it is told.
type bench struct {
	sizes  []int // of the requests that came
	refuse func(w http.ResponseWriter, n int) bool
	reply  func(id int, param string) string // in the place of the usual answer; "" leaves it out
}

func (b *bench) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var list []struct {
		ID     int
		Params []any
	}
	single := body[0] == '{'
	if single {
		body = []byte("[" + string(body) + "]")
	}
	if err := json.Unmarshal(body, &list); err != nil {
		panic(err)
	}
	b.sizes = append(b.sizes, len(list))
	if b.refuse != nil && b.refuse(w, len(list)) {
		return
	}
	var parts []string
	for _, q := range list {
		text := fmt.Sprint(q.Params[0])
		s := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":%q}`, q.ID, text)
		if b.reply != nil {
			s = b.reply(q.ID, text)
		}
		if s != "" {
			parts = append(parts, s)
		}
	}
	rand.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] }) // as the specification allows
	if single {
		io.WriteString(w, parts[0])
		return
	}
	io.WriteString(w, "["+strings.Join(parts, ",")+"]")
}

func questions(n int) ([]Call, []string) {
	calls, got := make([]Call, n), make([]string, n)
	for i := range calls {
		calls[i] = Call{Method: "echo", Params: []any{i}, Result: &got[i]}
	}
	return calls, got
}

// TestBatchFitsWhatTheEndpointBears: whatever limit an endpoint has and however it says so, everything is answered.
func TestBatchFitsWhatTheEndpointBears(t *testing.T) {
	ways := map[string]func(w http.ResponseWriter){
		"status":      func(w http.ResponseWriter) { w.WriteHeader(413) },
		"bad-request": func(w http.ResponseWriter) { w.WriteHeader(400); io.WriteString(w, "batch too large") },
		"object": func(w http.ResponseWriter) {
			io.WriteString(w, `{"id":null,"error":{"code":-32600,"message":"batch too large"}}`)
		},
		"unknown": func(w http.ResponseWriter) {
			w.WriteHeader(500)
			io.WriteString(w, `{"id":null,"error":{"code":-32700,"message":"Parse error"}}`)
		},
		"our-limit": func(w http.ResponseWriter) { w.Write(make([]byte, 1<<20+1)) },
		"geth-list": func(w http.ResponseWriter) {
			io.WriteString(w, `[{"jsonrpc":"2.0","id":0,"error":{"code":-32003,"message":"response too large"}},{"jsonrpc":"2.0","id":1,"error":{"code":-32003,"message":"response too large"}}]`)
		},
	}
	var b *bench
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.ServeHTTP(w, r) }))
	defer s.Close()
	for name, way := range ways {
		rapid.Check(t, func(t *rapid.T) {
			limit := rapid.IntRange(1, 9).Draw(t, "limit")
			n := rapid.IntRange(0, 20).Draw(t, "n")
			b = &bench{refuse: func(w http.ResponseWriter, n int) bool {
				if n > limit && (name != "geth-list" || n == 2) {
					way(w)
					return true
				}
				return false
			}}
			k, err := New(Config{URL: s.URL, Private: true, MaxBatch: rapid.IntRange(1, 12).Draw(t, "most"), MaxAnswer: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			calls, got := questions(n)
			if err := k.Batch(context.Background(), calls); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for i := range calls {
				if calls[i].Err != nil || got[i] != fmt.Sprint(i) {
					t.Fatalf("%s: question %d: %q, %v", name, i, got[i], calls[i].Err)
				}
			}
			if len(b.sizes) > 2*n+10 {
				t.Fatalf("%s: %d requests for %d questions: %v", name, len(b.sizes), n, b.sizes)
			}
		})
	}
}

func TestBatchGrowsBack(t *testing.T) {
	limit := 2
	b := &bench{}
	b.refuse = func(w http.ResponseWriter, n int) bool {
		if n > limit {
			w.WriteHeader(413)
		}
		return n > limit
	}
	k := serve(t, Config{MaxBatch: 16}, b.ServeHTTP)
	calls, _ := questions(16)
	if err := k.Batch(t.Context(), calls); err != nil {
		t.Fatal(err)
	}
	limit = 1000
	for range 5 {
		calls, _ := questions(64)
		if err := k.Batch(t.Context(), calls); err != nil {
			t.Fatal(err)
		}
	}
	if last := b.sizes[len(b.sizes)-2]; last != 16 || b.sizes[0] != 16 || b.sizes[3] != 2 {
		t.Errorf("sizes %v; want them to fall from 16 to 2 and to rise to 16 again", b.sizes)
	}
}

func TestSlowBatchesShrink(t *testing.T) {
	b := &bench{}
	k := serve(t, Config{MaxBatch: 16, Slow: time.Nanosecond}, b.ServeHTTP)
	calls, _ := questions(40)
	if err := k.Batch(t.Context(), calls); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(b.sizes[:5]); got != "[16 8 4 2 1]" {
		t.Errorf("sizes %v", b.sizes)
	}
}

func TestOneFailureIsItsOwn(t *testing.T) {
	b := &bench{reply: func(id int, param string) string {
		switch param {
		case "1":
			return fmt.Sprintf(`{"id":%d,"error":{"code":-32000,"message":"no such block"}}`, id)
		case "2":
			return "" // left out
		case "3":
			return fmt.Sprintf(`{"id":%d,"error":{"code":-32005,"message":"rate limit"}}`, id)
		case "4":
			return fmt.Sprintf(`{"id":%d,"result":{}}`, id) // is no text
		case "5":
			return fmt.Sprintf(`{"id":%d,"error":{"code":-32003,"message":"response too large"}}`, id) // also alone
		}
		return fmt.Sprintf(`{"id":%d,"result":%q},{"id":77,"result":"of nobody"}`, id, param)
	}}
	k := serve(t, Config{}, b.ServeHTTP)
	calls, got := questions(7)
	if err := k.Batch(t.Context(), calls); err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, nil, ErrAnswer, ErrBusy, ErrAnswer, ErrTooLarge, nil} {
		switch err := calls[i].Err; {
		case i == 1:
			var said *Error
			if !errors.As(err, &said) || said.Code != -32000 || !strings.Contains(err.Error(), k.Name()+": echo") {
				t.Errorf("question 1: %v", err)
			}
		case !errors.Is(err, want), want == nil && (err != nil || got[i] != fmt.Sprint(i)):
			t.Errorf("question %d: %q, %v; want %v", i, got[i], err, want)
		}
	}
}

func TestBatchThatCannotBeAsked(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"429":        says(429, "no", "Retry-After", "3"),
		"502":        says(502, "<html>"),
		"garbage":    says(200, "[{]"),
		"twice":      says(200, `[{"id":0,"result":1},{"id":0,"result":2}]`),
		"neither":    says(200, `[{"id":0}]`),
		"busy":       says(200, `{"id":null,"error":{"code":-32005,"message":"rate limit"}}`),
		"redirect":   says(302, ""),
		"one-result": says(200, `{"id":0,"result":1}`),
	} {
		k := serve(t, Config{}, h)
		calls, _ := questions(5)
		err := k.Batch(t.Context(), calls)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		for i := range calls {
			if calls[i].Err == nil || !errors.Is(calls[i].Err, err) {
				t.Errorf("%s: question %d: %v; want %v", name, i, calls[i].Err, err)
			}
		}
		if name == "429" && (Wait(err) != 3*time.Second || !errors.Is(err, ErrBusy)) {
			t.Errorf("%s: wait %v", name, Wait(err))
		}
	}
}

func TestBatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	k := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client goes
		cancel()
		<-r.Context().Done()
	})
	calls, _ := questions(5)
	if err := k.Batch(ctx, calls); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestBatchOfAnImpatientCallerShrinks(t *testing.T) {
	stop := make(chan struct{})
	k := serve(t, Config{MaxBatch: 16}, func(http.ResponseWriter, *http.Request) { <-stop })
	defer close(stop)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	calls, _ := questions(16)
	if err := k.Batch(ctx, calls); !errors.Is(err, context.DeadlineExceeded) || k.batchSize() != 8 {
		t.Errorf("%v; the next batch has %d", err, k.batchSize())
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":0,"result":"0x1"}`, `{"result":null,"error":{"code":-5,"message":"x","data":[1]},"id":0}`,
		`[{"id":1,"result":{}},{"id":0,"error":"text"}]`, `[{"id":0,"result":1},{"id":0,"result":2}]`, `[[[[[[`, `{"id":"0","result":null}`, ``,
		`{"method":"eth_subscription","params":{"subscription":"0x1","result":{}}}`, `{"error":{"code":"-1","message":5}}`, "[{\"id\":0,\"error\":{\"message\":\"\u202e\"}}]",
	} {
		f.Add([]byte(s))
	}
	k, err := New(Config{URL: "http://node.example/secret-key-1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		check := func(r reply, err error) {
			if err != nil && !errors.Is(err, ErrAnswer) {
				t.Errorf("error %v is no ErrAnswer", err)
			}
			if r.err != nil {
				if e := k.clean(r.err); len(e.Message) > mostMessage || len(e.Data) > mostData || strings.Contains(e.Error(), "secret-key-1") {
					t.Errorf("%v with %d bytes of data", e, len(e.Data))
				}
			}
			if r.result != nil && !json.Valid(r.result) {
				t.Errorf("result %q", r.result)
			}
		}
		check(parse(body, 20))
		list, err := parseBatch(body, 3, 20)
		if err == nil && len(list) != 3 {
			t.Errorf("%d replies", len(list))
		}
		check(reply{}, err)
		for _, r := range list {
			check(r, nil)
		}
		n, err := readNotice(body, 20)
		check(n.answer, err)
	})
}
