package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

// A when is a moment as callers write it: seconds since 1970, or RFC 3339. 0 is not said.
type when int64

// UnmarshalJSON reads a number or a text.
func (t *when) UnmarshalJSON(b []byte) error {
	s := string(b)
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	}
	v, err := parseWhen(s)
	*t = v
	return err
}

func parseWhen(s string) (when, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		return when(n), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Unix() <= 0 {
		return 0, fmt.Errorf("the moment %.60q: want seconds since 1970, or RFC 3339 as in 2025-01-31T12:00:00Z", s)
	}
	return when(t.Unix()), nil
}

// An asked is a question as callers write it, on our own wire.
type asked struct {
	ID             string   `json:"id,omitempty"` // of a line of a batch; it comes back
	Address        string   `json:"address"`
	Direction      string   `json:"direction,omitempty"`
	Asset          string   `json:"asset,omitempty"`
	Amount         string   `json:"amount,omitempty"`
	Counterparties []string `json:"counterparties,omitempty"`
	AsOf           when     `json:"as_of,omitempty"`
	KnownAt        when     `json:"known_at,omitempty"`
	Direct         bool     `json:"direct,omitempty"`
}

// parseAsked reads one JSON object and nothing behind it.
func parseAsked(b []byte) (asked, error) {
	var a asked
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return asked{}, fmt.Errorf("byte %d: %s", d.InputOffset(), clean(strings.TrimPrefix(err.Error(), "json: ")))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return asked{}, fmt.Errorf("byte %d: more than one JSON value", d.InputOffset())
	}
	return a, nil
}

// parseQuery reads a question of the query of a GET. An unknown name is an error: as-of written wrongly would be answered
// for today.
func parseQuery(raw string) (asked, error) {
	var a asked
	q, err := url.ParseQuery(raw)
	if err != nil {
		return a, errors.New("the query is not well formed")
	}
	for name, values := range q {
		if len(values) != 1 {
			return a, fmt.Errorf("%.40q is given %d times", name, len(values))
		}
		v := values[0]
		switch name {
		case "direction":
			a.Direction = v
		case "as_of":
			a.AsOf, err = parseWhen(v)
		case "known_at":
			a.KnownAt, err = parseWhen(v)
		case "direct":
			a.Direct, err = strconv.ParseBool(v)
		case "api_key":
		default:
			return a, fmt.Errorf("there is no parameter %.40q", name)
		}
		if err != nil {
			return a, fmt.Errorf("%s: %w", name, err)
		}
	}
	return a, nil
}

// question makes a question of what a caller wrote; now is the moment when none was said.
func (a asked) question(now int64) (screen.Question, error) {
	account, err := flow.ParseAccount(a.Address)
	if err != nil {
		return screen.Question{}, err
	}
	q := screen.Question{Account: account, Direction: screen.Direction(a.Direction), AsOf: int64(a.AsOf), KnownAt: int64(a.KnownAt), Direct: a.Direct}
	switch a.Direction {
	case "", "in", "out":
	case "both":
		q.Direction = screen.Both
	default:
		return q, fmt.Errorf("the direction %.40q: want in, out or both", a.Direction)
	}
	if q.AsOf == 0 {
		q.AsOf = now
	}
	if q.AsOf > now || q.KnownAt > now {
		return q, errors.New("the moment lies ahead: nobody knows the future")
	}
	if a.Asset != "" {
		if strings.Contains(a.Asset, "/") {
			q.Asset, err = flow.ParseAsset(a.Asset)
		} else {
			q.Asset, err = flow.ParseAssetOn(account.Chain(), a.Asset)
		}
		if err != nil {
			return q, err
		}
	}
	if a.Amount != "" {
		if q.Amount, err = flow.ParseAmount(a.Amount); err != nil {
			return q, fmt.Errorf("the amount: %w", err)
		}
	}
	if len(a.Counterparties) > screen.MaxCounterparties {
		return q, fmt.Errorf("%d counterparties; at most %d", len(a.Counterparties), screen.MaxCounterparties)
	}
	for i, s := range a.Counterparties {
		c, err := flow.ParseAccount(s)
		if err != nil {
			return q, fmt.Errorf("counterparty %d: %w", i, err)
		}
		q.Counterparties = append(q.Counterparties, c)
	}
	return q, nil
}

