package fetch

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestPublic(t *testing.T) {
	for s, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "1.1.1.1": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"0.0.0.0": false, "100.64.0.1": false, "198.18.0.1": false, "224.0.0.1": false, "255.255.255.255": false,
		"::1": false, "::": false, "fe80::1": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:8.8.8.8": true, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "::7f00:1": false,
		"2001:db8::1": false, "2001::1": false,
	} {
		if got := Public(netip.MustParseAddr(s)); got != want {
			t.Errorf("Public(%s) = %v; want %v", s, got, want)
		}
	}
	if Public(netip.Addr{}) || Public(netip.MustParseAddr("2606:4700::1%eth0")) {
		t.Error("no address, or one with a zone, is public")
	}
}

func get(t *testing.T, c *Client, url string) (Answer, error) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Do(t.Context(), r)
}

func TestClientRefusesPrivateHosts(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a private host was asked") }))
	defer s.Close()
	for _, url := range []string{s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1), "http://[::ffff:127.0.0.1]:1/", "http://169.254.169.254/latest"} {
		if _, err := get(t, New(Config{}), url); !errors.Is(err, ErrPrivate) {
			t.Errorf("%s: error %v; want %v", url, err, ErrPrivate)
		}
	}
	if _, err := get(t, New(Config{}), "file:///etc/passwd"); err == nil {
		t.Error("file: was read")
	}
}

func TestClientBoundsTheAnswer(t *testing.T) {
	stop := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			w.Write(make([]byte, 100))
		case "/elsewhere":
			http.Redirect(w, r, "/fine", http.StatusFound)
		case "/slow":
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		default:
			w.WriteHeader(http.StatusTeapot)
			w.Write([]byte("fine"))
		}
	}))
	defer s.Close()
	defer close(stop)
	c := Config{Private: true, MaxBody: 99, Timeout: 10 * time.Second}
	if a, err := get(t, New(c), s.URL+"/fine"); err != nil || a.Status != http.StatusTeapot || string(a.Body) != "fine" {
		t.Errorf("/fine: %+v, %v", a, err)
	}
	if _, err := get(t, New(c), s.URL+"/large"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("/large: %v; want %v", err, ErrTooLarge)
	}
	if _, err := get(t, New(c), s.URL+"/elsewhere"); !errors.Is(err, ErrRedirect) {
		t.Errorf("/elsewhere: %v; want %v", err, ErrRedirect)
	}
	c.Timeout = 20 * time.Millisecond
	_, err := get(t, New(c), s.URL+"/slow?api_key=secret")
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("/slow: error %v; want a timeout that does not name the query", err)
	}
}
