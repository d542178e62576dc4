package sink

import (
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spoor-dev/spoor/alert"
)

// Bounds of the texts in the JSON form, in characters.
const (
	maxJSONTitle = 1_000
	maxJSONText  = 10_000
)

// A message is an alert as programs read it; see docs/formats/alert.md.
type message struct {
	ID string `json:"id"`
	alert.Alert
}

// marshal is an alert in JSON, on one line.
func marshal(a alert.Alert) ([]byte, error) { return encode(toMessage(a)) }

func toMessage(a alert.Alert) message {
	a.Title, a.Text = limit(a.Title, maxJSONTitle), limit(a.Text, maxJSONText)
	return message{a.ID(), a}
}

// encode is v in JSON in which every character can be printed: others are escaped. What cannot be encoded today cannot be
// tomorrow.
func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", alert.ErrRefused, err)
	}
	return printable(b), nil
}

// printable escapes the characters of a JSON text that cannot be printed, such as those that turn the direction of
// writing. They stand in strings only, so that the text means the same.
func printable(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r < 0x7f || unicode.IsPrint(r) {
			out = append(out, b[i:i+n]...)
		} else if r1, r2 := utf16.EncodeRune(r); r > 0xffff {
			out = fmt.Appendf(out, `\u%04x\u%04x`, r1, r2)
		} else {
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += n
	}
	return out
}

// limit cuts a text off after so many characters.
func limit(s string, most int) string {
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "…"
		}
	}
	return s
}
