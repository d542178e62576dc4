package cli

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/internal/nodes"
)

// TestServeFollowsChains: one program answers questions and follows a chain into the same store, from its first block on.
func TestServeFollowsChains(t *testing.T) {
	dir := t.TempDir()
	node := nodes.Anvil(t)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	thief, next := node.Accounts[1], node.Accounts[2]
	write("theft.json", `{"sources": [{"account": "`+thief+`", "from_block": "0"}]}`)
	labels := write("labels.csv", "address,label,category,is_service\n0x1111111111111111111111111111111111111111,Somebody,sanction,false\n")
	config := write("watch.yaml", `
store: store
chains:
  - chain: eip155:31337
    from: 0
    nodes: [{url: "`+node.URL+`", ws: "`+node.WS+`", private: true}]
cases: [{id: theft, theft: theft.json}]
alerts: {sinks: [{name: log, file: {path: alerts.ndjson}}]}
listen: {address: "127.0.0.1:0"}
disk: {ballast: 0}
`)
	var stdout, stderr lockedBuffer
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	code := make(chan int, 1)
	go func() {
		code <- Main(ctx, []string{"serve", "--watch", config, "--labels", labels, "--listen", "127.0.0.1:0", "--max-list-age", "0"}, &stdout, &stderr)
	}()
	find := func(pattern string) (found string) {
		until(t, func() bool {
			if m := regexp.MustCompile(pattern).FindStringSubmatch(stderr.String()); m != nil {
				found = m[1]
			}
			return found != ""
		})
		return found
	}
	answers, page := find(`answers on (http://[^,]+),`), find(`page, state and metrics on (http://\S+)`)
	get := func(url string) string {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	until(t, func() bool { return strings.Contains(get(page+"v1/state"), `"open":true`) })
	if state := get(page + "v1/state"); !regexp.MustCompile(`"watching":\{[^}]*"blocks":1,`).MatchString(state) {
		t.Errorf("the cases have not seen block 0: %s", state)
	}
	node.Send(thief, next, 1e18)
	alerts := func() string { b, _ := os.ReadFile(filepath.Join(dir, "alerts.ndjson")); return string(b) }
	until(t, func() bool { return strings.Contains(alerts(), "Stolen money moved") })
	if got := get(answers + "/v1/addresses/eip155:31337:" + next); !strings.Contains(got, `"decision":`) {
		t.Errorf("a question beside it: %s", got)
	}
	stop()
	if c := <-code; c != 0 {
		t.Errorf("exit code %d\n%s", c, stderr.String())
	}
}
