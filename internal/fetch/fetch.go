// Package fetch is all outgoing HTTP: bounded answers, deadlines and a dialer which private networks are closed to.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

var (
	// ErrPrivate is returned for a host whose address is not on the public internet.
	ErrPrivate = errors.New("not a public address")
	// ErrTooLarge is returned for an answer with more bytes than Config.MaxBody.
	ErrTooLarge = errors.New("the answer is too large")
	// ErrRedirect is returned for an answer that leads elsewhere: no redirect is followed.
	ErrRedirect = errors.New("the answer is a redirect")
)

// Config is how a Client behaves. The zero value is valid.
type Config struct {
	Timeout time.Duration // of one request with its answer; 10 s if 0
	MaxBody int64         // bytes of an answer; 16 MiB if 0
	Private bool          // private, loopback and link-local addresses may be asked too
}

// A Client sends requests. It is safe for several goroutines.
type Client struct {
	config Config
	http   *http.Client
}

// An Answer is what came back, whole.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// New makes a client. It takes no proxy from the environment: a proxy would look names up where the dialer cannot see
// what they mean.
func New(c Config) *Client {
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.MaxBody <= 0 {
		c.MaxBody = 16 << 20
	}
	d := &net.Dialer{Timeout: c.Timeout, KeepAlive: 30 * time.Second}
	if !c.Private {
		d.Control = func(_, address string, _ syscall.RawConn) error { return checkPublic(address) }
	}
	t := &http.Transport{
		DialContext:            d.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    c.Timeout,
		ResponseHeaderTimeout:  c.Timeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    16,
		MaxConnsPerHost:        64,
		IdleConnTimeout:        time.Minute,
		ForceAttemptHTTP2:      true,
	}
	return &Client{c, &http.Client{
		Transport:     t,
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Do sends a request and reads its whole answer, whatever its status is. Errors: ErrPrivate, ErrTooLarge, ErrRedirect,
// and those of the network; none of them names a header, which may hold a key, or the query.
func (c *Client) Do(ctx context.Context, r *http.Request) (Answer, error) {
	return c.DoMost(ctx, r, c.config.MaxBody)
}

// DoMost is Do with a bound of its own for the bytes of the answer, in the place of Config.MaxBody.
func (c *Client) DoMost(ctx context.Context, r *http.Request, most int64) (Answer, error) {
	host := r.URL.Host
	if s := r.URL.Scheme; s != "http" && s != "https" {
		return Answer{}, fmt.Errorf("ask %.100q: the scheme is not http or https", host)
	}
	resp, err := c.http.Do(r.WithContext(ctx))
	if err != nil {
		var u interface{ Unwrap() error }
		if errors.As(err, &u) { // url.Error retells the whole address
			err = u.Unwrap()
		}
		return Answer{}, fmt.Errorf("ask %.100q: %w", host, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return Answer{}, fmt.Errorf("ask %.100q: %w", host, err)
	case int64(len(body)) > most:
		return Answer{}, fmt.Errorf("ask %.100q: %w: more than %d bytes", host, ErrTooLarge, most)
	case resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified:
		return Answer{}, fmt.Errorf("ask %.100q: %w", host, ErrRedirect)
	}
	return Answer{resp.StatusCode, resp.Header, body}, nil
}

// Upgrade is a client for protocols that begin as an HTTP request, as WebSocket does: HTTP/1.1 through the same dialer, no
// redirects. Only the beginning has a deadline; whoever reads what follows bounds it. The caller closes its idle
// connections.
func (c *Client) Upgrade() *http.Client {
	t := c.http.Transport.(*http.Transport).Clone()
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{} // not nil: HTTP/2 cannot be upgraded
	t.TLSClientConfig.NextProtos = nil
	return &http.Client{Transport: t, Timeout: c.http.Timeout, CheckRedirect: c.http.CheckRedirect}
}

// Close ends the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// checkPublic looks at the address that is about to be dialled, after the name was looked up.
func checkPublic(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("dial %.100q: %w", address, ErrPrivate)
	}
	if !Public(ap.Addr()) {
		return fmt.Errorf("dial %s: %w", ap.Addr(), ErrPrivate)
	}
	return nil
}

// Public reports whether an address is on the public internet: not loopback, private, link-local, multicast, reserved,
// for documentation, or one that carries an IPv4 address inside (IANA special-purpose registries; RFC 6890).
func Public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" || !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	reserved := reserved4
	if a.Is6() {
		reserved = reserved6
	}
	for _, p := range reserved {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// The ranges that no public host has.
var reserved4 = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
}

var reserved6 = []netip.Prefix{
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("3fff::/20"), netip.MustParsePrefix("5f00::/16"), netip.MustParsePrefix("fec0::/10"),
}
