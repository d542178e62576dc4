package sink

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/mail"
	"net/textproto"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/internal/fetch"
)

// A post is a mail server for tests. The zero value offers nothing but mail.
type post struct {
	cert     *tls.Certificate  // for STARTTLS, or from the first byte if implicit
	implicit bool              // TLS from the first byte
	auth     string            // the ways to log in that it offers
	answers  map[string]string // what to answer to a command that begins with the key, instead of yes
	greeting string            // instead of the usual

	mu    sync.Mutex
	lines []string // guarded by mu: all commands
	mails []string // guarded by mu: what came, with the receiver before it
}

// start listens until the test ends, and returns host and port.
func (p *post) start(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				stop := context.AfterFunc(ctx, func() { c.Close() })
				defer stop()
				defer c.Close()
				p.serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		cancel()
		all.Wait()
	})
	return l.Addr().String()
}

// serve speaks with one client.
func (p *post) serve(c net.Conn) {
	if p.implicit {
		c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*p.cert}})
	}
	secure := p.implicit
	r := textproto.NewReader(bufio.NewReader(c))
	say := func(s string) bool {
		_, err := fmt.Fprintf(c, "%s\r\n", s)
		return err == nil
	}
	if p.greeting == "" {
		say("220 post.example ESMTP")
	} else {
		say(p.greeting)
	}
	to := ""
	for {
		line, err := r.ReadLine()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.lines = append(p.lines, line)
		p.mu.Unlock()
		verb := strings.ToUpper(strings.Fields(line + " .")[0])
		answer := ""
		for prefix, a := range p.answers {
			if strings.HasPrefix(line, prefix) {
				answer = a
			}
		}
		switch {
		case answer != "":
			say(answer)
			continue
		case verb == "EHLO":
			extensions := []string{"post.example"}
			if p.cert != nil && !secure {
				extensions = append(extensions, "STARTTLS")
			}
			if p.auth != "" {
				extensions = append(extensions, "AUTH "+p.auth)
			}
			for i, e := range extensions {
				say("250" + map[bool]string{true: " ", false: "-"}[i == len(extensions)-1] + e)
			}
		case verb == "STARTTLS":
			say("220 go on")
			c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*p.cert}})
			r, secure = textproto.NewReader(bufio.NewReader(c)), true
		case verb == "AUTH" && strings.HasPrefix(line, "AUTH LOGIN"):
			for _, ask := range []string{"Username:", "Password:"} {
				say("334 " + base64.StdEncoding.EncodeToString([]byte(ask)))
				line, _ := r.ReadLine()
				p.mu.Lock()
				p.lines = append(p.lines, line)
				p.mu.Unlock()
			}
			say("235 welcome")
		case verb == "AUTH":
			say("235 welcome")
		case verb == "RCPT":
			to = line
			say("250 yes")
		case verb == "DATA":
			say("354 go on")
			b, err := r.ReadDotBytes()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.mails = append(p.mails, to+"\n"+string(b))
			p.mu.Unlock()
			say("250 taken")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 yes")
		}
	}
}

// got are the commands and mails so far.
func (p *post) got() (lines, mails []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines), slices.Clone(p.mails)
}

// certificate makes a certificate for 127.0.0.1, and its PEM form.
func certificate(t *testing.T) (*tls.Certificate, string) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func mailConfig(server string) MailConfig {
	return MailConfig{Name: "mail", Server: server, TLS: NoTLS, From: "Spoor <spoor@example.org>", To: []string{"desk@example.org", "Second Desk <second@example.org>"}, Private: true, Now: noon}
}

