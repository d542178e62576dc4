package live

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/alert/outbox"
	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/engine"
)

// ErrRestart is returned by Reload for a change that only a restart brings into force.
var ErrRestart = errors.New("needs a restart")

// Reload brings a changed configuration into force while blocks go on: cases, lists, contacts, labels, sinks and routes.
// If one of them cannot be, nothing changes. Chains, nodes, the store, the disk's marks and the address to listen on
// need a restart: the error then wraps ErrRestart, names them, and the rest is in force.
func (l *Live) Reload(ctx context.Context, c config.Config) error {
	l.reloading.Lock()
	defer l.reloading.Unlock()
	labels, err := l.options.Labels()
	if err != nil {
		return err
	}
	cases, err := readCases(c.Cases)
	if err != nil {
		return err
	}
	lists, err := readLists(c)
	if err != nil {
		return err
	}
	oc, err := l.outboxConfig(c)
	if err != nil {
		return err
	}
	digests := digestsOf(labels, lists)
	old := l.currentConfig()
	if err := l.outbox.Reload(oc.Routes, oc.Sinks); err != nil {
		closeSinks(sinksOf(oc)[len(l.options.Sinks):])
		return err
	}
	closeSinks(l.sinks) // what they send just now is finished first
	l.sinks = sinksOf(oc)[len(l.options.Sinks):]
	l.mu.Lock()
	before := l.questions()
	sameLabels := l.digests.labels == digests.labels
	l.config.Cases, l.config.Lists, l.config.Contacts, l.config.Alerts, l.config.Labels = c.Cases, c.Lists, c.Contacts, c.Alerts, c.Labels
	l.labels, l.contacts, l.lists, l.digests = labels, newContacts(c.Contacts), lists, digests
	err = l.watch.SetLists(lists)
	for _, was := range l.cases {
		i := slices.IndexFunc(cases, func(oc *openCase) bool { return oc.id == was.id })
		switch {
		case i < 0:
			l.watch.Close(was.id)
		case cases[i].sum == was.sum && cases[i].path == was.path && cases[i].budget == was.budget && sameLabels:
			cases[i] = was
		case was.open:
			was.reopen, was.theft, was.sum, was.path, was.budget = "the theft, its budget or the labels have changed", cases[i].theft, cases[i].sum, cases[i].path, cases[i].budget
			was.knew = nil
			cases[i] = was
		}
	}
	l.cases = cases
	after := l.questions()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	for name, question := range before {
		if after[name] != question { // what was said under it stands as it was said
			if err := l.outbox.Release(ctx, name); err != nil {
				return err
			}
		}
	}
	if err := l.openWaiting(ctx); err != nil {
		return err
	}
	var fixed []string
	for what, same := range map[string]bool{
		"store": old.Store == c.Store, "disk": sameText(old.Disk, c.Disk), "listen": old.Listen == c.Listen, "chains": sameText(old.Chains, c.Chains),
	} {
		if !same {
			fixed = append(fixed, what)
		}
	}
	if len(fixed) > 0 {
		slices.Sort(fixed)
		return fmt.Errorf("a change of %v %w; all else is in force", fixed, ErrRestart)
	}
	return nil
}

// sameText reports whether two parts of a configuration are written alike.
func sameText(a, b any) bool {
	return fmt.Sprintf("%+v", config.Text(a)) == fmt.Sprintf("%+v", config.Text(b))
}

// labelsEvery is how often the files with labels are looked at.
const labelsEvery = 5 * time.Second

// followLabels reads the labels again whenever their files have changed, until ctx is done. Cases are then opened anew,
// because where a trace ends may have changed.
func (l *Live) followLabels(ctx context.Context) error {
	if l.options.LabelFiles == nil {
		return nil
	}
	last := l.stamps
	for rest(ctx, labelsEvery); ctx.Err() == nil; rest(ctx, labelsEvery) {
		now := engine.StampLabels(l.options.LabelFiles())
		if slices.Equal(now, last) {
			continue
		}
		if err := l.Reload(ctx, l.currentConfig()); err != nil {
			l.log.Error("the labels have changed and cannot be read; those from before stay in force", "error", err.Error())
			continue
		}
		last = now
		l.log.Info("the labels were read again")
	}
	return nil
}

// sinksOf are the sinks of a configuration.
func sinksOf(c outbox.Config) (all []alert.Sink) {
	for _, r := range c.Sinks {
		all = append(all, r.Sink)
	}
	return all
}

// outboxConfig makes the sinks and routes of a configuration.
func (l *Live) outboxConfig(c config.Config) (o outbox.Config, err error) {
	o = l.options.Outbox
	o.MaxAge, o.Keep, o.Sent = time.Duration(c.Alerts.MaxAge), time.Duration(c.Alerts.Keep), l.metrics.sent
	var all []string
	for _, s := range l.options.Sinks {
		o.Sinks = append(o.Sinks, outbox.Receiver{Sink: s})
		all = append(all, s.Name())
	}
	var configured []string
	for _, s := range c.Alerts.Sinks {
		one, err := s.Open()
		if err != nil {
			return o, err
		}
		r := outbox.Receiver{Sink: one, PerMinute: s.PerMinute, Burst: s.Burst}
		for _, q := range s.Quiet {
			quiet, err := quietOf(q)
			if err != nil {
				return o, fmt.Errorf("sink %s: %w", s.Name, err)
			}
			r.Quiet = append(r.Quiet, quiet)
		}
		o.Sinks = append(o.Sinks, r)
		configured = append(configured, s.Name)
	}
	for _, r := range c.Alerts.Routes {
		route := outbox.Route{Name: r.Name, Least: r.Severity, Case: r.Case, Chains: r.Chains, Sinks: r.Sinks, Continue: r.Continue, Wait: time.Duration(*r.Wait), Group: r.Group}
		if route.Wait == 0 {
			route.Wait = -1
		}
		for _, k := range r.Kinds {
			route.Kinds = append(route.Kinds, alert.Kind(k))
		}
		o.Routes = append(o.Routes, route)
	}
	if len(c.Alerts.Routes) == 0 {
		all = append(all, configured...)
	}
	if len(all) > 0 {
		o.Routes = append([]outbox.Route{{Name: "everything", Sinks: all, Continue: true}}, o.Routes...)
	}
	return o, nil
}

var weekdays = map[string]time.Weekday{"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}

func quietOf(q config.Quiet) (o outbox.Quiet, err error) {
	at := func(text string) time.Duration {
		t, parseErr := time.Parse("15:04", text)
		err = errors.Join(err, parseErr)
		return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
	o = outbox.Quiet{From: at(q.From), To: at(q.To), Least: q.Severity}
	zone, zoneErr := time.LoadLocation(q.Zone)
	o.Zone = zone
	for _, d := range q.Days {
		o.Days = append(o.Days, weekdays[d])
	}
	return o, errors.Join(err, zoneErr)
}

func (l *Live) currentConfig() config.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.config
}

func (l *Live) currentLabels() (*engine.Labels, contacts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.labels, maps.Clone(l.contacts)
}
