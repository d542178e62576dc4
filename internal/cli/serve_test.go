package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/finding"
)

// A lockedBuffer is a buffer that is written to while it is read.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestServeAnswersUntilItIsStopped(t *testing.T) {
	dir := t.TempDir()
	labels := filepath.Join(dir, "labels.csv")
	write := func(rows string) {
		if err := os.WriteFile(labels, []byte("address,label,category,is_service\n"+rows), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const bad, good = "0x1111111111111111111111111111111111111111", "0x2222222222222222222222222222222222222222"
	write(bad + ",Somebody,sanction,false\n")
	var stdout, stderr lockedBuffer
	ctx, stop := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- Main(ctx, []string{"serve", "--store", filepath.Join(dir, "store"), "--labels", labels, "--listen", "127.0.0.1:0", "--max-list-age", "0", "--reload", "5ms"}, &stdout, &stderr)
	}()
	address := ""
	until(t, func() bool {
		m := regexp.MustCompile(`answers on (http://[^,]+),`).FindStringSubmatch(stderr.String())
		if m != nil {
			address = m[1]
		}
		return m != nil
	})
	get := func(path string) string {
		resp, err := http.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(resp.StatusCode, " ", string(b))
	}
	if got := get("/v1/addresses/BTC:" + bad); !strings.Contains(got, `"decision":"block"`) {
		t.Errorf("a sanctioned address: %s", got)
	}
	if got := get("/api/v1/address/" + good); got != "200 {\"identifications\":[]}\n" {
		t.Errorf("another one on the sanctions wire: %s", got)
	}
	write(bad + ",Somebody,sanction,false\n" + good + ",Somebody,sanction,false\n")
	until(t, func() bool { return strings.Contains(get("/api/v1/address/"+good), "sanctions") })
	// Who was cleared before is asked about again, and the change is a finding.
	until(t, func() bool {
		return strings.Contains(stdout.String(), good) && strings.HasSuffix(stdout.String(), "\n")
	})
	if f, err := finding.Parse([]byte(strings.SplitN(stdout.String(), "\n", 2)[0])); err != nil || !strings.Contains(f.Sentence, "block") {
		t.Errorf("the change of a verdict: %+v, %v", f, err)
	}
	if err := os.WriteFile(labels, []byte("broken\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return strings.HasPrefix(get("/v1/addresses/"+bad), "503 ") })
	stop()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d; want 0: %s", got, stderr.String())
	}
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come about")
		}
	}
}

func TestServeRefusesWhatIsNotSafe(t *testing.T) {
	dir := t.TempDir()
	labels, keys := filepath.Join(dir, "l.csv"), filepath.Join(dir, "keys")
	for name, text := range map[string]string{labels: "address,label,category,is_service\n0x1111111111111111111111111111111111111111,A,sanction,false\n", keys: "what is this\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"public", []string{"--listen", "0.0.0.0:0"}, 1, "no keys"},
		{"keys", []string{"--keys", keys}, 1, "line 1"},
		{"certificate", []string{"--tls-cert", "x"}, 2, "half a certificate"},
		{"labels", []string{"--labels", filepath.Join(dir, "none")}, 1, "labels"},
		{"vendor", []string{"--vendor", "trm=http://127.0.0.1"}, 2, "http"},
		{"timeout", []string{"--timeout", "0"}, 2, "number"},
	} {
		args := append([]string{"serve", "--store", filepath.Join(dir, "store"), "--labels", labels, "--listen", "127.0.0.1:0", "--forget"}, c.args...)
		var stderr bytes.Buffer
		if code := Main(t.Context(), args, io.Discard, &stderr); code != c.code || !strings.Contains(stderr.String(), c.want) || !strings.Contains(stderr.String(), "\nhint: ") {
			t.Errorf("%s: exit code %d, %q; want %d and %q", c.name, code, stderr.String(), c.code, c.want)
		}
	}
}

func TestServeMakesKeys(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := Main(t.Context(), []string{"serve", "--new-key", "backoffice"}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if !regexp.MustCompile(`^spoor_[\w-]{43}\n$`).MatchString(stdout.String()) || !regexp.MustCompile(`^backoffice screen,metrics sha256:[0-9a-f]{64}\n$`).MatchString(stderr.String()) {
		t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
	}
}
