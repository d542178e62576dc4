package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/internal/fetch"
)

// maxAnswer bounds what a receiver may answer, in bytes.
const maxAnswer = 1 << 20

// maxRetryAfter is the longest time for which a receiver is believed that it does not want to be asked.
const maxRetryAfter = time.Hour

// A poster is what all sinks that speak HTTP have.
type poster struct {
	name   string
	client *fetch.Client
	now    func() time.Time
}

func newPoster(name string, timeout time.Duration, private bool, now func() time.Time) poster {
	return poster{name, fetch.New(fetch.Config{Timeout: timeout, MaxBody: maxAnswer, Private: private}), clock(now)}
}

// Name is how the configuration calls the sink.
func (p *poster) Name() string { return p.name }

// Close ends the idle connections.
func (p *poster) Close() { p.client.Close() }

// at puts the sink's name before an error.
func (p *poster) at(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sink %s: %w", p.name, err)
}

// post sends a body and returns the answer of whoever took it. Where nobody did, the error is alert.ErrRefused, an
// alert.RetryAfter, or something that may pass. hide are the secrets which no error may tell.
func (p *poster) post(ctx context.Context, to *url.URL, header http.Header, body []byte, hide ...string) (fetch.Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return fetch.Answer{}, errors.New("the URL cannot be asked")
	}
	r.Header = header
	r.Header.Set("User-Agent", "spoor")
	a, err := p.client.Do(ctx, r)
	if err != nil {
		return fetch.Answer{}, err
	}
	return a, judge(a, p.now(), hide)
}

// judge says what an answer means for the message.
func judge(a fetch.Answer, now time.Time, hide []string) error {
	if a.Status >= 200 && a.Status < 300 {
		return nil
	}
	err := fmt.Errorf("the receiver answered %d: %q", a.Status, said(string(a.Body), hide))
	switch {
	case a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly, a.Status == http.StatusTooManyRequests, a.Status >= 500:
		if after, ok := retryAfter(a.Header.Get("Retry-After"), now); ok {
			return alert.RetryAfter{After: after, Err: err}
		}
	case a.Status >= 400:
		return fmt.Errorf("%w: %w", alert.ErrRefused, err)
	}
	return err
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(s string, now time.Time) (time.Duration, bool) {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return time.Duration(min(n, uint64(maxRetryAfter/time.Second))) * time.Second, true
	}
	t, err := http.ParseTime(s)
	if err != nil {
		return 0, false
	}
	return min(max(t.Sub(now), 0), maxRetryAfter), true
}

// jsonHeader is the header of a request with JSON.
func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }
