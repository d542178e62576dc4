package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestLabelRefreshFetches imports a list that lies on a server, and refreshes it.
func TestLabelRefreshFetches(t *testing.T) {
	var body atomic.Pointer[string]
	var asked atomic.Int64
	list := func(addresses ...string) string {
		return "address,label,category,is_service\n" + strings.Join(addresses, ",Lazarus,service_hack,0\n") + ",Lazarus,service_hack,0\n"
	}
	first := list("0x1111111111111111111111111111111111111166")
	body.Store(&first)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.ServeContent(w, r, "", time.Unix(1_700_000_000, 0), strings.NewReader(*body.Load()))
	}))
	defer server.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "heist.csv")
	if err := os.WriteFile(file, []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) (out string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := Main(t.Context(), append(args, "--labels", filepath.Join(dir, "labels"), "--store", filepath.Join(dir, "store")), &stdout, &stderr); code != want {
			t.Fatalf("%q: exit code %d, want %d: %s%s", args, code, want, &stdout, &stderr)
		}
		return stdout.String() + stderr.String()
	}
	run(0, "label", "import", "--source", "heist", "--uri", server.URL+"/heist.csv", file)
	if out := run(0, "label", "refresh", "--private"); !strings.Contains(out, "1 unchanged") || asked.Load() != 1 {
		t.Errorf("the first time, asked %d times: %s", asked.Load(), out)
	}
	if out := run(0, "label", "refresh", "--private"); !strings.Contains(out, "heist has not changed") || asked.Load() != 2 {
		t.Errorf("not changed, asked %d times: %s", asked.Load(), out)
	}
	run(0, "label", "refresh", "--offline")
	if asked.Load() != 2 {
		t.Error("--offline asked")
	}
	if out := run(1, "label", "refresh"); !strings.Contains(out, "not a public address") {
		t.Errorf("a private network: %s", out)
	}
	server.Close()
	if out := run(1, "label", "refresh", "--private"); !strings.Contains(out, "list heist: the list could not be fetched") {
		t.Errorf("a server that is gone: %s", out)
	}
	if out := run(0, "label", "show", "0x1111111111111111111111111111111111111166"); !strings.Contains(out, "Lazarus") {
		t.Errorf("the labels are gone: %s", out)
	}
}
