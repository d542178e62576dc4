package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/internal/fetch"
	"github.com/spoor-dev/spoor/screen"
)

// ErrVendor is returned for a vendor that cannot be asked as it is configured.
var ErrVendor = errors.New("not a vendor that can be asked")

// VendorConfig is a screening service which is asked beside our own.
type VendorConfig struct {
	Dialect string           // one of VendorDialects
	Base    string           // address that the paths of the dialect are put behind
	Key     string           // sent as the dialect has it
	Timeout time.Duration    // of its answer; 3 s if 0
	Private bool             // it may stand in a private network, or on this machine
	Now     func() time.Time // the clock; time.Now if nil
}

// A Forward asks a Screener and a vendor at once, and gives the stricter of both answers with the reasons of both. A vendor
// that does not answer is a reason to hold. It implements Screener.
type Forward struct {
	own    Screener
	c      VendorConfig
	base   *url.URL
	ask    vendorAsk
	client *fetch.Client
}

// NewForward asks own and a vendor; own keeps what both said. Errors: ErrVendor.
func NewForward(own Screener, c VendorConfig) (*Forward, error) {
	base, err := url.Parse(c.Base)
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || base.RawQuery != "" || base.User != nil {
		return nil, fmt.Errorf("%w: the base address is not that of a web site", ErrVendor)
	}
	if base.Scheme == "http" && !c.Private {
		return nil, fmt.Errorf("%w: over http everybody on the way could read the key, and change the answers", ErrVendor)
	}
	f := &Forward{own: own, c: c, base: base}
	for _, v := range vendors {
		if v.dialect == c.Dialect {
			f.ask = v.ask
		}
	}
	if f.ask == nil {
		return nil, fmt.Errorf("%w: there is no dialect %.40q; there are %q", ErrVendor, c.Dialect, VendorDialects())
	}
	if f.c.Now == nil {
		f.c.Now = time.Now
	}
	def(&f.c.Timeout, 3*time.Second)
	f.client = fetch.New(fetch.Config{Timeout: f.c.Timeout, MaxBody: 4 << 20, Private: c.Private})
	return f, nil
}

// Close ends the connections to the vendor.
func (f *Forward) Close() { f.client.Close() }

// pastTolerance is how old a moment may be that a vendor is asked about: it knows only now.
const pastTolerance = 60

// Answer implements Screener.
func (f *Forward) Answer(ctx context.Context, q screen.Question) (screen.Verdict, error) {
	now := f.c.Now().Unix()
	present := now-q.AsOf <= pastTolerance && (q.KnownAt == 0 || now-q.KnownAt <= pastTolerance)
	answered := make(chan vendorAnswer, 1)
	if present {
		go func() { answered <- f.askVendor(ctx, q) }() // ends with the client's timeout
	}
	v, err := f.own.Answer(ctx, q)
	if present {
		a := <-answered
		if err != nil {
			return screen.Verdict{}, err
		}
		f.merge(&v, a)
	} else if err != nil {
		return screen.Verdict{}, err
	} else {
		v.DoesNotKnow = append(slices.Clone(v.DoesNotKnow), fmt.Sprintf("%s was not asked: it knows only what is now.", f.c.Dialect))
	}
	v.Given = now
	return screen.Seal(v)
}

// Keep implements Screener.
func (f *Forward) Keep(ctx context.Context, all ...screen.Verdict) error {
	return f.own.Keep(ctx, all...)
}

// A vendorAnswer is what a vendor said, in our words.
type vendorAnswer struct {
	decision screen.Decision
	names    []attribute.Label // what it says that the address is
	says     string
	err      error
}

func (f *Forward) askVendor(ctx context.Context, q screen.Question) vendorAnswer {
	a, err := f.ask(ctx, f, q)
	if err == nil && (a.decision < screen.Allow || a.decision > screen.Block) {
		err = errShape
	}
	a.err = err
	return a
}

func (f *Forward) merge(v *screen.Verdict, a vendorAnswer) {
	r := screen.Reason{Rule: screen.RuleVendor, Decision: a.decision, Direct: true, Source: f.c.Dialect, AsOf: f.c.Now().Unix()}
	v.DoesNotKnow = slices.Clone(v.DoesNotKnow)
	if a.err != nil {
		r.Decision = screen.Hold
		r.Sentence = fmt.Sprintf("%s could not be asked: %s", f.c.Dialect, clean(a.err.Error()))
		v.Partial = true
		v.DoesNotKnow = append(v.DoesNotKnow, r.Sentence)
	} else {
		r.Sentence = fmt.Sprintf("%s says %s", f.c.Dialect, clean(a.says))
		v.Labels = slices.Clone(v.Labels)
		for _, l := range a.names {
			l.Subject = attribute.OfAccount(v.Subject)
			l.Source, l.Confidence, l.Seen = attribute.Source{ID: f.c.Dialect}, attribute.TrustedProvider, r.AsOf
			v.Labels = append(v.Labels, l)
			if r.Category == "" {
				r.Category, r.Entity, r.Evidence, r.Confidence = string(l.Category), l.Name, l.Evidence, l.Confidence.Level()
			}
			v.Unknown = false
		}
	}
	v.Decision = max(v.Decision, r.Decision)
	v.Reasons = append(slices.Clone(v.Reasons), r)
	slices.SortStableFunc(v.Reasons, func(a, b screen.Reason) int { return cmp.Compare(b.Decision, a.Decision) })
}
