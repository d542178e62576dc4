package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/internal/fetch"
)

var (
	// ErrAnswer is returned for an answer that is no JSON-RPC, or not the one that was asked for.
	ErrAnswer = errors.New("not an answer to what was asked")
	// ErrMethod is returned where the endpoint does not offer the method.
	ErrMethod = errors.New("the endpoint does not offer the method")
	// ErrBusy is returned where the endpoint asks for patience: too many requests, or it is still starting. Wait says for
	// how long, if it said so.
	ErrBusy = errors.New("the endpoint asks for patience")
	// ErrTooLarge is returned where the answer or the batch is larger than one side allows.
	ErrTooLarge = fetch.ErrTooLarge
)

// An Error is what the endpoint itself says is wrong. It is an ErrMethod, an ErrBusy or an ErrTooLarge where its code or its
// words say that. Its text is bounded and free of control characters, and free of the keys in the configuration.
type Error struct {
	Code    int64
	Message string
	Data    json.RawMessage // at most 4 KiB; nil if there is none or more
}

// Error says what the endpoint said.
func (e *Error) Error() string {
	return fmt.Sprintf("the endpoint says %q (code %d)", e.Message, e.Code)
}

// Is tells the common errors apart: nodes agree on few codes, so that words count too.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrMethod:
		return e.isMethod()
	case ErrBusy:
		return !e.isMethod() && e.isBusy()
	case ErrTooLarge:
		return !e.isMethod() && !e.isBusy() && e.isTooLarge()
	}
	return false
}

// The codes are those of the JSON-RPC specification (-32601), of EIP-1474 (-32004, -32005), of geth (-32003), of
// Bitcoin Core (-28: warming up), and of the large providers (-32016, -32029, -32090, 429).
func (e *Error) isMethod() bool {
	return e.Code == -32601 || e.Code == -32004 ||
		e.says("method not found", "does not exist/is not available", "method not supported", "unsupported method", "method is not available", "not whitelisted")
}

func (e *Error) isBusy() bool {
	switch e.Code {
	case -28, -32016, -32029, -32090, 429:
		return true
	case -32005:
		return !e.says("query returned more than", "response size", "block range", "batch")
	}
	return e.says("rate limit", "too many requests", "request limit", "capacity exceeded", "work queue depth", "throughput")
}

func (e *Error) isTooLarge() bool {
	return e.Code == -32003 && e.says("too large") ||
		e.says("response too large", "response size", "response is too big", "query returned more than", "batch too large", "batch size", "batch limit", "batch of", "too many requests in batch", "request entity too large", "exceeded max allowed")
}

func (e *Error) says(any ...string) bool {
	text := strings.ToLower(e.Message)
	for _, s := range any {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// A Status is an HTTP answer that is no JSON-RPC. 429 and 503 are ErrBusy, 413 is ErrTooLarge.
type Status struct {
	Code  int
	After time.Duration // for how long the endpoint asks for patience; 0 where it does not say
}

// Error says the code in words.
func (s *Status) Error() string { return fmt.Sprintf("HTTP %d %s", s.Code, http.StatusText(s.Code)) }

// Is tells the common errors apart.
func (s *Status) Is(target error) bool {
	switch target {
	case ErrBusy:
		return s.Code == http.StatusTooManyRequests || s.Code == http.StatusServiceUnavailable
	case ErrTooLarge:
		return s.Code == http.StatusRequestEntityTooLarge
	}
	return false
}

// Wait is for how long an error asks for patience; 0 where it does not say.
func Wait(err error) time.Duration {
	var s *Status
	if errors.As(err, &s) {
		return s.After
	}
	return 0
}

// mostWait is the longest patience that is granted: a stranger must not stop a reader for days.
const mostWait = 10 * time.Minute

// An answerStatus is the outside of an HTTP answer.
type answerStatus struct {
	code  int
	after time.Duration
}

func statusOf(a fetch.Answer, now time.Time) answerStatus {
	return answerStatus{code: a.Status, after: after(a.Header, now)}
}

// after reads Retry-After, in both of its forms.
func after(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, mostWait)
	}
	t, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(0, t.Sub(now)), mostWait)
}

func (s answerStatus) failure() error { return &Status{s.code, s.after} }

// failure is the HTTP status where it tells more than that the answer could not be read.
func failure(s answerStatus, err error) error {
	if s.code != http.StatusOK {
		return s.failure()
	}
	return err
}
