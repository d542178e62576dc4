package sink

import (
	"context"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

// PagerDutyConfig is the configuration of a PagerDuty.
type PagerDutyConfig struct {
	Name           string           `yaml:"name"`
	RoutingKeyFile string           `yaml:"routing_key_file" doc:"the integration key of a service, Events API v2"`
	URL            string           `yaml:"url" doc:"https://events.pagerduty.com/v2/enqueue if left out; in Europe events.eu.pagerduty.com"`
	Source         string           `yaml:"source" doc:"what PagerDuty calls the affected system; \"spoor\" if left out"`
	ClientURL      string           `yaml:"client_url" doc:"where people find Spoor's own page; none if left out"`
	Private        bool             `yaml:"private" doc:"it may be on a private network or this machine, and without TLS"`
	Timeout        time.Duration    `yaml:"timeout" doc:"of one request with its answer; 10 s if left out"`
	Now            func() time.Time `yaml:"-"` // time.Now if nil
}

// A PagerDuty sends alerts as events to PagerDuty: each triggers an incident, and a correction resolves the one of what it
// corrects. It is safe for several goroutines.
type PagerDuty struct {
	poster
	config PagerDutyConfig
	partly partly
}

// NewPagerDuty makes a PagerDuty, and reads its file once to see whether it can be.
func NewPagerDuty(c PagerDutyConfig) (*PagerDuty, error) {
	if err := checkName("pagerduty", c.Name); err != nil {
		return nil, err
	}
	if c.URL == "" {
		c.URL = "https://events.pagerduty.com/v2/enqueue"
	}
	if c.Source == "" {
		c.Source = "spoor"
	}
	p := &PagerDuty{poster: newPoster(c.Name, c.Timeout, c.Private, c.Now), config: c}
	if _, err := address(c.URL, "", c.Private); err != nil {
		return nil, p.at(err)
	}
	if _, err := readSecrets(c.RoutingKeyFile); err != nil {
		return nil, p.at(err)
	}
	return p, nil
}

// A pagerEvent is an event of PagerDuty's Events API v2.
type pagerEvent struct {
	RoutingKey string       `json:"routing_key"`
	Action     string       `json:"event_action"`
	DedupKey   string       `json:"dedup_key"`
	Client     string       `json:"client"`
	ClientURL  string       `json:"client_url,omitempty"`
	Payload    pagerPayload `json:"payload"`
}

type pagerPayload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  string            `json:"severity"`
	Timestamp time.Time         `json:"timestamp,omitzero"`
	Component string            `json:"component,omitempty"`
	Group     string            `json:"group,omitempty"`
	Class     string            `json:"class"`
	Details   map[string]string `json:"custom_details"`
}

// maxDetails bounds the text of one event, in bytes; PagerDuty takes 512 KB.
const maxDetails = 16 << 10

// Send sends a group, each alert as an event of its own.
func (p *PagerDuty) Send(ctx context.Context, group []alert.Alert) error {
	ids := make([]string, len(group))
	for i, a := range group {
		ids[i] = a.ID()
	}
	return p.at(p.partly.each(ids, func(i int) error {
		to, err := address(p.config.URL, "", p.config.Private)
		if err != nil {
			return err
		}
		key, err := readSecret(p.config.RoutingKeyFile)
		if err != nil {
			return err
		}
		e := p.event(group[i])
		e.RoutingKey = key
		body, err := encode(e)
		if err != nil {
			return err
		}
		_, err = p.post(ctx, to, jsonHeader(), body, key)
		return err
	}))
}

// event is the form of one alert, without the routing key. Its key for duplicates is the alert's, which a correction has
// as well.
func (p *PagerDuty) event(a alert.Alert) pagerEvent {
	title, lines := Render(a)
	e := pagerEvent{
		Action:    "trigger",
		DedupKey:  safeID(a.Key),
		Client:    "Spoor",
		ClientURL: p.config.ClientURL,
		Payload: pagerPayload{
			Summary:   title,
			Source:    p.config.Source,
			Severity:  pagerSeverity(a.Severity),
			Timestamp: a.Made.UTC(),
			Component: a.Chain.String(),
			Group:     fit(a.Case, maxTitle),
			Class:     string(a.Kind),
			Details:   map[string]string{"text": join(lines, maxDetails, strings.TrimSpace), "id": a.ID()},
		},
	}
	if a.Finding != nil {
		e.Payload.Class = a.Finding.Rule
	}
	if !a.Tx.IsZero() {
		e.Payload.Details["transaction"] = a.Chain.FormatHash(a.Tx)
	}
	if a.Contact != "" {
		e.Payload.Details["call"] = fit(a.Contact, maxLine)
	}
	if a.Kind == alert.Correction {
		e.Action = "resolve"
	}
	return e
}

// pagerSeverity is PagerDuty's word for a severity; it knows four.
func pagerSeverity(s finding.Severity) string {
	switch {
	case s >= finding.Critical:
		return "critical"
	case s == finding.High:
		return "error"
	case s == finding.Medium:
		return "warning"
	}
	return "info"
}
