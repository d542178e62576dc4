package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
)

// A login is the headers that open an endpoint. The zero value is one that was not read yet.
type login struct {
	header http.Header
	read   bool
}

// mostSecret is how many bytes a file with a secret may have.
const mostSecret = 16 << 10

// headers are those of the configuration; again reads its files anew. The endpoint's name stands in errors, and the name of the
// file, never what is in it.
func (c *Client) headers(again bool) (http.Header, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.login.read && !again {
		return c.login.header, nil
	}
	h := http.Header{}
	r := http.Request{Header: h}
	if c.config.User != "" || c.config.Password != "" {
		r.SetBasicAuth(c.config.User, c.config.Password)
	}
	if c.config.CookieFile != "" {
		text, err := secretFile(c.config.CookieFile)
		if err != nil {
			return nil, err
		}
		user, password, ok := strings.Cut(text, ":")
		if !ok {
			return nil, fmt.Errorf("%s: want user:password", c.config.CookieFile)
		}
		r.SetBasicAuth(user, password)
	}
	if c.config.BearerFile != "" {
		text, err := secretFile(c.config.BearerFile)
		if err != nil {
			return nil, err
		}
		h.Set("Authorization", "Bearer "+text)
	}
	for name, path := range c.config.HeaderFiles {
		text, err := secretFile(path)
		if err != nil {
			return nil, err
		}
		h.Set(name, text)
	}
	c.login = login{h, true}
	return h, nil
}

// hasFiles reports whether a login can change while the program runs.
func (c *Client) hasFiles() bool {
	return c.config.CookieFile != "" || c.config.BearerFile != "" || len(c.config.HeaderFiles) > 0
}

// secretFile is the one line of a file.
func secretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostSecret+1))
	if err != nil {
		return "", err
	}
	text = bytes.TrimSpace(text)
	switch {
	case len(text) == 0:
		return "", fmt.Errorf("%s: it is empty", path)
	case len(text) > mostSecret:
		return "", fmt.Errorf("%s: more than %d bytes", path, mostSecret)
	case bytes.ContainsFunc(text, unicode.IsControl):
		return "", fmt.Errorf("%s: want one line of text", path)
	}
	return string(text), nil
}

// post sends one request and reads its whole answer, once more where the endpoint refused a login that came from a file.
func (c *Client) post(ctx context.Context, body []byte, most int64) (answerStatus, []byte, error) {
	if wait := c.patience(); wait > 0 {
		return answerStatus{}, nil, &Status{http.StatusTooManyRequests, wait}
	}
	for again := false; ; again = true {
		h, err := c.headers(again)
		if err != nil {
			return answerStatus{}, nil, err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
		if err != nil {
			return answerStatus{}, nil, errors.New("the address of the endpoint cannot be asked")
		}
		r.Header = h.Clone()
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json")
		a, err := c.fetch.DoMost(ctx, r, most)
		if err != nil {
			return answerStatus{}, nil, err
		}
		if a.Status == http.StatusUnauthorized && !again && c.hasFiles() {
			continue
		}
		s := statusOf(a, c.now())
		c.heed(s)
		return s, a.Body, nil
	}
}

// patience is for how long the endpoint wants not to be asked.
func (c *Client) patience() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.until.Sub(c.now())
}

// heed remembers for how long the endpoint wants not to be asked.
func (c *Client) heed(s answerStatus) {
	if s.after > 0 && errors.Is(s.failure(), ErrBusy) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.until = c.now().Add(s.after)
	}
}

// secrets are the parts of a configuration that no error may retell: some endpoints carry their key in the path.
func secrets(c Config) []string {
	var out []string
	add := func(s string) {
		if len(s) >= 8 {
			out = append(out, s)
		}
	}
	for _, address := range []string{c.URL, c.Socket} {
		u, err := url.Parse(address)
		if err != nil {
			continue
		}
		add(u.RawQuery)
		for part := range strings.SplitSeq(u.Path, "/") {
			add(part)
		}
		for _, values := range u.Query() {
			for _, v := range values {
				add(v)
			}
		}
	}
	add(c.Password)
	return out
}

// mostMessage and mostData are what is kept of an endpoint's error, in bytes.
const (
	mostMessage = 300
	mostData    = 4 << 10
)

// clean makes an endpoint's error fit to be shown.
func (c *Client) clean(e *Error) *Error {
	text := strings.ToValidUTF8(e.Message, "?")
	for _, s := range c.secret {
		text = strings.ReplaceAll(text, s, "…")
		if bytes.Contains(e.Data, []byte(s)) {
			e.Data = nil
		}
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > mostMessage {
		text = strings.ToValidUTF8(text[:mostMessage], "")
	}
	e.Message = text
	if len(e.Data) > mostData {
		e.Data = nil
	}
	return e
}
