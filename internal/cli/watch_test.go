package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A stub is a node with one empty chain, which says what a test wants.
func stub(t *testing.T, chain string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			ID     json.RawMessage
			Method string
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &q) != nil || q.Method != "eth_chainId" {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%q}`, q.ID, chain)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// answers is a server that answers everything alike.
func answers(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// TestWatchSaysWhatIsWrong: each mistake gets two lines, what and what to do next, and the right exit code.
func TestWatchSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	node := stub(t, "0x539")
	st := filepath.Join(dir, "store")
	watch := func(args ...string) []string {
		return append([]string{"watch", "--store", st, "--listen", "none"}, args...)
	}
	for _, c := range []struct {
		args       []string
		code       int
		what, hint string
	}{
		{watch(), 2, "no chain is followed", "name a node"},
		{watch("http://127.0.0.1:8545"), 2, "unknown kind", "evm-rpc:http://"},
		{watch("evm-rpc:127.0.0.1:8545"), 2, "no address", "evm-rpc:http://"},
		{watch("evm-rpc:" + nobody(t)), 2, "connection refused", "nothing listens there"},
		{watch("evm-rpc:" + strings.Replace(node, "http", "https", 1)), 2, "HTTPS", "plain http"},
		{watch("evm-rpc:" + answers(t, 401, "no")), 2, "HTTP 401", "user and password"},
		{watch("bitcoin-rpc:" + answers(t, 403, "no")), 2, "HTTP 403", "user and password"},
		{watch("evm-rpc:" + answers(t, 404, "no")), 2, "HTTP 404", "check the address"},
		{watch("evm-rpc:" + answers(t, 200, "<html>")), 2, "not an answer", "speaks no JSON-RPC"},
		{watch("evm-rpc:" + answers(t, 429, "")), 2, "HTTP 429", "asks for patience"},
		{watch("evm-rpc:" + answers(t, 200, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}`)), 2, "Method not found", "node of that kind"},
		{watch("--from", "tomorrow", "evm-rpc:"+node), 2, "neither a height nor head", "explain"},
		{watch("--theft", filepath.Join(dir, "absent.json"), "evm-rpc:"+node), 2, "no such file", "check the path"},
		{watch("--theft", file("broken.json", `{"name":`), "evm-rpc:"+node), 2, "case broken", "theft.md"},
		{watch("--list", file("list.txt", "# ours\n0x12\n"), "evm-rpc:"+node), 2, "list.txt:2", "accepted are"},
		{watch("--labels", filepath.Join(dir, "absent.csv"), "evm-rpc:"+node), 1, "no such file", "check the path"},
		{watch("--config", filepath.Join(dir, "absent.yaml")), 2, "no such file", "check the path"},
		{watch("--config", file("broken.yaml", "store: x\nchain: 1\n")), 2, "line 2: there is no key chain here", "explain"},
		{[]string{"watch", "--store", st, "--listen", taken.Addr().String(), "evm-rpc:" + node}, 1, "in use", "another program listens there"},
		{[]string{"watch", "--store", st, "--listen", "0.0.0.0:0", "evm-rpc:" + node}, 1, "no keys", "listen.keys"},
		{[]string{"watch", "--store", filepath.Join(dir, "list.txt"), "evm-rpc:" + node}, 1, "not a directory", "folder is needed"},
		{[]string{"watch", "log", "--store", filepath.Join(dir, "nothing")}, 1, "no alerts are in", "--store"},
		{[]string{"watch", "log", "--store", st, "--state", "gone"}, 2, `"gone" is none`, "withdrawn"},
		{[]string{"watch", "dead", "--again"}, 2, "of which sink", "--sink"},
		{[]string{"watch", "test"}, 2, "of which configuration", "--config"},
		{[]string{"config", "check", file("nosink.yaml", "alerts: {routes: [{sinks: [ops]}]}")}, 2, `there is no sink "ops"`, "explain"},
		{[]string{"config", "check", file("nolabels.yaml", "labels: [absent.csv]")}, 2, "absent.csv", "relative to"},
		{[]string{"config", "check", file("nokeys.yaml", "listen: {keys: absent.txt}")}, 2, "absent.txt", "relative to"},
		{[]string{"config", "check", file("nocookie.yaml", "chains: [{chain: \"eip155:1\", nodes: [{url: \"https://a.example\", cookie_file: absent}]}]")}, 2, "absent", "relative to"},
		{[]string{"config", "check", file("open.yaml", "listen: {address: \"0.0.0.0:80\"}")}, 2, "no keys", "relative to"},
		{[]string{"config", "check", file("nowhere.yaml", "listen: {address: here}")}, 2, "not host:port", "relative to"},
		{[]string{"config", "explain", "chians"}, 2, "no key begins with", "lists all keys"},
	} {
		code, out, errs := run(t, c.args...)
		lines := strings.Split(strings.TrimSpace(errs), "\n")
		what, hint := lines[max(0, len(lines)-2)], lines[len(lines)-1]
		if code != c.code || out != "" || !strings.HasPrefix(what, "spoor: ") || !strings.Contains(what, c.what) || !strings.HasPrefix(hint, "hint: ") || !strings.Contains(hint, c.hint) {
			t.Errorf("spoor %s: exit %d, stdout %.80q\n%s\nwant exit %d, %q and hint %q", strings.Join(c.args, " "), code, out, errs, c.code, c.what, c.hint)
		}
	}
}

