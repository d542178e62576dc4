package sink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/internal/fetch"
)

// The ways in which a Mail is kept from being read on its way.
const (
	StartTLS    = "starttls" // begin in the clear, and go on only if the server then encrypts
	ImplicitTLS = "implicit" // from the first byte
	NoTLS       = "none"     // not at all; for private networks only
)

// MailConfig is the configuration of a Mail.
type MailConfig struct {
	Name         string           `yaml:"name"`
	Server       string           `yaml:"server" doc:"host:port, such as mail.example.org:587"`
	TLS          string           `yaml:"tls" doc:"starttls, implicit or none; implicit on port 465 and else starttls if left out"`
	CAFile       string           `yaml:"ca_file" doc:"certificates to trust instead of the system's, in PEM"`
	User         string           `yaml:"user" doc:"none if left out"`
	PasswordFile string           `yaml:"password_file" doc:"of that user"`
	From         string           `yaml:"from" doc:"\"Spoor <spoor@example.org>\" or the address alone"`
	To           []string         `yaml:"to" doc:"at most 100"`
	Private      bool             `yaml:"private" doc:"the server may be on a private network or this machine"`
	Timeout      time.Duration    `yaml:"timeout" doc:"of one mail with all that is said about it; 30 s if left out"`
	Now          func() time.Time `yaml:"-"` // time.Now if nil
}

// A Mail sends alerts by SMTP, a group in one mail. It is safe for several goroutines.
type Mail struct {
	config MailConfig
	host   string
	from   *mail.Address
	to     []*mail.Address
	roots  *x509.CertPool // the system's if nil
	partly partly
}

// Bounds of a mail.
const (
	maxMailTo     = 100
	maxMailAnswer = 1 << 20 // bytes that a server may say in one session
)

// NewMail makes a Mail, and reads its files once to see whether they can be.
func NewMail(c MailConfig) (*Mail, error) {
	if err := checkName("mail", c.Name); err != nil {
		return nil, err
	}
	m := &Mail{config: c}
	if err := m.check(); err != nil {
		return nil, m.at(err)
	}
	return m, nil
}

func (m *Mail) check() error {
	c := &m.config
	host, port, err := net.SplitHostPort(c.Server)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("server %.100q: want host:port", c.Server)
	}
	m.host = host
	if c.TLS == "" {
		if c.TLS = StartTLS; port == "465" {
			c.TLS = ImplicitTLS
		}
	}
	switch {
	case c.TLS != StartTLS && c.TLS != ImplicitTLS && c.TLS != NoTLS:
		return fmt.Errorf("tls %.40q: want starttls, implicit or none", c.TLS)
	case c.TLS == NoTLS && (!c.Private || c.User != ""):
		return errors.New("tls none is for private networks, and without a user")
	case (c.User == "") != (c.PasswordFile == ""):
		return errors.New("user goes with password_file")
	case len(c.To) == 0 || len(c.To) > maxMailTo:
		return fmt.Errorf("%d receivers: want 1 to %d", len(c.To), maxMailTo)
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	c.Now = clock(c.Now)
	if m.from, err = parseMailbox(c.From); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	for i, s := range c.To {
		p, err := parseMailbox(s)
		if err != nil {
			return fmt.Errorf("to, number %d: %w", i+1, err)
		}
		m.to = append(m.to, p)
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return err
		}
		m.roots = x509.NewCertPool()
		if !m.roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s: no certificate in it", c.CAFile)
		}
	}
	_, err = readSecret(c.PasswordFile)
	return err
}

// parseMailbox reads one address. It has ASCII characters alone, none of which could end the line of a command.
func parseMailbox(s string) (*mail.Address, error) {
	p, err := mail.ParseAddress(s)
	if err != nil {
		return nil, fmt.Errorf("%.100q: want name@host", s)
	}
	local, domain, _ := strings.Cut(p.Address, "@")
	if local == "" || domain == "" || len(p.Address) > 254 || strings.ContainsFunc(p.Address, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>"\,;()[]`, r)
	}) {
		return nil, fmt.Errorf("%.100q: want name@host", s)
	}
	return p, nil
}

// Name is how the configuration calls the sink.
func (m *Mail) Name() string { return m.config.Name }

func (m *Mail) at(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sink %s: %w", m.config.Name, err)
}

// Send sends a group in one mail, to each receiver by itself: who is refused does not keep the others from it.
func (m *Mail) Send(ctx context.Context, group []alert.Alert) error {
	body, err := compose(group, m.from, m.to, m.config.Now())
	if err != nil {
		return m.at(err)
	}
	ctx, cancel := context.WithTimeout(ctx, m.config.Timeout)
	defer cancel()
	s := &session{m: m}
	defer s.close()
	id := groupID(group)
	ids := make([]string, len(m.to))
	for i, p := range m.to {
		ids[i] = id + " " + p.Address
	}
	return m.at(m.partly.each(ids, func(i int) error {
		if err := s.open(ctx); err != nil {
			return fmt.Errorf("%s: %w", m.config.Server, s.said(ctx, err))
		}
		if err := s.mail(m.to[i], body); err != nil {
			err = s.said(ctx, err)
			s.close() // whatever the server waits for now, the next one begins anew
			return fmt.Errorf("%s: to %s: %w", m.config.Server, m.to[i].Address, err)
		}
		return nil
	}))
}

