package config

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// fill puts in the defaults of what is left out. The numbers stand in the doc tags too; a test holds the two together.
func (c *Config) fill() {
	for i := range c.Chains {
		ch := &c.Chains[i]
		set(&ch.From, "head")
		set(&ch.Finality, "finalized")
		set(&ch.Poll, Duration(time.Second))
		absent(&ch.GiveUp, Duration(2*time.Minute))
		if ch.Confirmations == 0 {
			ch.Confirmations = 64
			if ch.Chain.IsUTXO() {
				ch.Confirmations = 100
			}
		}
		absent(&ch.Fill, true)
		for n := range ch.Nodes {
			set(&ch.Nodes[n].Traces, "auto")
			set(&ch.Nodes[n].Timeout, Duration(20*time.Second))
			set(&ch.Nodes[n].MaxAnswer, 256<<20)
		}
	}
	for i := range c.Cases {
		set(&c.Cases[i].Budget, 1_000_000)
	}
	for i := range c.Lists {
		set(&c.Lists[i].Severity, finding.Medium)
	}
	set(&c.Alerts.MaxAge, Duration(72*time.Hour))
	set(&c.Alerts.Keep, Duration(90*24*time.Hour))
	set(&c.Alerts.Margin, 2)
	set(&c.Alerts.PerBlock, 25)
	for i := range c.Alerts.Sinks {
		s := &c.Alerts.Sinks[i]
		set(&s.Burst, 1)
		s.nameKind()
		for q := range s.Quiet {
			set(&s.Quiet[q].Zone, "UTC")
			set(&s.Quiet[q].Severity, finding.Critical)
		}
	}
	for i := range c.Alerts.Routes {
		r := &c.Alerts.Routes[i]
		set(&r.Severity, finding.Info)
		absent(&r.Wait, Duration(5*time.Second))
		set(&r.Group, 20)
		set(&r.Name, fmt.Sprintf("route %d", i+1))
	}
	set(&c.Disk.Resume, c.Disk.Low+c.Disk.Low/2)
	absent(&c.Disk.Ballast, 256<<20)
	set(&c.Listen.Address, "127.0.0.1:8421")
}

// set gives a value that is left out its default.
func set[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// absent gives a value that may be nothing on purpose its default.
func absent[T any](v **T, d T) {
	if *v == nil {
		*v = &d
	}
}

// resolve makes all paths absolute.
func (c *Config) resolve(folder string) {
	at := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(folder, *p)
		}
	}
	at(&c.Store)
	for i := range c.Labels {
		at(&c.Labels[i])
	}
	for i := range c.Chains {
		for n := range c.Chains[i].Nodes {
			nd := &c.Chains[i].Nodes[n]
			for _, p := range []*string{&nd.URLFile, &nd.WSFile, &nd.PasswordFile, &nd.CookieFile, &nd.BearerFile} {
				at(p)
			}
			for k, p := range nd.HeaderFiles {
				at(&p)
				nd.HeaderFiles[k] = p
			}
		}
	}
	for i := range c.Cases {
		at(&c.Cases[i].Theft)
	}
	for i := range c.Lists {
		at(&c.Lists[i].File)
	}
	at(&c.Listen.Keys)
	at(&c.Listen.Cert)
	at(&c.Listen.Key)
	for i := range c.Alerts.Sinks {
		eachPath(reflect.ValueOf(&c.Alerts.Sinks[i]).Elem(), at)
	}
}

// eachPath calls at for every text of a struct whose key ends in file, files or path.
func eachPath(v reflect.Value, at func(*string)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			eachPath(v.Elem(), at)
		}
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(v.Type()) {
			if !f.IsExported() {
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			field := v.FieldByIndex(f.Index)
			isPath := strings.HasSuffix(name, "file") || strings.HasSuffix(name, "files") || strings.HasSuffix(name, "path")
			switch {
			case isPath && field.Kind() == reflect.String:
				at(field.Addr().Interface().(*string))
			case isPath && field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.String:
				for i := range field.Len() {
					at(field.Index(i).Addr().Interface().(*string))
				}
			case field.Kind() == reflect.Struct || field.Kind() == reflect.Pointer:
				eachPath(field, at)
			}
		}
	}
}

// verify finds what cannot be, without looking at any other file.
func (c *Config) verify() error {
	return errors.Join(c.verifyChains(), c.verifyWatched(), c.verifyAlerts(), c.verifyDisk())
}

func (c *Config) verifyChains() error {
	var all []error
	say := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	seen := map[flow.Chain]bool{}
	for i, ch := range c.Chains {
		where := fmt.Sprintf("chains[%d]", i)
		switch {
		case ch.Chain.IsZero():
			say("%s.chain: which chain is it? For example eip155:1", where)
		case !ch.Chain.IsEVM() && !ch.Chain.IsUTXO():
			say("%s.chain: %s cannot be followed: eip155 and bip122 chains can", where, ch.Chain)
		case seen[ch.Chain]:
			say("%s.chain: %s stands there twice: put all its nodes into one entry", where, ch.Chain)
		}
		seen[ch.Chain] = true
		if len(ch.Nodes) == 0 {
			say("%s.nodes: a chain needs at least one node", where)
		}
		if ch.From != "head" {
			if _, err := strconv.ParseUint(ch.From, 10, 63); err != nil {
				say("%s.from: %.40q is neither a height nor head", where, ch.From)
			}
		}
		if ch.Agree < 0 || ch.Agree > len(ch.Nodes) {
			say("%s.agree: %d of %d nodes", where, ch.Agree, len(ch.Nodes))
		}
		if !slices.Contains([]string{"finalized", "safe", "confirmations"}, ch.Finality) {
			say("%s.finality: %.40q is not finalized, safe or confirmations", where, ch.Finality)
		}
		for n, node := range ch.Nodes {
			if err := node.verify(); err != nil {
				say("%s.nodes[%d].%w", where, n, err)
			}
		}
	}
	return errors.Join(all...)
}