// badQuestion is the fault of a question that cannot be read.
func badQuestion(err error) *fault {
	f := &fault{status: 400, word: "question", title: "The question cannot be read", detail: clean(err.Error())}
	switch {
	case errors.Is(err, flow.ErrChecksum):
		f.word, f.title = "checksum", "The address has a wrong checksum"
		f.hint = "copy it again; a checksum is never ignored, and this is no clearance"
	case errors.Is(err, flow.ErrAddress):
		f.word, f.title = "address", "That is not an address"
		f.hint = "accepted are CAIP-10 (eip155:1:0x…), bare (0x…, bc1…, 1…, 3…, T…) and with a ticker (XBT:1…)"
	case errors.Is(err, flow.ErrAmount):
		f.hint = "amounts are whole numbers of the smallest unit: wei, satoshi, token base units"
	}
	return f
}

// screen asks one question, and keeps the verdict.
func (c *call) screen(ctx context.Context, q screen.Question) (*screen.Verdict, *fault) {
	v, f := c.ask(ctx, q)
	if f == nil {
		f = c.keep(ctx, *v)
	}
	if f != nil {
		return nil, f
	}
	return v, nil
}

// keep keeps verdicts that are to be given.
func (c *call) keep(ctx context.Context, all ...screen.Verdict) *fault {
	if err := c.screener.Keep(ctx, all...); err != nil {
		return c.blind(err)
	}
	for i := range all {
		c.metrics.decided(&all[i])
	}
	return nil
}

// blind is the fault of what could not be read or kept.
func (c *call) blind(err error) *fault {
	c.config.Log.Error("screen", "id", c.id, "error", clean(err.Error()))
	return &fault{status: 503, word: "blind", title: "No verdict can be given", detail: "the labels or the store could not be read", hint: "treat it as not cleared", retry: 5}
}

// ask asks one question. What is not a decided verdict is a fault, never an answer.
func (c *call) ask(ctx context.Context, q screen.Question) (*screen.Verdict, *fault) {
	if q.AsOf == 0 {
		q.AsOf = c.config.Now().Unix()
	}
	v, err := c.screener.Answer(ctx, q)
	switch {
	case err == nil && v.Decision >= screen.Allow && v.Decision <= screen.Block:
		return &v, nil
	case err == nil:
		err = errors.New("a verdict without a decision")
	case errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
		return nil, &fault{status: 504, word: "timeout", title: "The question took too long", hint: "treat it as not cleared; ask again, or ask the labels alone with direct=true", retry: 1}
	case errors.Is(err, screen.ErrQuestion):
		return nil, badQuestion(err)
	}
	return nil, c.blind(err)
}

// sanctions are the labels of a verdict which say that the subject itself is sanctioned, the surest first. They are what
// sources say, and so do not depend on the policy.
func sanctions(v *screen.Verdict) []attribute.Label {
	var out []attribute.Label
	for _, l := range v.Labels {
		if l.Category == attribute.Sanction && l.Stance == attribute.Asserts {
			out = append(out, l)
		}
	}
	return out
}

// clean makes a text from outside fit for one line of an answer.
func clean(s string) string {
	if len(s) > 500 {
		s = s[:500]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd || r >= 0x80 && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, s)
}

// tell puts what a vendor's shape cannot say into headers.
func tell(w http.ResponseWriter, v *screen.Verdict) {
	h := w.Header()
	h["Spoor-Decision"] = []string{v.Decision.String()}
	h["Spoor-Unknown"] = []string{strconv.FormatBool(v.Unknown)}
	if v.Partial {
		h["Spoor-Partial"] = []string{"true"}
	}
	if !v.ID.IsZero() {
		h["Spoor-Verdict"] = []string{v.ID.String()}
	}
	h["Spoor-List-Age"] = []string{strconv.FormatInt(v.ListAge, 10)}
}

// extra is the field "spoor" of Config.Extras.
type extra struct {
	Decision screen.Decision `json:"decision"`
	Unknown  bool            `json:"unknown"`
	Partial  bool            `json:"partial"`
	Reasons  []string        `json:"reasons"`
	AsOf     int64           `json:"as_of"`
	ListAge  int64           `json:"list_age"`
}

func (c *call) extra(v *screen.Verdict) *extra {
	if !c.config.Extras {
		return nil
	}
	e := &extra{v.Decision, v.Unknown, v.Partial, []string{}, v.AsOf, v.ListAge}
	for _, r := range v.Reasons {
		e.Reasons = append(e.Reasons, r.Sentence)
	}
	return e
}