func TestMail(t *testing.T) {
	cert, ca := certificate(t)
	plain := base64.StdEncoding.EncodeToString([]byte("\x00spoor\x00mail-secret"))
	for name, c := range map[string]struct {
		server *post
		tls    string
		user   string
		want   string // a command that must have come
	}{
		"clear":    {&post{}, NoTLS, "", "MAIL FROM:<spoor@example.org>"},
		"starttls": {&post{cert: cert, auth: "PLAIN LOGIN"}, StartTLS, "spoor", "AUTH PLAIN " + plain},
		"implicit": {&post{cert: cert, implicit: true, auth: "PLAIN"}, ImplicitTLS, "spoor", "AUTH PLAIN " + plain},
		"login":    {&post{cert: cert, auth: "LOGIN XOAUTH2"}, StartTLS, "spoor", base64.StdEncoding.EncodeToString([]byte("mail-secret"))},
	} {
		t.Run(name, func(t *testing.T) {
			config := mailConfig(c.server.start(t))
			config.TLS, config.User = c.tls, c.user
			if c.user != "" {
				config.PasswordFile = file(t, "mail-secret\n")
			}
			if c.tls != NoTLS {
				config.CAFile = file(t, ca)
			}
			m := must(NewMail(config))
			if err := m.Send(t.Context(), []alert.Alert{arrival(), hostile()}); err != nil {
				t.Fatal(err)
			}
			lines, mails := c.server.got()
			if !slices.Contains(lines, c.want) {
				t.Errorf("%q never came: %q", c.want, lines)
			}
			if len(mails) != 2 || !strings.HasPrefix(mails[0], "RCPT TO:<desk@example.org>\n") || !strings.HasPrefix(mails[1], "RCPT TO:<second@example.org>\n") {
				t.Fatalf("mails: %q", mails)
			}
			_, first, _ := strings.Cut(mails[0], "\n")
			read, err := mail.ReadMessage(strings.NewReader(first))
			if err != nil {
				t.Fatal(err)
			}
			if to, err := read.Header.AddressList("To"); err != nil || len(to) != 2 {
				t.Errorf("To: %v, %v", to, err)
			}
			for _, evil := range []string{"Bcc", "X-Evil"} {
				if read.Header.Get(evil) != "" {
					t.Errorf("the mail has a header %s", evil)
				}
			}
			if text := mailParts(t, read)[0]; !strings.Contains(text, "CRITICAL: stolen money came") || !strings.Contains(text, "NOT YET ON THE CHAIN") {
				t.Errorf("text: %s", text)
			}
		})
	}
}

func TestMailIDsMakeThreads(t *testing.T) {
	from, to := must(parseMailbox("spoor@example.org")), []*mail.Address{must(parseMailbox("desk@example.org"))}
	all := kinds()
	read := func(group ...alert.Alert) mail.Header {
		return must(mail.ReadMessage(strings.NewReader(string(must(compose(group, from, to, noon())))))).Header
	}
	first, second, correction := read(all["found"]), read(all["found"]), read(all["correction"])
	both := read(all["found"], all["state"])
	id := first.Get("Message-Id")
	if id == "" || id != second.Get("Message-Id") || id == correction.Get("Message-Id") || first.Get("References") != "" {
		t.Errorf("IDs %q, %q, %q", id, second.Get("Message-Id"), correction.Get("Message-Id"))
	}
	if correction.Get("References") != id || correction.Get("In-Reply-To") != id {
		t.Errorf("the correction refers to %q; want %q", correction.Get("References"), id)
	}
	if refs := strings.Fields(both.Get("References")); len(refs) != 2 || refs[0] != id {
		t.Errorf("a group refers to %q; want %q first", refs, id)
	}
	if first.Get("Importance") != "high" || both.Get("X-Spoor-Severity") != "critical" {
		t.Errorf("headers: %v", first)
	}
}

