package config

import (
	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/alert/sink"
)

// Open makes the sink, and reads its files once to see whether they can be.
func (s Sink) Open() (alert.Sink, error) {
	switch {
	case s.Webhook != nil:
		return sink.NewWebhook(*s.Webhook)
	case s.Alertmanager != nil:
		return sink.NewAlertmanager(*s.Alertmanager)
	case s.Slack != nil:
		return sink.NewSlack(*s.Slack)
	case s.PagerDuty != nil:
		return sink.NewPagerDuty(*s.PagerDuty)
	case s.Telegram != nil:
		return sink.NewTelegram(*s.Telegram)
	case s.Mail != nil:
		return sink.NewMail(*s.Mail)
	case s.File != nil:
		return sink.NewFile(*s.File)
	}
	panic("config: a sink without a kind was not refused by verify")
}

// kinds is how many kinds stand in a sink.
func (s *Sink) kinds() (n int) {
	for _, there := range []bool{s.Webhook != nil, s.Alertmanager != nil, s.Slack != nil, s.PagerDuty != nil, s.Telegram != nil, s.Mail != nil, s.File != nil} {
		if there {
			n++
		}
	}
	return n
}

// nameKind gives the kind the name of the sink.
func (s *Sink) nameKind() {
	switch {
	case s.Webhook != nil:
		s.Webhook.Name = s.Name
	case s.Alertmanager != nil:
		s.Alertmanager.Name = s.Name
	case s.Slack != nil:
		s.Slack.Name = s.Name
	case s.PagerDuty != nil:
		s.PagerDuty.Name = s.Name
	case s.Telegram != nil:
		s.Telegram.Name = s.Name
	case s.Mail != nil:
		s.Mail.Name = s.Name
	case s.File != nil:
		s.File.Name = s.Name
	}
}
