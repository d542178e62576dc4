package sink

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/alert"
)

// SlackConfig is the configuration of a Slack.
type SlackConfig struct {
	Name    string           `yaml:"name"`
	URLFile string           `yaml:"url_file" doc:"holds the address of the incoming webhook, which is a secret"`
	Private bool             `yaml:"private" doc:"it may be on a private network or this machine, and without TLS: for what speaks like Slack"`
	Timeout time.Duration    `yaml:"timeout" doc:"of one request with its answer; 10 s if left out"`
	Now     func() time.Time `yaml:"-"` // time.Now if nil
}

// A Slack posts alerts to an incoming webhook of Slack. It is safe for several goroutines.
type Slack struct {
	poster
	config SlackConfig
	partly partly
}

// NewSlack makes a Slack, and reads its file once to see whether it can be.
func NewSlack(c SlackConfig) (*Slack, error) {
	if err := checkName("slack", c.Name); err != nil {
		return nil, err
	}
	s := &Slack{poster: newPoster(c.Name, c.Timeout, c.Private, c.Now), config: c}
	if _, err := address("", c.URLFile, c.Private); err != nil {
		return nil, s.at(err)
	}
	return s, nil
}

// Bounds of one message: Slack takes 50 blocks, and 3,000 characters in a section.
const (
	slackAlerts  = 10 // of two or three blocks each
	slackSection = 2900
)

// A slackMessage is the body for an incoming webhook. Nothing in it is parsed but what it marks by itself.
type slackMessage struct {
	Text        string       `json:"text"` // for notifications
	Parse       string       `json:"parse"`
	LinkNames   bool         `json:"link_names"`
	UnfurlLinks bool         `json:"unfurl_links"`
	UnfurlMedia bool         `json:"unfurl_media"`
	Blocks      []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type string     `json:"type"`
	Text *slackText `json:"text,omitempty"`
}

type slackText struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim"` // no links to channels, people and hosts
}

// Send posts a group, ten alerts in a message.
func (s *Slack) Send(ctx context.Context, group []alert.Alert) error {
	var parts [][]alert.Alert
	var ids []string
	for ; len(group) > 0; group = group[min(len(group), slackAlerts):] {
		part := group[:min(len(group), slackAlerts)]
		parts, ids = append(parts, part), append(ids, groupID(part))
	}
	return s.at(s.partly.each(ids, func(i int) error {
		to, err := address("", s.config.URLFile, s.config.Private)
		if err != nil {
			return err
		}
		body, err := encode(slackForm(parts[i]))
		if err != nil {
			return err
		}
		_, err = s.post(ctx, to, jsonHeader(), body, to.String(), to.RequestURI())
		return err
	}))
}

// slackForm is the message about some alerts.
func slackForm(part []alert.Alert) slackMessage {
	var m slackMessage
	m.Parse = "none"
	for i, a := range part {
		title, lines := Render(a)
		title = slackEscape.Replace(title)
		if i == 0 {
			m.Text = title
			if n := len(part) - 1; n > 0 {
				m.Text += fmt.Sprintf(" (and %d more)", n)
			}
		} else {
			m.Blocks = append(m.Blocks, slackBlock{Type: "divider"})
		}
		m.Blocks = append(m.Blocks, section("*"+strings.ReplaceAll(title, "*", "∗")+"*"))
		if text := join(lines, slackSection, slackEscape.Replace); text != "" {
			m.Blocks = append(m.Blocks, section(text))
		}
	}
	return m
}

func section(text string) slackBlock {
	return slackBlock{"section", &slackText{"mrkdwn", text, true}}
}

// slackEscape takes the meaning from the characters that begin mentions and links, and from those that mark code.
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "`", "'")

// join is lines in at most so many bytes, each escaped for its form. Lines are left out whole, from the end, and how
// many is said.
func join(lines []string, most int, escape func(string) string) string {
	const room = 30 // for how many lines are left out
	var b strings.Builder
	for i, l := range lines {
		l = escape(l)
		if b.Len()+len(l)+1 > most-room {
			fmt.Fprintf(&b, "… and %d more lines", len(lines)-i)
			break
		}
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}
