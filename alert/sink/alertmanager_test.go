package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

// program finds a program, or skips the test by its name.
func program(t *testing.T, names ...string) string {
	t.Helper()
	folders := []string{os.Getenv("SPOOR_NODES")}
	if cache, err := os.UserCacheDir(); err == nil {
		folders = append(folders, filepath.Join(cache, "spoor", "nodes"))
	}
	for _, name := range names {
		for _, f := range folders {
			for _, below := range []string{"bin", "usr/bin"} {
				if path, err := exec.LookPath(filepath.Join(f, below, name)); err == nil && f != "" {
					return path
				}
			}
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skipf("absent: %s (Debian package prometheus-alertmanager)", names[0])
	return ""
}

// alertmanager starts one that tells that receiver, and returns its address.
func alertmanager(t *testing.T, receiver string) string {
	t.Helper()
	path := program(t, "prometheus-alertmanager", "alertmanager")
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	err := os.WriteFile(config, fmt.Appendf(nil, "route: {receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s}\nreceivers: [{name: hook, webhook_configs: [{url: '%s'}]}]\n", receiver), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var said bytes.Buffer
	cmd := exec.Command(path, "--config.file="+config, "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--cluster.listen-address=")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in what it said
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-ended
		if t.Failed() {
			t.Logf("%s", said.String())
		}
	})
	waitFor(t, "alertmanager to be ready", func() bool {
		select {
		case <-ended:
			if strings.Contains(said.String(), "default.tmpl: no such file") {
				t.Skip("absent: /usr/share/prometheus/alertmanager, which Debian's Alertmanager reads")
			}
			t.Fatal("it ended")
		default:
		}
		resp, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return "http://" + address
}

// waitFor waits for another process.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestRealAlertmanager tells a real Alertmanager of an alert, corrects it and says that it is so after all.
func TestRealAlertmanager(t *testing.T) {
	r := newReceiver(t, nil)
	url := alertmanager(t, r.URL)
	m := must(NewAlertmanager(AlertmanagerConfig{Name: "am", URL: url + "/", Private: true, Labels: map[string]string{"team": "blue"}, GeneratorURL: "https://spoor.example/"}))
	defer m.Close()
	send := func(serial int, kind alert.Kind, severity finding.Severity) {
		t.Helper()
		a, other := arrival(), hostile()
		a.Serial, a.Kind, a.Severity, a.Made = serial, kind, severity, time.Now()
		other.Made = time.Now()
		if err := m.Send(t.Context(), []alert.Alert{a, other}); err != nil {
			t.Fatal(err)
		}
	}
	active := func() map[string]string {
		resp, err := http.Get(url + "/api/v2/alerts?active=true")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var all []struct {
			Labels      map[string]string
			Annotations map[string]string
		}
		if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
			t.Fatal(err)
		}
		keys := map[string]string{}
		for _, a := range all {
			keys[a.Labels["key"]] = a.Labels["alertname"] + " " + a.Labels["severity"] + " " + a.Labels["case"] + " " + a.Labels["chain"] + " " + a.Labels["team"]
		}
		return keys
	}
	// told waits until the receiver has heard the state of our alert so many times, and returns what it heard last.
	type notice struct {
		Status string
		Alerts []struct{ Annotations map[string]string }
	}
	told := func(status string) (last notice) {
		t.Helper()
		waitFor(t, "a notice that the alert is "+status, func() bool {
			for _, q := range r.got() {
				var n notice
				if json.Unmarshal(q.body, &n) == nil && strings.Contains(string(q.body), "live-arrival") {
					last = n
				}
			}
			return last.Status == status
		})
		return last
	}
	key := arrival().Key
	send(0, alert.Found, finding.Critical)
	if got := active(); got[key] != "live-arrival critical heist-1 eip155:1 blue" || len(got) != 2 {
		t.Errorf("active: %q", got)
	}
	if n := told("firing"); n.Alerts[0].Annotations["summary"] != "CRITICAL: stolen money came to Example Exchange" {
		t.Errorf("told: %+v", n)
	}
	send(1, alert.Correction, finding.Critical)
	if got := active(); got[key] != "" || len(got) != 1 {
		t.Errorf("active after the correction: %q", got)
	}
	if n := told("resolved"); !strings.HasPrefix(n.Alerts[0].Annotations["summary"], "CORRECTION") {
		t.Errorf("told: %+v", n)
	}
	send(2, alert.Again, finding.Critical)
	if got := active(); got[key] == "" {
		t.Errorf("active after it was so again: %q", got)
	}
	told("firing")
	tool := filepath.Join(filepath.Dir(program(t, "prometheus-alertmanager", "alertmanager")), "amtool")
	if _, err := os.Stat(tool); err != nil {
		t.Skipf("absent: %s", tool)
	}
	out, err := exec.Command(tool, "alert", "query", "--alertmanager.url="+url, "severity=critical", "-o", "simple").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "live-arrival") {
		t.Errorf("amtool: %v\n%s", err, out)
	}
}

func TestAlertmanagerLabelsStay(t *testing.T) {
	m := &Alertmanager{config: AlertmanagerConfig{Lasts: time.Hour * 48, Labels: map[string]string{"team": "blue"}}}
	all := kinds()
	found, correction, again := m.alert(all["found"]), m.alert(all["correction"]), m.alert(all["again"])
	if a, b, c := fmt.Sprint(found.Labels), fmt.Sprint(correction.Labels), fmt.Sprint(again.Labels); a != b || a != c {
		t.Errorf("labels differ:\n%s\n%s\n%s", a, b, c)
	}
	if !correction.EndsAt.Equal(all["correction"].Made) || !correction.StartsAt.IsZero() {
		t.Errorf("a correction from %s to %s", correction.StartsAt, correction.EndsAt)
	}
	for kind, want := range map[string]time.Duration{"found": 48 * time.Hour, "again": 48 * time.Hour, "provisional": time.Hour, "state": 24 * time.Hour} {
		a := m.alert(all[kind])
		if got := a.EndsAt.Sub(a.StartsAt); got != want {
			t.Errorf("%s lasts %s; want %s", kind, got, want)
		}
	}
}
