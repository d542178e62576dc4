package sink

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/alert"
)

// ErrSignature is returned by Verify for a message that none of the secrets signed, or not now.
var ErrSignature = errors.New("not signed by the sender, or long ago")

// WebhookConfig is the configuration of a Webhook.
type WebhookConfig struct {
	Name        string           `yaml:"name"`
	URL         string           `yaml:"url" doc:"address"`
	URLFile     string           `yaml:"url_file" doc:"file that holds the address, where the address itself is a secret"`
	SecretFile  string           `yaml:"secret_file" doc:"one \"whsec_…\" a line; all of them sign, so that a receiver can change over"`
	BearerFile  string           `yaml:"bearer_file" doc:"a token for the header Authorization; none if left out"`
	Group       bool             `yaml:"group" doc:"one message for all alerts of a group; else one for each"`
	CloudEvents bool             `yaml:"cloudevents" doc:"CloudEvents 1.0 in the structured mode, of a group in the batched mode"`
	Source      string           `yaml:"source" doc:"of CloudEvents, a URI reference; \"/spoor\" if left out"`
	Private     bool             `yaml:"private" doc:"the receiver may be on a private network or this machine, and without TLS"`
	Timeout     time.Duration    `yaml:"timeout" doc:"of one request with its answer; 10 s if left out"`
	Now         func() time.Time `yaml:"-"` // time.Now if nil
}

// A Webhook posts alerts in JSON, signed as www.standardwebhooks.com says. It is safe for several goroutines.
type Webhook struct {
	poster
	config WebhookConfig
	partly partly
}

// NewWebhook makes a Webhook, and reads its files once to see whether they can be.
func NewWebhook(c WebhookConfig) (*Webhook, error) {
	if err := checkName("webhook", c.Name); err != nil {
		return nil, err
	}
	if c.Source == "" {
		c.Source = "/spoor"
	}
	w := &Webhook{poster: newPoster(c.Name, c.Timeout, c.Private, c.Now), config: c}
	if _, err := address(c.URL, c.URLFile, c.Private); err != nil {
		return nil, w.at(err)
	}
	if _, _, err := w.keys(); err != nil {
		return nil, w.at(err)
	}
	if _, err := readSecret(c.BearerFile); err != nil {
		return nil, w.at(err)
	}
	return w, nil
}

// keys are the keys of the secret file, decoded and as written.
func (w *Webhook) keys() (keys [][]byte, written []string, err error) {
	if w.config.SecretFile == "" {
		return nil, nil, errors.New("secret_file is needed: receivers could not tell our messages from others")
	}
	if written, err = readSecrets(w.config.SecretFile); err != nil {
		return nil, nil, err
	}
	if len(written) > maxSignatures {
		return nil, nil, fmt.Errorf("%s: %d secrets; at most %d sign", w.config.SecretFile, len(written), maxSignatures)
	}
	for i, s := range written {
		k, err := parseKey(s)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: secret %d: %w", w.config.SecretFile, i+1, err)
		}
		keys = append(keys, k)
	}
	return keys, written, nil
}

// Send posts a group.
func (w *Webhook) Send(ctx context.Context, group []alert.Alert) error {
	if w.config.Group {
		return w.at(w.sendGroup(ctx, group))
	}
	ids := make([]string, len(group))
	for i, a := range group {
		ids[i] = safeID(a.ID())
	}
	return w.at(w.partly.each(ids, func(i int) error {
		body, kind, err := w.body(group[i])
		if err != nil {
			return err
		}
		return w.one(ctx, ids[i], kind, body)
	}))
}

// maxGroupBody is how large a message about several alerts gets, in bytes.
const maxGroupBody = 256 << 10

// sendGroup posts a group in one message, or several if it is large.
func (w *Webhook) sendGroup(ctx context.Context, group []alert.Alert) error {
	sizes := make([]int, len(group))
	for i, a := range group {
		body, _, err := w.body(a)
		if err != nil {
			return err
		}
		sizes[i] = len(body) + 1
	}
	runs := pack(sizes, maxGroupBody, len(group))
	ids := make([]string, len(runs))
	for i, r := range runs {
		ids[i] = groupID(group[r[0]:r[1]])
	}
	return w.partly.each(ids, func(i int) error {
		body, kind, err := w.groupBody(group[runs[i][0]:runs[i][1]])
		if err != nil {
			return err
		}
		return w.one(ctx, ids[i], kind, body)
	})
}

