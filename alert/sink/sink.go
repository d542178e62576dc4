// Package sink hands alerts over to those who receive them, one file for each kind of receiver.
package sink

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/finding"
)

// Trial is an alert that says of itself that it is a test, to see whether a sink works. Each has a key of its own.
func Trial(now time.Time) alert.Alert {
	return alert.Alert{
		Key:      "test/" + strconv.FormatInt(now.UnixNano(), 10),
		Kind:     alert.State,
		Severity: finding.Info,
		Title:    "this is a test",
		Text:     "Spoor sends this to see whether its alerts arrive. Nothing has happened, and nothing is to be done.",
		Seen:     now.UTC(),
		Made:     now.UTC(),
	}
}

// checkName refuses what cannot be told in a line.
func checkName(kind, name string) error {
	if name == "" || len(name) > 100 || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%s sink %.40q: a name has 1 to 100 printable characters", kind, name)
	}
	return nil
}

// clock is now, or the computer's clock.
func clock(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

// maxID is how long the ID of a message may be in headers and fields with a bound, in bytes.
const maxID = 200

// safeID is the alert's ID where only few characters are allowed: letters, digits and -_:/# stay, any other byte becomes
// ~ and two hexadecimal digits. One that is too long becomes its sha256. Different IDs stay different.
func safeID(id string) string {
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_:/#", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "~%02x", c)
	}
	if b.Len() > maxID || b.Len() == 0 {
		return "sha256~" + digest([]string{id})
	}
	return b.String()
}

// groupID is the ID of one message that holds several alerts.
func groupID(group []alert.Alert) string {
	if len(group) == 1 {
		return safeID(group[0].ID())
	}
	ids := make([]string, len(group))
	for i, a := range group {
		ids[i] = a.ID()
	}
	return "group~" + digest(ids)
}

// digest is the sha256 of texts, each behind its length.
func digest(of []string) string {
	h := sha256.New()
	for _, s := range of {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// pack cuts things of these sizes into as few runs as it can, each of at most so much together and so many; one that is
// too large by itself is a run of its own. Each run is from its first to before its second number.
func pack(sizes []int, most, number int) [][2]int {
	var runs [][2]int
	sum := 0
	for i, n := range sizes {
		if last := len(runs) - 1; last >= 0 && sum+n <= most && i-runs[last][0] < number {
			runs[last][1], sum = i+1, sum+n
			continue
		}
		runs, sum = append(runs, [2]int{i, i + 1}), n
	}
	return runs
}

// A partly sends a group as several messages, and remembers while the group has to come again which of them are done
// with, so that people are not told twice because something after it failed. The zero value is ready. It is safe for
// several goroutines, which send one after the other.
type partly struct {
	mu   sync.Mutex
	done map[string]error // guarded by mu: what became of a message, nil or refused, by its ID
}

// maxPartly bounds what is remembered for groups that nobody sent again.
const maxPartly = 10_000

// each sends the messages with these IDs in their order. What is refused for good does not stop those behind it, and is
// returned at the end; every other error ends the call.
func (p *partly) each(ids []string, send func(i int) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil || len(p.done) > maxPartly {
		p.done = map[string]error{}
	}
	var refused error
	for i, id := range ids {
		err, ok := p.done[id]
		if !ok {
			if err = send(i); err != nil && !errors.Is(err, alert.ErrRefused) {
				return err
			}
			p.done[id] = err
		}
		if refused == nil {
			refused = err
		}
	}
	clear(p.done)
	return refused
}