// A running is a spoor in a process of its own.
type running struct {
	*exec.Cmd
	t *testing.T

	mu   sync.Mutex
	text bytes.Buffer
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *running) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// begin starts a spoor, which the test ends at the latest.
func begin(t *testing.T, args ...string) *running {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Cmd: exec.CommandContext(t.Context(), program, args...), t: t}
	r.Env, r.Stdout, r.Stderr = append(os.Environ(), asSpoor+"=1"), r, r
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Process.Kill() }) // one that has ended is what we want
	return r
}

// until waits until it has said something.
func (r *running) until(text string) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(r.said(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("it does not say %q:\n%s", text, r.said())
		}
	}
}

// end asks it to end, and returns its exit code.
func (r *running) end() int {
	r.t.Helper()
	if err := r.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	if err := r.Wait(); err != nil && r.ProcessState == nil {
		r.t.Fatal(err)
	}
	return r.ProcessState.ExitCode()
}

// TestWatchFromTheOutside: what an operator meets while it runs.
func TestWatchFromTheOutside(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	chains := fmt.Sprintf("store: %s\nlisten: {address: none}\nchains: [{chain: \"eip155:1337\", nodes: [{url: %q, private: true}, {url: %q}, {url: %q, private: true}]}]\n",
		filepath.Join(dir, "store"), stub(t, "0x1"), stub(t, "0x539"), nobody(t))
	path := write("spoor.yaml", chains)
	r := begin(t, "watch", "--config", path, "--silent")
	r.until("nobody is told")
	r.until("hint: name sinks under alerts.sinks")
	r.until("serves eip155:1 and not eip155:1337")
	r.until("write private: true beside its url")
	r.until("is the node running, with its JSON-RPC on that port?")

	for _, c := range []struct {
		args []string
		hint string
	}{
		{[]string{"watch", "--store", filepath.Join(dir, "store"), "--listen", "none", "evm-rpc:" + stub(t, "0x539")}, "another spoor has this store open"},
		{[]string{"ingest", "--store", filepath.Join(dir, "store"), "text:" + write("chain.txt", "block 1 aa\n")}, "another spoor has this store open"},
		{[]string{"watch", "log", "--store", filepath.Join(dir, "store")}, "a spoor watch runs there"},
	} {
		if code, _, errs := run(t, c.args...); code != 1 || !strings.Contains(errs, "\nhint: "+c.hint) {
			t.Errorf("spoor %s: exit %d\n%s", strings.Join(c.args, " "), code, errs)
		}
	}

	hangup := func() {
		t.Helper()
		if err := r.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	write("spoor.yaml", chains+"list: 3\n")
	hangup()
	r.until("there is no key list here")
	r.until("the one before stays in force")
	r.until(`"hint":"\"spoor config explain\"`)
	write("spoor.yaml", strings.Replace(chains, "eip155:1337", "eip155:1", 1))
	hangup()
	r.until("a change of [chains] needs a restart")
	write("spoor.yaml", chains+"lists: [{name: ours, accounts: [\"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48\"]}]\n")
	hangup()
	r.until(`"the configuration was read again"}`)
	if code := r.end(); code != 0 {
		t.Errorf("exit %d after SIGTERM:\n%s", code, r.said())
	}
}
