package outbox

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// A Route says which alerts go to which sinks. An alert takes the first route that it matches, and goes on to the next
// ones where that says Continue. The zero value of a condition matches everything.
type Route struct {
	Name   string           // unique among the routes; alerts of one route may come in one message
	Kinds  []alert.Kind     // of the first message under a key; its corrections follow it
	Least  finding.Severity // and everything that is more severe
	Case   string           // a pattern as in path.Match of the case or the list, such as "treasury-*"
	Chains []flow.Chain
	Sinks  []string // names of receivers
	// Continue goes on to the next route after a match.
	Continue bool
	// Wait is how long an alert less severe than High waits for company; 5 s if 0, not at all if negative.
	Wait time.Duration
	// Group is how many alerts may come in one message; 20 if 0, and never more than 1,000.
	Group int
}

// A Receiver is a sink with the manners that it asks for.
type Receiver struct {
	Sink alert.Sink
	// PerMinute is how many messages it takes in a minute, of which so many as Burst may come at once (1 if 0); no limit if 0.
	PerMinute, Burst int
	Quiet            []Quiet
}

// Quiet is hours of a day in which only what is severe enough is sent; the rest is held until they are over.
type Quiet struct {
	// From and To are times of the day since midnight, in Zone; To is not part of it. Where To is not after From, it is
	// that of the next day.
	From, To time.Duration
	Zone     *time.Location   // UTC if nil
	Days     []time.Weekday   // those on which it begins; all if empty
	Least    finding.Severity // what is sent nevertheless; Critical if 0
}

const (
	defaultWait  = 5 * time.Second
	defaultGroup = 20
	maxName      = 100 // bytes
)

// check returns what is wrong with a configuration.
func check(routes []Route, sinks []Receiver) error {
	known := map[string]bool{}
	for i, r := range sinks {
		if r.Sink == nil {
			return fmt.Errorf("sink %d: there is none", i)
		}
		name := r.Sink.Name()
		switch {
		case !isName(name):
			return fmt.Errorf("sink %d: %.120q is no name: 1 to %d bytes without control characters", i, name, maxName)
		case known[name]:
			return fmt.Errorf("sink %s: there are two of them", name)
		case r.PerMinute < 0 || r.Burst < 0:
			return fmt.Errorf("sink %s: a limit below nothing", name)
		}
		known[name] = true
		for _, q := range r.Quiet {
			if err := q.check(); err != nil {
				return fmt.Errorf("sink %s: quiet hours: %w", name, err)
			}
		}
	}
	names := map[string]bool{}
	for i, r := range routes {
		switch {
		case !isName(r.Name):
			return fmt.Errorf("route %d: %.120q is no name: 1 to %d bytes without control characters", i, r.Name, maxName)
		case names[r.Name]:
			return fmt.Errorf("route %s: there are two of them", r.Name)
		case r.Group < 0:
			return fmt.Errorf("route %s: groups of %d", r.Name, r.Group)
		case r.Least > finding.Critical:
			return fmt.Errorf("route %s: %s is no severity", r.Name, r.Least)
		}
		names[r.Name] = true
		if _, err := path.Match(r.Case, ""); err != nil {
			return fmt.Errorf("route %s: case %.120q: %w", r.Name, r.Case, err)
		}
		for _, s := range r.Sinks {
			if !known[s] {
				return fmt.Errorf("route %s: there is no sink %.120q", r.Name, s)
			}
		}
	}
	return nil
}

func isName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// matches reports whether an alert takes the route.
func (r *Route) matches(a *alert.Alert) bool {
	if len(r.Kinds) > 0 && !slices.Contains(r.Kinds, a.Kind) || a.Severity < r.Least {
		return false
	}
	if len(r.Chains) > 0 && !slices.Contains(r.Chains, a.Chain) {
		return false
	}
	if r.Case == "" {
		return true
	}
	ok, err := path.Match(r.Case, a.Case)
	return ok && err == nil
}

// wait is how long an alert of a lane waits for company.
func (r *Route) wait(l lane) time.Duration {
	switch {
	case l.severity() >= finding.High || r.Wait < 0:
		return 0
	case r.Wait == 0:
		return defaultWait
	}
	return r.Wait
}

func (r *Route) group() int {
	if r.Group == 0 {
		return defaultGroup
	}
	return min(r.Group, window)
}

const day = 24 * time.Hour

func (q Quiet) check() error {
	switch {
	case q.From < 0 || q.From >= day || q.To < 0 || q.To > day:
		return fmt.Errorf("from %s to %s: times of a day are from 0 to 24h", q.From, q.To)
	case q.Least > finding.Critical:
		return fmt.Errorf("%s is no severity", q.Least)
	case slices.ContainsFunc(q.Days, func(d time.Weekday) bool { return d < time.Sunday || d > time.Saturday }):
		return errors.New("a day that no week has")
	}
	return nil
}

// holds reports whether something so severe is held at that moment, and until when.
func (q Quiet) holds(s finding.Severity, now time.Time) (until time.Time, held bool) {
	least := q.Least
	if least == 0 {
		least = finding.Critical
	}
	if s >= least {
		return until, false
	}
	zone := q.Zone
	if zone == nil {
		zone = time.UTC
	}
	local := now.In(zone)
	for _, back := range []int{0, 1} { // it may have begun yesterday
		begin := clock(local, -back, q.From)
		end := clock(local, -back, q.To)
		if q.To <= q.From {
			end = clock(local, 1-back, q.To)
		}
		if len(q.Days) > 0 && !slices.Contains(q.Days, begin.Weekday()) {
			continue
		}
		if !now.Before(begin) && now.Before(end) {
			return end, true
		}
	}
	return until, false
}

// clock is a time of the day so many days after that of t.
func clock(t time.Time, days int, of time.Duration) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day()+days, int(of/time.Hour), int(of%time.Hour/time.Minute), int(of%time.Minute/time.Second), 0, t.Location())
}

// held reports whether something so severe must wait, and until when.
func (r *Receiver) held(s finding.Severity, now time.Time) (until time.Time, held bool) {
	for _, q := range r.Quiet {
		if u, ok := q.holds(s, now); ok && u.After(until) {
			until, held = u, true
		}
	}
	return until, held
}
