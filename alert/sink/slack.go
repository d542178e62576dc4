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

// Bounds of one message: Slack takes 50 blocks, 3,000 characters in a section, and about 13,000 in all.
const (
	slackAlerts   = 10 // of at most four blocks each, and one between them
	slackSections = 2  // for the text of an alert, besides the title
	slackSection  = 2900
	slackMessages = 12_000
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

// Send posts a group, at most ten alerts in a message.
func (s *Slack) Send(ctx context.Context, group []alert.Alert) error {
	sizes := make([]int, len(group))
	for i, a := range group {
		for _, b := range slackBlocks(a) {
			sizes[i] += len(b.Text.Text)
		}
	}
	runs := pack(sizes, slackMessages, slackAlerts)
	ids := make([]string, len(runs))
	for i, r := range runs {
		ids[i] = groupID(group[r[0]:r[1]])
	}
	return s.at(s.partly.each(ids, func(i int) error {
		to, err := address("", s.config.URLFile, s.config.Private)
		if err != nil {
			return err
		}
		body, err := encode(slackForm(group[runs[i][0]:runs[i][1]]))
		if err != nil {
			return err
		}
		_, err = s.post(ctx, to, jsonHeader(), body, hidden(to)...)
		return err
	}))
}

// slackForm is the message about some alerts.
func slackForm(part []alert.Alert) slackMessage {
	var m slackMessage
	m.Parse = "none"
	title, _ := Render(part[0])
	m.Text = slackEscape.Replace(title)
	if n := len(part) - 1; n > 0 {
		m.Text += fmt.Sprintf(" (and %d more)", n)
	}
	for i, a := range part {
		if i > 0 {
			m.Blocks = append(m.Blocks, slackBlock{Type: "divider"})
		}
		m.Blocks = append(m.Blocks, slackBlocks(a)...)
	}
	return m
}

// slackBlocks are the sections about one alert.
func slackBlocks(a alert.Alert) []slackBlock {
	title, lines := Render(a)
	blocks := []slackBlock{section("*" + strings.ReplaceAll(slackEscape.Replace(title), "*", "∗") + "*")}
	for len(lines) > 0 && len(blocks) < slackSections {
		n, size := 0, 0
		for ; n < len(lines) && size+len(slackEscape.Replace(lines[n]))+1 <= slackSection; n++ {
			size += len(slackEscape.Replace(lines[n])) + 1
		}
		blocks = append(blocks, section(slackEscape.Replace(strings.Join(lines[:n], "\n"))))
		lines = lines[n:]
	}
	if len(lines) > 0 {
		blocks = append(blocks, section(join(lines, slackSection, slackEscape.Replace)))
	}
	return blocks
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
