package sink

import (
	"bytes"
	"fmt"
	"html"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

// maxMailReferences is how many earlier messages a mail names.
const maxMailReferences = 50

// compose is the mail about a group: plain text, and the same in plain HTML without links, pictures or scripts. Its
// Message-ID is made of the alerts' IDs alone, so that the same group is the same mail; a correction refers to the mail
// that first told of its key.
func compose(group []alert.Alert, from *mail.Address, to []*mail.Address, at time.Time) ([]byte, error) {
	var text, rich strings.Builder
	subject := ""
	severity := finding.Info
	for i, a := range group {
		title, lines := Render(a)
		if i == 0 {
			subject = title
		} else {
			text.WriteString("\n")
		}
		severity = max(severity, a.Severity)
		fmt.Fprintf(&text, "%s\n\n", title)
		fmt.Fprintf(&rich, "<h3>%s</h3>\n", html.EscapeString(title))
		for _, l := range lines {
			fmt.Fprintf(&text, "%s\n", l)
			fmt.Fprintf(&rich, "<p>%s</p>\n", html.EscapeString(l))
		}
	}
	if n := len(group) - 1; n > 0 {
		subject += fmt.Sprintf(" (and %d more)", n)
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	id := mailID(groupID(group), domain)
	var names []string
	for _, p := range to {
		names = append(names, p.String())
	}
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("From", from.String())
	header("To", strings.Join(names, ",\r\n "))
	header("Subject", strings.ReplaceAll(mime.QEncoding.Encode("utf-8", subject), "?= =?", "?=\r\n =?"))
	header("Date", at.Format(time.RFC1123Z))
	header("Message-ID", id)
	if refs := mailReferences(group, domain, id); len(refs) > 0 {
		header("References", strings.Join(refs, "\r\n "))
		if len(group) == 1 {
			header("In-Reply-To", refs[0])
		}
	}
	header("Auto-Submitted", "auto-generated")
	header("X-Spoor-Severity", severity.String())
	if severity == finding.Critical {
		header("Importance", "high")
	}
	header("MIME-Version", "1.0")
	boundary := "spoor-" + digest([]string{id})[:32]
	header("Content-Type", "multipart/alternative; boundary="+boundary)
	for _, part := range []struct{ kind, text string }{
		{"text/plain", text.String()},
		{"text/html", "<!DOCTYPE html>\n<html><body>\n" + rich.String() + "</body></html>\n"},
	} {
		fmt.Fprintf(&b, "\r\n--%s\r\nContent-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", boundary, part.kind)
		w := quotedprintable.NewWriter(&b)
		if _, err := w.Write([]byte(part.text)); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.Bytes(), nil
}

// mailID is the Message-ID of the mail with that ID.
func mailID(id, domain string) string {
	return "<" + digest([]string{"spoor mail 1", id})[:40] + "@" + domain + ">"
}

// mailReferences are the mails that first told of the keys of a group, so that mail programs put what belongs together
// into one thread.
func mailReferences(group []alert.Alert, domain, self string) []string {
	var refs []string
	for _, a := range group[:min(len(group), maxMailReferences)] {
		first := a
		first.Serial = 0
		if id := mailID(safeID(first.ID()), domain); id != self {
			refs = append(refs, id)
		}
	}
	return refs
}
