package sink

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
)

// headers are those of the example that the libraries of Standard Webhooks are tested with.
func headers() (http.Header, []byte, time.Time) {
	return http.Header{
		"Webhook-Id":        {"msg_p5jXN8AQM9LWM0D4loKWxJek"},
		"Webhook-Timestamp": {"1614265330"},
		"Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}, []byte(`{"test": 2432232314}`), time.Unix(1614265330, 0)
}

func TestVerify(t *testing.T) {
	other := "whsec_" + strings.Repeat("A", 32)
	for name, c := range map[string]struct {
		change  func(h http.Header, body []byte)
		secrets []string
		after   time.Duration
		ok      bool
	}{
		"as-it-came":      {nil, []string{testKey}, 0, true},
		"second-secret":   {nil, []string{other, testKey}, 0, true},
		"four-minutes":    {nil, []string{testKey}, 4 * time.Minute, true},
		"early":           {nil, []string{testKey}, -4 * time.Minute, true},
		"old":             {nil, []string{testKey}, 5*time.Minute + time.Second, false},
		"from-the-future": {nil, []string{testKey}, -6 * time.Minute, false},
		"other-secret":    {nil, []string{other}, 0, false},
		"no-secret":       {nil, nil, 0, false},
		"not-a-secret":    {nil, []string{"whsec_x"}, 0, false},
		"body":            {func(_ http.Header, b []byte) { b[0] = '[' }, []string{testKey}, 0, false},
		"id":              {func(h http.Header, _ []byte) { h.Set("Webhook-Id", "msg_other") }, []string{testKey}, 0, false},
		"id-moved":        {func(h http.Header, _ []byte) { h.Set("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330") }, []string{testKey}, 0, false},
		"no-id":           {func(h http.Header, _ []byte) { h.Del("Webhook-Id") }, []string{testKey}, 0, false},
		"timestamp":       {func(h http.Header, _ []byte) { h.Set("Webhook-Timestamp", "1614265331") }, []string{testKey}, 0, false},
		"no-timestamp":    {func(h http.Header, _ []byte) { h.Set("Webhook-Timestamp", "now") }, []string{testKey}, 0, false},
		"least-timestamp": {func(h http.Header, _ []byte) { h.Set("Webhook-Timestamp", "-9223372036854775808") }, []string{testKey}, 0, false},
		"no-signature":    {func(h http.Header, _ []byte) { h.Del("Webhook-Signature") }, []string{testKey}, 0, false},
		"another-version": {func(h http.Header, _ []byte) {
			h.Set("Webhook-Signature", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
		}, []string{testKey}, 0, false},
		"several-of-them": {func(h http.Header, _ []byte) {
			h.Set("Webhook-Signature", "v1a,xx v1,AAAA "+h.Get("Webhook-Signature"))
		}, []string{testKey}, 0, true},
		"too-many-of-them": {func(h http.Header, _ []byte) {
			h.Set("Webhook-Signature", strings.Repeat("v1,AAAA ", 16)+h.Get("Webhook-Signature"))
		}, []string{testKey}, 0, false},
		"empty-body-signed": {func(_ http.Header, b []byte) { clear(b) }, []string{testKey}, 0, false},
	} {
		h, body, now := headers()
		if c.change != nil {
			c.change(h, body)
		}
		if err := Verify(h, body, c.secrets, now.Add(c.after)); (err == nil) != c.ok {
			t.Errorf("%s: %v; want ok %v", name, err, c.ok)
		} else if err != nil && strings.Contains(err.Error(), "MfKQ9r8") {
			t.Errorf("%s: the error tells the secret", name)
		}
	}
}

func TestWebhookIsSigned(t *testing.T) {
	r := newReceiver(t, nil)
	old, young := testKey, "whsec_"+strings.Repeat("QUFB", 8)
	correction := kinds()["correction"]
	for name, c := range map[string]WebhookConfig{
		"plain":       {},
		"group":       {Group: true},
		"cloudevents": {CloudEvents: true},
		"batch":       {CloudEvents: true, Group: true},
	} {
		before := len(r.got())
		c.Name, c.URL, c.SecretFile, c.Private, c.Now = name, r.URL+"/hook", file(t, "# turn of the year\n"+young+"\n"+old+"\n"), true, noon
		w := must(NewWebhook(c))
		defer w.Close()
		if err := w.Send(t.Context(), []alert.Alert{arrival(), correction, hostile()}); err != nil {
			t.Fatal(err)
		}
		got := r.got()[before:]
		if want := map[bool]int{true: 1, false: 3}[c.Group]; len(got) != want {
			t.Fatalf("%s: %d messages; want %d", name, len(got), want)
		}
		for i, q := range got {
			for _, s := range []string{old, young} {
				if err := Verify(q.header, q.body, []string{s}, noon()); err != nil {
					t.Errorf("%s: message %d is not signed: %v", name, i, err)
				}
			}
			if err := Verify(q.header, append(q.body, ' '), []string{old}, noon()); !errors.Is(err, ErrSignature) {
				t.Errorf("%s: message %d with a space more: %v", name, i, err)
			}
			if q.header.Get("Webhook-Timestamp") != strconv.FormatInt(noon().Unix(), 10) {
				t.Errorf("%s: %v", name, q.header)
			}
		}
		if c.Group {
			continue
		}
		var m struct {
			ID          string
			SpecVersion string
			Type        string
			Data        struct{ ID string }
		}
		if err := json.Unmarshal(got[1].body, &m); err != nil {
			t.Fatal(err)
		}
		if m.ID != got[1].header.Get("Webhook-Id") || m.ID != correction.ID() {
			t.Errorf("%s: ID %q in the body, %q in the header; want %q", name, m.ID, got[1].header.Get("Webhook-Id"), correction.ID())
		}
		if c.CloudEvents && (m.SpecVersion != "1.0" || m.Type != "dev.spoor.alert.correction" || m.Data.ID != m.ID || !strings.HasPrefix(got[1].header.Get("Content-Type"), "application/cloudevents+json")) {
			t.Errorf("%s: %+v, %v", name, m, got[1].header)
		}
	}
}

func TestWebhookGroupsAreBounded(t *testing.T) {
	r := newReceiver(t, nil)
	w := posters(t, r.URL, true)["webhookgroup"]
	group := many(100)
	for i := range group {
		group[i].Text = strings.Repeat("x", 9000)
	}
	if err := w.Send(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, q := range r.got() {
		var m struct{ Alerts []struct{ Key string } }
		if err := json.Unmarshal(q.body, &m); err != nil || len(q.body) > maxGroupBody+100 {
			t.Errorf("a message of %d bytes, %v", len(q.body), err)
		}
		for _, a := range m.Alerts {
			if a.Key != group[n].Key {
				t.Fatalf("alert %d is %s; want %s", n, a.Key, group[n].Key)
			}
			n++
		}
	}
	if n != len(group) || len(r.got()) < 4 {
		t.Errorf("%d alerts in %d messages", n, len(r.got()))
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("id", "1614265330", "v1,AAAA v1a,x", "whsec_x", []byte("{}"))
	f.Add("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", testKey, []byte(`{"test": 2432232315}`))
	f.Fuzz(func(t *testing.T, id, at, signature, secret string, body []byte) {
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {signature}}
		if err := Verify(h, body, []string{secret}, time.Unix(1614265330, 0)); err == nil {
			key, keyErr := parseKey(secret)
			if keyErr != nil || len(key) < 24 || strings.Contains(id, ".") {
				t.Errorf("taken: %q %q %q %q", id, at, signature, secret)
			}
		}
	})
}