func (n Node) verify() error {
	switch {
	case (n.URL == "") == (n.URLFile == ""):
		return errors.New("url: either url or url_file")
	case n.WS != "" && n.WSFile != "":
		return errors.New("ws: either ws or ws_file")
	case n.PasswordFile != "" && n.User == "":
		return errors.New("user: a password needs a user")
	case n.PasswordFile != "" && n.CookieFile != "" || n.CookieFile != "" && n.BearerFile != "" || n.PasswordFile != "" && n.BearerFile != "":
		return errors.New("password_file: one of password, cookie and bearer is enough")
	case !slices.Contains([]string{"auto", "must", "never"}, n.Traces):
		return fmt.Errorf("traces: %.40q is not auto, must or never", n.Traces)
	}
	for text, schemes := range map[string][]string{n.URL: {"http", "https"}, n.WS: {"ws", "wss"}} {
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme):
			return fmt.Errorf("url: not an address that begins with %s://", strings.Join(schemes, ":// or "))
		case u.User != nil:
			return errors.New("url: a user or password in an address ends up in logs: use user and password_file, or url_file")
		}
	}
	return nil
}

func (c *Config) verifyWatched() error {
	var all []error
	say := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	names := map[string]string{}
	name := func(where, n string) {
		if other, ok := names[n]; ok && n != "" {
			say("%s: %.80q is the name of %s, too", where, n, other)
		}
		names[n] = where
	}
	for i, cs := range c.Cases {
		where := fmt.Sprintf("cases[%d]", i)
		if cs.Theft == "" {
			say("%s.theft: which theft is it?", where)
		}
		if cs.Budget < 0 {
			say("%s.budget: %d", where, cs.Budget)
		}
		name(where+".id", cs.ID)
	}
	for i, l := range c.Lists {
		where := fmt.Sprintf("lists[%d]", i)
		if l.Name == "" {
			say("%s.name: a list needs a name", where)
		}
		name(where+".name", l.Name)
		if len(l.Accounts) == 0 && l.File == "" {
			say("%s.accounts: accounts, or a file of them", where)
		}
		for k, text := range l.Accounts {
			if _, err := flow.ParseAccount(text); err != nil {
				say("%s.accounts[%d]: %w", where, k, err)
			}
		}
		for asset, amount := range l.Least {
			if _, err := flow.ParseAsset(asset); err != nil {
				say("%s.least: %w", where, err)
			}
			if _, err := flow.ParseAmount(amount); err != nil {
				say("%s.least[%s]: %w", where, asset, err)
			}
		}
	}
	return errors.Join(all...)
}

func (c *Config) verifyAlerts() error {
	var all []error
	say := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	sinks := map[string]bool{}
	for i, s := range c.Alerts.Sinks {
		if s.Name == "" {
			say("alerts.sinks[%d].name: a sink needs a name", i)
		} else if sinks[s.Name] {
			say("alerts.sinks[%d].name: %.80q stands there twice", i, s.Name)
		}
		sinks[s.Name] = true
		if n := s.kinds(); n != 1 {
			say("alerts.sinks[%d]: %d kinds where one is needed: webhook, alertmanager, slack, pagerduty, telegram, mail or file", i, n)
		}
		if s.PerMinute < 0 || s.Burst < 0 {
			say("alerts.sinks[%d]: a limit below nothing", i)
		}
		for k, q := range s.Quiet {
			if err := q.verify(); err != nil {
				say("alerts.sinks[%d].quiet[%d].%w", i, k, err)
			}
		}
	}
	kinds := []string{string(alert.Found), string(alert.Provisional), string(alert.State)}
	for i, r := range c.Alerts.Routes {
		where := fmt.Sprintf("alerts.routes[%d]", i)
		if len(r.Sinks) == 0 {
			say("%s.sinks: which sinks?", where)
		}
		for _, n := range r.Sinks {
			if !sinks[n] {
				say("%s.sinks: there is no sink %.80q", where, n)
			}
		}
		for _, k := range r.Kinds {
			if !slices.Contains(kinds, k) {
				say("%s.kinds: %.40q is not one of %s", where, k, strings.Join(kinds, ", "))
			}
		}
		if _, err := path.Match(r.Case, ""); err != nil {
			say("%s.case: %.80q: %w", where, r.Case, err)
		}
		if r.Group < 0 {
			say("%s.group: %d", where, r.Group)
		}
	}
	return errors.Join(all...)
}

func (q Quiet) verify() error {
	for key, text := range map[string]string{"from": q.From, "to": q.To} {
		if _, err := time.Parse("15:04", text); err != nil {
			return fmt.Errorf("%s: %.40q is not HH:MM", key, text)
		}
	}
	if _, err := time.LoadLocation(q.Zone); err != nil {
		return fmt.Errorf("zone: %.80q is no time zone", q.Zone)
	}
	for _, d := range q.Days {
		if !slices.Contains([]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, d) {
			return fmt.Errorf("days: %.40q is not mon, tue, wed, thu, fri, sat or sun", d)
		}
	}
	return nil
}

func (c *Config) verifyDisk() error {
	if c.Disk.Resume < c.Disk.Low && c.Disk.Resume != 0 {
		return fmt.Errorf("disk.resume: %s is less than disk.low (%s)", c.Disk.Resume, c.Disk.Low)
	}
	if (c.Listen.Cert == "") != (c.Listen.Key == "") {
		return errors.New("listen: a certificate needs its key, and a key its certificate")
	}
	return nil
}
