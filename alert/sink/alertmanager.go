package sink

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/alert"
)

// AlertmanagerConfig is the configuration of an Alertmanager.
type AlertmanagerConfig struct {
	Name         string            `yaml:"name"`
	URL          string            `yaml:"url" doc:"of Alertmanager itself: https://host:9093, with the path before /api if it has one"`
	URLFile      string            `yaml:"url_file" doc:"file that holds the address, which may be a secret"`
	User         string            `yaml:"user" doc:"for basic authentication; none if left out"`
	PasswordFile string            `yaml:"password_file" doc:"of that user"`
	BearerFile   string            `yaml:"bearer_file" doc:"a token for the header Authorization; none if left out"`
	Labels       map[string]string `yaml:"labels" doc:"more labels for every alert, such as team or environment"`
	GeneratorURL string            `yaml:"generator_url" doc:"where people find Spoor's own page; none if left out"`
	Lasts        time.Duration     `yaml:"lasts" doc:"an alert that nobody corrects resolves by itself after so long, a provisional one after an hour, one about Spoor itself after a day; 7 days if left out"`
	Private      bool              `yaml:"private" doc:"it may be on a private network or this machine, and without TLS"`
	Timeout      time.Duration     `yaml:"timeout" doc:"of one request with its answer; 10 s if left out"`
	Now          func() time.Time  `yaml:"-"` // time.Now if nil
}

// An Alertmanager posts alerts to a Prometheus Alertmanager, which groups, silences and sends them on. A correction
// resolves what it corrects. It is safe for several goroutines.
type Alertmanager struct {
	poster
	config AlertmanagerConfig
}

// labelName is what Prometheus takes for one.
var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// NewAlertmanager makes an Alertmanager, and reads its files once to see whether they can be.
func NewAlertmanager(c AlertmanagerConfig) (*Alertmanager, error) {
	if err := checkName("alertmanager", c.Name); err != nil {
		return nil, err
	}
	if c.Lasts <= 0 {
		c.Lasts = 7 * 24 * time.Hour
	}
	c.Labels = maps.Clone(c.Labels)
	m := &Alertmanager{newPoster(c.Name, c.Timeout, c.Private, c.Now), c}
	for k := range c.Labels {
		if !labelName.MatchString(k) {
			return nil, m.at(fmt.Errorf("label %.40q: a name has letters, digits and _", k))
		}
	}
	if (c.User == "") != (c.PasswordFile == "") || c.User != "" && c.BearerFile != "" {
		return nil, m.at(errors.New("user goes with password_file, and not with bearer_file"))
	}
	if _, err := address(c.URL, c.URLFile, c.Private); err != nil {
		return nil, m.at(err)
	}
	if _, _, err := m.authorization(); err != nil {
		return nil, m.at(err)
	}
	return m, nil
}

// authorization is the header of that name, and the secret in it.
func (m *Alertmanager) authorization() (header, secret string, err error) {
	switch {
	case m.config.BearerFile != "":
		secret, err = readSecret(m.config.BearerFile)
		return "Bearer " + secret, secret, err
	case m.config.PasswordFile != "":
		secret, err = readSecret(m.config.PasswordFile)
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(m.config.User+":"+secret)), secret, err
	}
	return "", "", nil
}

// An amAlert is a postable alert of Alertmanager's API v2.
type amAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt,omitzero"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// Send posts a group in one request.
func (m *Alertmanager) Send(ctx context.Context, group []alert.Alert) error {
	return m.at(m.send(ctx, group))
}

func (m *Alertmanager) send(ctx context.Context, group []alert.Alert) error {
	base, err := address(m.config.URL, m.config.URLFile, m.config.Private)
	if err != nil {
		return err
	}
	authorization, secret, err := m.authorization()
	if err != nil {
		return err
	}
	all := make([]amAlert, len(group))
	for i, a := range group {
		all[i] = m.alert(a)
	}
	body, err := encode(all)
	if err != nil {
		return err
	}
	h := jsonHeader()
	hide := []string{secret}
	if authorization != "" {
		h.Set("Authorization", authorization)
		hide = append(hide, strings.TrimPrefix(authorization, "Basic "))
	}
	hide = append(hide, hidden(base)...)
	to := &url.URL{Scheme: base.Scheme, Host: base.Host, Path: strings.TrimSuffix(base.Path, "/") + "/api/v2/alerts"}
	_, err = m.post(ctx, to, h, body, hide...)
	return err
}

// How long alerts last at most that nobody may ever correct.
const (
	lastsProvisional = time.Hour
	lastsState       = 24 * time.Hour
)

// alert is the form of one alert. Alertmanager knows an alert by all its labels, so that none of them may tell what a
// correction tells otherwise.
func (m *Alertmanager) alert(a alert.Alert) amAlert {
	labels := maps.Clone(m.config.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels["alertname"] = "spoor"
	if a.Finding != nil {
		labels["alertname"] = a.Finding.Rule
	}
	labels["source"] = "spoor"
	labels["severity"] = a.Severity.String()
	labels["key"] = a.Key
	if a.Case != "" {
		labels["case"] = a.Case
	}
	if !a.Chain.IsZero() {
		labels["chain"] = a.Chain.String()
	}
	title, lines := Render(a)
	out := amAlert{
		Labels:       labels,
		Annotations:  map[string]string{"summary": title, "description": strings.Join(lines, "\n"), "id": a.ID(), "kind": string(a.Kind)},
		GeneratorURL: m.config.GeneratorURL,
	}
	if !a.Tx.IsZero() {
		out.Annotations["tx"] = a.Chain.FormatHash(a.Tx)
	}
	if a.Contact != "" {
		out.Annotations["contact"] = fit(a.Contact, maxLine)
	}
	if a.Kind == alert.Correction {
		out.EndsAt = a.Made.UTC()
		return out
	}
	lasts := m.config.Lasts
	switch a.Kind {
	case alert.Provisional:
		lasts = min(lasts, lastsProvisional)
	case alert.State:
		lasts = min(lasts, lastsState)
	}
	out.StartsAt, out.EndsAt = a.Made.UTC(), a.Made.Add(lasts).UTC()
	return out
}
