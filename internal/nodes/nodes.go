// Package nodes starts real nodes for tests: anvil and geth, which speak Ethereum, and btcd, which speaks Bitcoin.
package nodes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	patience  = 60 * time.Second // for a node to begin to answer, on a machine that is busy
	maxAnswer = 64 << 20         // bytes of an answer
	maxOutput = 32 << 10         // bytes of what a node said that are kept
)

// Program is the path of a program that .ci/nodes installs: in the folder that SPOOR_NODES names or in its bin, in the
// user's cache, or in PATH. Where it is absent the test is skipped, by name.
func Program(tb testing.TB, program string) string {
	tb.Helper()
	var dirs []string
	if dir := os.Getenv("SPOOR_NODES"); dir != "" {
		dirs = append(dirs, dir)
	}
	if cache, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(cache, "spoor", "nodes"))
	}
	for _, dir := range dirs {
		for _, path := range []string{filepath.Join(dir, "bin", program), filepath.Join(dir, program)} {
			if path, err := exec.LookPath(path); err == nil {
				return path
			}
		}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		tb.Skipf("absent: %s (.ci/nodes installs it)", program)
	}
	return path
}

// A node is a process that answers JSON-RPC. Its methods are for one goroutine, but for call and those that ask.
type node struct {
	tb             testing.TB
	program        string
	args           []string // all of them, the ports too
	url            string
	user, password string
	dir            string
	end, kill      func()
	ended          chan struct{} // closed when the process has
	output         *tail
	client         *http.Client
}

// launch starts a node in a folder of its own and waits until it answers ready. args are made for free ports on the
// loopback. Where another has taken a port meanwhile it begins anew.
func launch(tb testing.TB, program, ready string, ports int, args func(dir string, ports []string) []string, user, password string) *node {
	tb.Helper()
	path := Program(tb, program)
	n := &node{tb: tb, program: path, user: user, password: password, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	tb.TempDir() // whose removal comes after what is registered from here on
	tb.Cleanup(func() {
		if n.kill != nil {
			n.Kill()
		}
		n.client.CloseIdleConnections()
		if tb.Failed() && n.output != nil {
			tb.Logf("the last words of %s:\n%s", program, n.output)
		}
	})
	for try := 0; ; try++ {
		n.dir = tb.TempDir()
		free := freePorts(tb, ports)
		n.args = args(n.dir, free)
		n.url = "http://127.0.0.1:" + free[0]
		err := n.start(ready)
		if err == nil {
			return n
		}
		n.Kill()
		if said := strings.ToLower(n.output.String()); try == 3 || !strings.Contains(said, "in use") {
			tb.Fatalf("start %s: %v", program, err)
		}
	}
}

// freePorts are ports of the loopback which nobody uses.
func freePorts(tb testing.TB, n int) []string {
	tb.Helper()
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		defer l.Close() // after all are chosen, so that they differ
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports
}

// start runs the process and waits until it answers.
func (n *node) start(ready string) error {
	cmd := exec.Command(n.program, n.args...)
	n.output = &tail{}
	cmd.Stdout, cmd.Stderr, cmd.Dir = n.output, n.output, n.dir
	dieWithParent(cmd)
	began, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the process ends with the thread that began it
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		began <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its output
		}
	}()
	n.ended, n.end, n.kill = ended, func() {}, func() {}
	if err := <-began; err != nil {
		return err
	}
	n.end = func() { _ = cmd.Process.Signal(os.Interrupt) }
	n.kill = func() { _ = cmd.Process.Kill() } // one that has ended already is what we want
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-ended:
			return fmt.Errorf("it ended: %s", cmd.ProcessState)
		case <-time.After(10 * time.Millisecond):
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		var any json.RawMessage
		err = n.Call(ctx, ready, nil, &any)
		cancel()
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("no answer in %s: %w", patience, err)
}

// Stop asks the node to end, so that it writes down what it holds, and waits until it has ended.
func (n *node) Stop() {
	n.tb.Helper()
	n.end()
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.tb.Fatalf("%s does not end", n.program)
	}
}

// Kill ends the node at once, as a loss of power would, and waits until it has ended.
func (n *node) Kill() {
	n.kill()
	<-n.ended
}

// Call asks the node a question; result may be nil. It fails with the node's own words where it answers with an error.
func (n *node) Call(ctx context.Context, method string, params []any, result any) error {
	if params == nil {
		params = []any{}
	}
	question, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url, bytes.NewReader(question))
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	r.Header.Set("Content-Type", "application/json")
	if n.user != "" {
		r.SetBasicAuth(n.user, n.password)
	}
	resp, err := n.client.Do(r)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: status %d: %.200q: %w", method, resp.StatusCode, body, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %s (%d)", method, answer.Error.Message, answer.Error.Code)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return fmt.Errorf("%s: %.200q: %w", method, answer.Result, err)
	}
	return nil
}

// must asks a question that has to be answered.
func (n *node) must(method string, params []any, result any) {
	n.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Call(ctx, method, params, result); err != nil {
		n.tb.Fatal(err)
	}
}

// A tail keeps the end of what is written to it. It is safe for several goroutines.
type tail struct {
	mu   sync.Mutex
	text []byte // guarded by mu
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > 2*maxOutput {
		t.text = append(t.text[:0], t.text[len(t.text)-maxOutput:]...)
	}
	return len(p), nil
}

// String is the end of what was written.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text[max(0, len(t.text)-maxOutput):])
}