// A session is one connection to a mail server. It belongs to one Send.
type session struct {
	m      *Mail
	client *smtp.Client // nil until open and after close
	stop   func() bool  // ends the watch over the context
	secret string
}

// open connects, encrypts and logs in, unless that is done.
func (s *session) open(ctx context.Context) error {
	if s.client != nil {
		return nil
	}
	c := s.m.config
	var err error
	if s.secret, err = readSecret(c.PasswordFile); err != nil {
		return err
	}
	d := &net.Dialer{}
	if !c.Private {
		d.Control = onlyPublic
	}
	conn, err := d.DialContext(ctx, "tcp", c.Server)
	if err != nil {
		return err
	}
	s.stop = context.AfterFunc(ctx, func() { conn.Close() })
	bounded := net.Conn(&boundedConn{conn, maxMailAnswer})
	config := &tls.Config{ServerName: s.m.host, RootCAs: s.m.roots, MinVersion: tls.VersionTLS12}
	if c.TLS == ImplicitTLS {
		bounded = tls.Client(bounded, config)
	}
	client, err := smtp.NewClient(bounded, s.m.host)
	if err != nil {
		s.stop()
		conn.Close()
		return err
	}
	s.client = client
	if err := s.greet(config); err != nil {
		s.close()
		return err
	}
	return nil
}

func (s *session) greet(config *tls.Config) error {
	if s.m.config.TLS == StartTLS {
		if ok, _ := s.client.Extension("STARTTLS"); !ok {
			return errors.New("the server does not offer STARTTLS")
		}
		if err := s.client.StartTLS(config); err != nil {
			return err
		}
	}
	user := s.m.config.User
	if user == "" {
		return nil
	}
	ok, offers := s.client.Extension("AUTH")
	if !ok {
		return errors.New("the server offers no way to log in")
	}
	auth := smtp.PlainAuth("", user, s.secret, s.m.host)
	if f := strings.Fields(strings.ToUpper(offers)); !slices.Contains(f, "PLAIN") && slices.Contains(f, "LOGIN") {
		auth = &loginAuth{user, s.secret}
	}
	return s.client.Auth(auth)
}

// mail sends one mail to one receiver.
func (s *session) mail(to *mail.Address, body []byte) error {
	if err := s.client.Mail(s.m.from.Address); err != nil {
		return err
	}
	if err := s.client.Rcpt(to.Address); err != nil {
		return err
	}
	w, err := s.client.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(body); err != nil {
		return err
	}
	return w.Close() // the server's answer to the whole mail
}

// close says goodbye, without waiting for an answer, and ends the connection.
func (s *session) close() {
	if s.client == nil {
		return
	}
	s.stop()
	_, _ = s.client.Text.Cmd("QUIT") // the mails have been taken or not: this changes nothing
	s.client.Close()
	s.client = nil
}

// said is an error of the server, without our password; what it answers with 5 as first digit it will always answer.
func (s *session) said(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// The last is how AUTH PLAIN writes both.
	hide := []string{s.secret, "\x00" + s.m.config.User + "\x00" + s.secret}
	if s.secret == "" {
		hide = nil
	}
	var answer *textproto.Error
	if errors.As(err, &answer) {
		told := fmt.Errorf("the server answered %d: %q", answer.Code, said(answer.Msg, hide))
		if answer.Code >= 500 {
			return fmt.Errorf("%w: %w", alert.ErrRefused, told)
		}
		return told
	}
	var garbage textproto.ProtocolError
	if errors.As(err, &garbage) {
		return fmt.Errorf("the server does not speak SMTP: %q", said(string(garbage), hide))
	}
	return err
}

// loginAuth is the old way to log in, for servers that know no other.
type loginAuth struct{ user, secret string }

// Start begins, where nobody can listen.
func (a *loginAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS {
		return "", nil, errors.New("no password without TLS")
	}
	return "LOGIN", nil, nil
}

// Next answers the two questions of the server, whatever their words are.
func (a *loginAuth) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	answer := a.user
	a.user, a.secret = a.secret, ""
	if answer == "" {
		return nil, errors.New("the server asks for more than a user and a password")
	}
	return []byte(answer), nil
}

// A boundedConn lets no more than so many bytes in.
type boundedConn struct {
	net.Conn
	left int
}

// Read reads until the bound is met.
func (c *boundedConn) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// onlyPublic looks at the address that is about to be dialled, by the same rule as all outgoing HTTP.
func onlyPublic(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !fetch.Public(ap.Addr()) {
		return fmt.Errorf("dial %.100q: %w", address, fetch.ErrPrivate)
	}
	return nil
}
