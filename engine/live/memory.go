package live

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// A memory is what the next start must know: how far each chain was eaten, what was asked under which name, and since
// when.
type memory struct {
	Eaten     []flow.Point            `json:"eaten"`
	Questions map[string]string       `json:"questions"`
	Knew      map[string][]flow.Point `json:"knew,omitempty"` // by case, the newest blocks when it was opened
}

// readMemory reads what save wrote; nothing if it never did.
func (l *Live) readMemory() (m memory, err error) {
	text, err := l.outbox.Memory()
	if err != nil || text == nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("how far the chains were eaten: %w", err)
	}
	return m, nil
}

// save keeps the memory in the outbox, so that it is never ahead of what is to be told. Of a chain of which nothing was
// eaten it says so, but in the end: what the store takes in before the next save is then eaten after a crash.
func (l *Live) save(ctx context.Context, end bool) error {
	l.saving.Lock()
	defer l.saving.Unlock()
	var m memory
	for _, c := range l.chains {
		c.mu.Lock()
		eaten, empty := c.tip, c.tip.IsZero() && c.stats.Blocks == 0
		c.mu.Unlock()
		eaten.Chain = c.chain
		if !empty || !end {
			m.Eaten = append(m.Eaten, eaten)
		}
	}
	l.mu.Lock()
	m.Questions = l.questions()
	m.Knew = map[string][]flow.Point{}
	for _, oc := range l.cases {
		if oc.open && oc.knew != nil {
			m.Knew[oc.id] = oc.knew
		}
	}
	l.mu.Unlock()
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := l.outbox.Remember(ctx, text); err != nil {
		return err
	}
	for _, c := range l.chains {
		for _, eaten := range m.Eaten {
			if eaten.Chain == c.chain {
				c.mu.Lock()
				c.saved = eaten.Height
				c.mu.Unlock()
			}
		}
	}
	return nil
}