// one posts one message.
func (w *Webhook) one(ctx context.Context, id, kind string, body []byte) error {
	to, err := address(w.config.URL, w.config.URLFile, w.config.Private)
	if err != nil {
		return err
	}
	keys, hide, err := w.keys()
	if err != nil {
		return err
	}
	h := http.Header{"Content-Type": {kind}}
	if w.config.BearerFile != "" {
		token, err := readSecret(w.config.BearerFile)
		if err != nil {
			return err
		}
		h.Set("Authorization", "Bearer "+token)
		hide = append(hide, token)
	}
	hide = append(hide, hidden(to)...)
	at := strconv.FormatInt(w.now().Unix(), 10)
	signatures := make([]string, len(keys))
	for i, k := range keys {
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(sign(k, id, at, body))
	}
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", at)
	h.Set("Webhook-Signature", strings.Join(signatures, " "))
	_, err = w.post(ctx, to, h, body, hide...)
	return err
}

// A cloudEvent is the structured mode of CloudEvents 1.0 in JSON.
type cloudEvent struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Subject     string    `json:"subject"`
	Time        time.Time `json:"time,omitzero"`
	ContentType string    `json:"datacontenttype"`
	Data        message   `json:"data"`
}

func (w *Webhook) event(a alert.Alert) cloudEvent {
	return cloudEvent{"1.0", safeID(a.ID()), w.config.Source, "dev.spoor.alert." + string(a.Kind), safeID(a.Key), a.Made.UTC(), "application/json", toMessage(a)}
}

// body is the body of the message about one alert, and the kind of its content.
func (w *Webhook) body(a alert.Alert) (body []byte, kind string, err error) {
	if w.config.CloudEvents {
		body, err = encode(w.event(a))
		return body, "application/cloudevents+json; charset=utf-8", err
	}
	body, err = marshal(a)
	return body, "application/json", err
}

// groupBody is the body of the message about a group, and the kind of its content.
func (w *Webhook) groupBody(group []alert.Alert) (body []byte, kind string, err error) {
	if w.config.CloudEvents {
		events := make([]cloudEvent, len(group))
		for i, a := range group {
			events[i] = w.event(a)
		}
		body, err = encode(events)
		return body, "application/cloudevents-batch+json; charset=utf-8", err
	}
	messages := make([]message, len(group))
	for i, a := range group {
		messages[i] = toMessage(a)
	}
	body, err = encode(map[string]any{"alerts": messages})
	return body, "application/json", err
}

// Tolerance is how far the clocks of sender and receiver may be apart.
const Tolerance = 5 * time.Minute

// maxSignatures is how many signatures of one message are made, and looked at.
const maxSignatures = 16

// Verify is for receivers: it returns nil if one of the secrets ("whsec_…") signed these headers and this body, byte for
// byte as they came, at most five minutes before or after now. Whoever acts on the message keeps the ID of the header
// webhook-id for as long, and refuses it a second time. Errors: ErrSignature.
func Verify(h http.Header, body []byte, secrets []string, now time.Time) error {
	id, at := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp")
	if id == "" || strings.Contains(id, ".") {
		return fmt.Errorf("webhook-id: %w", ErrSignature)
	}
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil || now.Unix()-n > int64(Tolerance/time.Second) || n-now.Unix() > int64(Tolerance/time.Second) {
		return fmt.Errorf("webhook-timestamp: %w", ErrSignature)
	}
	given := strings.Fields(h.Get("Webhook-Signature"))
	given = given[:min(len(given), maxSignatures)]
	for i, s := range secrets {
		key, err := parseKey(s)
		if err != nil {
			return fmt.Errorf("secret %d: %w", i+1, err)
		}
		want := "v1," + base64.StdEncoding.EncodeToString(sign(key, id, at, body))
		for _, g := range given {
			if hmac.Equal([]byte(g), []byte(want)) {
				return nil
			}
		}
	}
	return fmt.Errorf("webhook-signature: %w", ErrSignature)
}

// sign is the signature of a message.
func sign(key []byte, id, at string, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%s.%s.", id, at)
	h.Write(body)
	return h.Sum(nil)
}

// parseKey decodes "whsec_" and the base64 of 24 to 64 bytes. Errors tell nothing of it.
func parseKey(s string) ([]byte, error) {
	text, ok := strings.CutPrefix(s, "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("want whsec_ and the base64 of 24 to 64 bytes")
	}
	return key, nil
}
