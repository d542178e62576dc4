package alert_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/alert"
)

// TestIDsTellMessagesApart: what receivers tell duplicates by differs for everything that is said under a key, and no key
// can pass for the correction of another, as long as keys hold no "#".
func TestIDsTellMessagesApart(t *testing.T) {
	seen := map[string]string{}
	for _, key := range []string{"case/live-move/ab", "case/live-move/ab1", "case/live-move/a", "list/list-got/ab"} {
		for serial := range 12 {
			id := alert.Alert{Key: key, Serial: serial}.ID()
			what := fmt.Sprint(key, " ", serial)
			if other, there := seen[id]; there {
				t.Errorf("%s and %s have one ID: %s", what, other, id)
			}
			seen[id] = what
		}
	}
	if id := (alert.Alert{Key: "k"}).ID(); id != "k" {
		t.Errorf("the first message is %q; want its key", id)
	}
}

func TestRetryAfterIsWhatTheReceiverSaid(t *testing.T) {
	busy := errors.New("busy")
	var err error = fmt.Errorf("send: %w", alert.RetryAfter{After: time.Minute, Err: busy})
	var later alert.RetryAfter
	if !errors.As(err, &later) || later.After != time.Minute || !errors.Is(err, busy) {
		t.Errorf("%v is not %v in a minute", err, busy)
	}
}