func TestMailErrors(t *testing.T) {
	cert, ca := certificate(t)
	stranger, _ := certificate(t)
	secret := base64.StdEncoding.EncodeToString([]byte("\x00spoor\x00mail-secret"))
	for name, c := range map[string]struct {
		server  *post
		tls     string
		refused bool
		taken   int
	}{
		"no-starttls":      {&post{}, StartTLS, false, 0},
		"unknown-ca":       {&post{cert: stranger}, StartTLS, false, 0},
		"refused-password": {&post{cert: cert, auth: "PLAIN", answers: map[string]string{"AUTH": "535 not " + secret + " mail-secret"}}, StartTLS, true, 0},
		"garbage-password": {&post{cert: cert, auth: "PLAIN", answers: map[string]string{"AUTH": "mail-secret " + secret}}, StartTLS, false, 0},
		"no-auth":          {&post{cert: cert}, StartTLS, false, 0},
		"busy":             {&post{cert: cert, auth: "PLAIN", answers: map[string]string{"MAIL": "451 later"}}, StartTLS, false, 0},
		"too-large":        {&post{cert: cert, auth: "PLAIN", answers: map[string]string{"MAIL": "552 no"}}, StartTLS, true, 0},
		"one-refused":      {&post{cert: cert, auth: "PLAIN", answers: map[string]string{"RCPT TO:<desk": "550 nobody"}}, StartTLS, true, 1},
		"second-refused":   {&post{cert: cert, auth: "PLAIN", answers: map[string]string{"RCPT TO:<second": "550 nobody"}}, StartTLS, true, 1},
		"second-greylist":  {&post{cert: cert, auth: "PLAIN", answers: map[string]string{"RCPT TO:<second": "450 later"}}, StartTLS, false, 1},
		"no-smtp":          {&post{greeting: "HTTP/1.1 400 mail-secret"}, StartTLS, false, 0},
		"endless-greeting": {&post{greeting: strings.Repeat("220-mail-secret\r\n", 80_000)}, StartTLS, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			config := mailConfig(c.server.start(t))
			config.TLS, config.User, config.PasswordFile, config.CAFile = c.tls, "spoor", file(t, "mail-secret"), file(t, ca)
			m := must(NewMail(config))
			for range 2 { // the second time, who has it already is spared
				err := m.Send(t.Context(), []alert.Alert{arrival()})
				if err == nil || errors.Is(err, alert.ErrRefused) != c.refused {
					t.Errorf("error %v; want refused: %v", err, c.refused)
				} else if s := err.Error(); strings.Contains(s, "mail-secret") || strings.Contains(s, secret) || len(s) > 600 {
					t.Errorf("the error tells too much: %v", err)
				}
				if c.refused {
					break // it goes to the dead letters, and does not come again
				}
			}
			if _, mails := c.server.got(); len(mails) != c.taken {
				t.Errorf("%d mails were taken; want %d", len(mails), c.taken)
			}
		})
	}
}

func TestMailEndsInTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	config := mailConfig(l.Addr().String())
	config.Timeout = 20 * time.Millisecond
	if err := must(NewMail(config)).Send(t.Context(), []alert.Alert{arrival()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v; want %v", err, context.DeadlineExceeded)
	}
	config.Timeout = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := must(NewMail(config)).Send(ctx, []alert.Alert{arrival()}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v; want %v", err, context.Canceled)
	}
}

func TestMailServersOnPrivateNetworksAreClosedUnlessConfigured(t *testing.T) {
	p := &post{}
	config := mailConfig(p.start(t))
	config.Private, config.TLS = false, StartTLS
	for _, server := range []string{config.Server, strings.Replace(config.Server, "127.0.0.1", "localhost", 1), "[::1]:25", "169.254.169.254:25"} {
		config.Server = server
		if err := must(NewMail(config)).Send(t.Context(), []alert.Alert{arrival()}); !errors.Is(err, fetch.ErrPrivate) {
			t.Errorf("%s: error %v; want %v", server, err, fetch.ErrPrivate)
		}
	}
	if lines, _ := p.got(); len(lines) > 0 {
		t.Errorf("a private host was asked: %q", lines)
	}
}

// TestNothingIsLeftRunning closes sinks that have spoken, with receivers that still listen.
func TestNothingIsLeftRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("speak", func(t *testing.T) {
		r := newReceiver(t, nil)
		for kind, s := range posters(t, r.URL, true) {
			if err := s.Send(t.Context(), many(3)); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
		if err := must(NewMail(mailConfig((&post{}).start(t)))).Send(t.Context(), many(3)); err != nil {
			t.Error(err)
		}
		refusing := &post{answers: map[string]string{"RCPT": "550 nobody"}}
		if err := must(NewMail(mailConfig(refusing.start(t)))).Send(t.Context(), many(3)); !errors.Is(err, alert.ErrRefused) {
			t.Errorf("error %v; want %v", err, alert.ErrRefused)
		}
	})
	waitFor(t, "all goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}
