package finding

import (
	"strings"
	"unicode"
)

// Clean makes text from outside safe to print on a terminal: no control or formatting characters, and at most so many
// characters.
func Clean(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > most {
			b.WriteRune('…')
			break
		}
		if !unicode.IsPrint(r) {
			r = '·'
		}
		b.WriteRune(r)
	}
	return b.String()
}
