package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"
)

// running starts a server on loopback and returns its address; stop ends it and returns what Serve did.
func running(t testing.TB, change func(*Config)) (address string, stop func() error) {
	t.Helper()
	s, _ := newTestServer(t, change)
	l, err := Listen("127.0.0.1:0", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { stop() })
	return l.Addr().String(), stop
}

func TestListenIsClosedToStrangersWithoutKeys(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		if l, err := Listen(address, nil, nil); !errors.Is(err, ErrOpen) {
			if err == nil {
				l.Close()
			}
			t.Errorf("Listen(%q) without keys: %v; want %v", address, err, ErrOpen)
		}
	}
	l, err := Listen("0.0.0.0:0", &Keys{}, nil)
	if err != nil {
		t.Fatalf("with keys: %v", err)
	}
	l.Close()
}

// TestEthclientAsksTheOracle talks to the eth_call facade with go-ethereum's client.
func TestEthclientAsksTheOracle(t *testing.T) {
	address, _ := running(t, nil)
	c, err := ethclient.DialContext(t.Context(), "http://"+address+"/rpc")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if id, err := c.ChainID(t.Context()); err != nil || id.Int64() != 1 {
		t.Errorf("chain id %v, %v", id, err)
	}
	if n, err := c.BlockNumber(t.Context()); err != nil || n != 19_000_000 {
		t.Errorf("block number %d, %v", n, err)
	}
	to := common.HexToAddress(oracleAddress)
	if code, err := c.CodeAt(t.Context(), to, nil); err != nil || len(code) == 0 {
		t.Errorf("no code at the oracle: %x, %v", code, err)
	}
	for a, want := range map[string]byte{ofacAddress: 1, knownAddress: 0} {
		data := append(common.FromHex("0xdf592f7d"), common.LeftPadBytes(common.HexToAddress(a).Bytes(), 32)...)
		out, err := c.CallContract(t.Context(), ethereum.CallMsg{To: &to, Data: data}, nil)
		if err != nil || !bytes.Equal(out, common.LeftPadBytes([]byte{want}, 32)) {
			t.Errorf("isSanctioned(%s) = %x, %v; want %d", a, out, err, want)
		}
	}
	data := append(common.FromHex("0xdf592f7d"), common.LeftPadBytes(common.HexToAddress(blindAddress).Bytes(), 32)...)
	if out, err := c.CallContract(t.Context(), ethereum.CallMsg{To: &to, Data: data}, nil); err == nil {
		t.Errorf("a question that cannot be answered got %x", out)
	}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	address, _ := running(t, func(c *Config) { c.ReadTimeout = 100 * time.Millisecond })
	for name, text := range map[string]string{
		"header": "GET /v1/health HTTP/1.1\r\nHost: x\r\nX-",
		"body":   "POST /v1/transfers HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
		"batch":  "POST /v1/batch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n0",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, text)
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		answer, err := io.ReadAll(conn)
		if late := net.Error(nil); errors.As(err, &late) && late.Timeout() || bytes.Contains(answer, []byte("verdict\"")) || bytes.Contains(answer, []byte("done")) {
			t.Errorf("%s: the connection stayed open, or got an answer: %v: %s", name, err, answer)
		}
		conn.Close()
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	address, _ := running(t, nil)
	r, err := http.NewRequest("GET", "http://"+address+"/v1/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Junk", strings.Repeat("x", 100<<10))
	resp, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(r)
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status %d; want 431", resp.StatusCode)
		}
	}
}

func TestBatchStreamsBothWays(t *testing.T) {
	address, _ := running(t, nil)
	in, out := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+address+"/v1/batch", in)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	go io.WriteString(out, knownAddress+"\n")
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answers := bufio.NewReader(resp.Body)
	for i := range 3 { // each answer comes before the next question is sent
		line, err := answers.ReadString('\n')
		if err != nil || !strings.Contains(line, fmt.Sprintf(`"line":%d`, i+1)) {
			t.Fatalf("answer %d: %v: %s", i, err, line)
		}
		io.WriteString(out, knownAddress+"\n")
	}
	out.Close()
	rest, err := io.ReadAll(answers)
	if err != nil || !bytes.Contains(rest, []byte(`"done":{"lines":4,"errors":0`)) {
		t.Errorf("the end: %v: %s", err, rest)
	}
}

func TestServeDrainsAndLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	address, stop := running(t, func(c *Config) { c.Timeout = 300 * time.Millisecond })
	transport := &http.Transport{}
	status := make(chan int)
	go func() {
		r, err := http.NewRequest("GET", "http://"+address+"/v1/addresses/"+slowAddress, nil)
		if err != nil {
			panic(err)
		}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	for deadline := time.Now().Add(10 * time.Second); ; { // until the question is inside
		resp, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if bytes.Contains(text, []byte("spoor_http_in_flight 2")) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the question never came in: %s", text)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if got := <-status; got != 504 {
		t.Errorf("a question that ran when the server stopped got status %d; want its own end, 504", got)
	}
	transport.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

func TestStoppingCutsOffAfterTheDrain(t *testing.T) {
	address, stop := running(t, func(c *Config) { c.Drain, c.Timeout = 20*time.Millisecond, time.Minute })
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /v1/addresses/"+slowAddress+" HTTP/1.1\r\nHost: x\r\n\r\n")
	for deadline := time.Now().Add(10 * time.Second); ; {
		resp, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if bytes.Contains(text, []byte("spoor_http_in_flight 2")) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the question never came in: %s", text)
		}
	}
	if err := stop(); !errors.Is(err, ErrDrain) {
		t.Errorf("Serve: %v; want %v", err, ErrDrain)
	}
}

func TestTooManyAtOnceAreToldSo(t *testing.T) {
	s, _ := newTestServer(t, func(c *Config) { c.MaxInFlight = 1 })
	s.inFlight <- struct{}{}
	if w := do(s, "GET", "/v1/addresses/"+knownAddress, ""); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q; want 503 with one", w.Code, w.Header().Get("Retry-After"))
	}
	if w := do(s, "GET", "/v1/health", ""); w.Code != 200 {
		t.Errorf("health is %d while the server is busy", w.Code)
	}
	<-s.inFlight
	if w := do(s, "GET", "/v1/addresses/"+knownAddress, ""); w.Code != 200 {
		t.Errorf("afterwards: status %d", w.Code)
	}
}

func TestALongBatchKeepsItsOrder(t *testing.T) {
	s, _ := newTestServer(t, nil)
	var in strings.Builder
	for i := range 500 {
		address := []string{knownAddress, ofacAddress, panicAddress, "nobody", mixedAddress}[i%5]
		fmt.Fprintf(&in, "{\"id\":\"n%d\",\"address\":%q}\n", i, address)
	}
	out := strings.Split(strings.TrimSpace(do(s, "POST", "/v1/batch", in.String()).Body.String()), "\n")
	if len(out) != 501 || !strings.Contains(out[500], `"done":{"lines":500,"errors":200,"decisions":{"allow":100,"block":100,"hold":100}}`) {
		t.Fatalf("%d lines, the last is %s", len(out), out[len(out)-1])
	}
	for i, line := range out[:500] {
		want := []string{`"decision":"allow"`, `"decision":"block"`, `"status":500`, `"status":400`, `"decision":"hold"`}[i%5]
		if !strings.HasPrefix(line, fmt.Sprintf(`{"line":%d,`, i+1)) || !strings.Contains(line, want) || i%5 != 2 && !strings.Contains(line, fmt.Sprintf(`"id":"n%d"`, i)) {
			t.Fatalf("line %d: %s; want %s", i+1, line, want)
		}
	}
}

func TestABatchIsKeptTogether(t *testing.T) {
	s, f := newTestServer(t, nil)
	lines := strings.Repeat(knownAddress+"\n", 300) + ofacAddress + "\n0x" + TestAddresses()[0].Hash + "\nnobody\n"
	out := do(s, "POST", "/v1/batch", lines).Body.String()
	if !strings.Contains(out, `"done":{"lines":303,"errors":1,`) {
		t.Fatalf("%s", out[len(out)-200:])
	}
	n := 0
	for _, together := range f.kept {
		n += len(together)
	}
	if n != 301 || len(f.kept) > 3 {
		t.Errorf("%d verdicts were kept in %d goes; want 301, without the test address, in at most 3", n, len(f.kept))
	}
	// What cannot be kept is not given, not even in part.
	f.full.Store(true)
	out = do(s, "POST", "/v1/batch", lines).Body.String()
	if strings.Count(out, `"status":503`) != 301+1 || strings.Contains(out, `"verdict"`) || !strings.Contains(out, `"errors":303`) {
		t.Errorf("%.600s", out)
	}
	if w := do(s, "GET", "/v1/addresses/"+knownAddress, ""); w.Code != 503 {
		t.Errorf("a single verdict that cannot be kept: status %d", w.Code)
	}
}
