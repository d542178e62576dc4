package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/alert"
)

// TelegramConfig is the configuration of a Telegram.
type TelegramConfig struct {
	Name      string           `yaml:"name"`
	TokenFile string           `yaml:"token_file" doc:"the bot's token"`
	Chat      string           `yaml:"chat" doc:"the number of a chat, or @name of a channel"`
	Thread    int64            `yaml:"thread" doc:"the topic in a group with topics; none if left out"`
	URL       string           `yaml:"url" doc:"of the Bot API; https://api.telegram.org if left out"`
	Private   bool             `yaml:"private" doc:"it may be on a private network or this machine, and without TLS: a Bot API server of one's own"`
	Timeout   time.Duration    `yaml:"timeout" doc:"of one request with its answer; 10 s if left out"`
	Now       func() time.Time `yaml:"-"` // time.Now if nil
}

// A Telegram sends alerts to a chat through a bot. It is safe for several goroutines.
type Telegram struct {
	poster
	config TelegramConfig
	partly partly
}

var (
	telegramToken = regexp.MustCompile(`^[0-9]{1,20}:[A-Za-z0-9_-]{10,100}$`)
	telegramChat  = regexp.MustCompile(`^(-?[0-9]{1,20}|@[A-Za-z0-9_]{1,64})$`)
)

// NewTelegram makes a Telegram, and reads its file once to see whether it can be.
func NewTelegram(c TelegramConfig) (*Telegram, error) {
	if err := checkName("telegram", c.Name); err != nil {
		return nil, err
	}
	if c.URL == "" {
		c.URL = "https://api.telegram.org"
	}
	t := &Telegram{poster: newPoster(c.Name, c.Timeout, c.Private, c.Now), config: c}
	if !telegramChat.MatchString(c.Chat) {
		return nil, t.at(fmt.Errorf("chat %.40q: want a number or @name", c.Chat))
	}
	if _, err := address(c.URL, "", c.Private); err != nil {
		return nil, t.at(err)
	}
	if _, err := t.token(); err != nil {
		return nil, t.at(err)
	}
	return t, nil
}

func (t *Telegram) token() (string, error) {
	if t.config.TokenFile == "" {
		return "", errors.New("token_file is needed")
	}
	s, err := readSecret(t.config.TokenFile)
	if err == nil && !telegramToken.MatchString(s) {
		return "", fmt.Errorf("%s: a token is a number, a colon and letters", t.config.TokenFile)
	}
	return s, err
}

// maxTelegram bounds one message in bytes with its markup; Telegram takes 4,096 characters without it.
const maxTelegram = 4000

// between is what stands between two alerts in a message.
const between = "\n\n"

// A telegramMessage is the body of sendMessage.
type telegramMessage struct {
	Chat   string `json:"chat_id"`
	Thread int64  `json:"message_thread_id,omitempty"`
	Text   string `json:"text"`
	Mode   string `json:"parse_mode"`
	Links  struct {
		Disabled bool `json:"is_disabled"`
	} `json:"link_preview_options"`
}

// Send sends a group, as many alerts in a message as there is room for.
func (t *Telegram) Send(ctx context.Context, group []alert.Alert) error {
	texts, sizes := make([]string, len(group)), make([]int, len(group))
	for i, a := range group {
		texts[i] = telegramForm(a)
		sizes[i] = len(texts[i]) + len(between)
	}
	runs := pack(sizes, maxTelegram+len(between), len(group))
	ids := make([]string, len(runs))
	for i, r := range runs {
		ids[i] = groupID(group[r[0]:r[1]])
	}
	return t.at(t.partly.each(ids, func(i int) error {
		return t.one(ctx, strings.Join(texts[runs[i][0]:runs[i][1]], between))
	}))
}

// one sends one message.
func (t *Telegram) one(ctx context.Context, text string) error {
	token, err := t.token()
	if err != nil {
		return err
	}
	to, err := address(t.config.URL, "", t.config.Private)
	if err != nil {
		return err
	}
	to = to.JoinPath("bot"+token, "sendMessage")
	m := telegramMessage{Chat: t.config.Chat, Thread: t.config.Thread, Text: text, Mode: "HTML"}
	m.Links.Disabled = true
	body, err := encode(m)
	if err != nil {
		return err
	}
	_, secret, _ := strings.Cut(token, ":")
	a, err := t.post(ctx, to, jsonHeader(), body, token, secret)
	var answer struct {
		OK         bool `json:"ok"`
		Parameters struct {
			RetryAfter int64 `json:"retry_after"`
		} `json:"parameters"`
	}
	if jsonErr := json.Unmarshal(a.Body, &answer); err == nil {
		if jsonErr != nil || !answer.OK {
			return errors.New("the receiver answered 200, but not that it took the message")
		}
		return nil
	}
	if n := answer.Parameters.RetryAfter; a.Status == http.StatusTooManyRequests && n > 0 {
		return alert.RetryAfter{After: time.Duration(min(n, int64(maxRetryAfter/time.Second))) * time.Second, Err: err}
	}
	return err
}

// telegramForm is an alert in Telegram's HTML. Its lines are code, in which Telegram makes no links, so that accounts can
// be copied by a touch.
func telegramForm(a alert.Alert) string {
	title, lines := Render(a)
	title = "<b>" + html.EscapeString(title) + "</b>\n"
	return title + join(lines, maxTelegram-len(title), func(l string) string {
		if name, value, ok := strings.Cut(l, ": "); ok && strings.IndexByte(name, ' ') < 0 {
			return html.EscapeString(name) + ": <code>" + html.EscapeString(value) + "</code>"
		}
		return "<code>" + html.EscapeString(l) + "</code>"
	})
}
