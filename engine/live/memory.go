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

// save keeps the memory in the outbox, so that it is never ahead of what is to be told.
func (l *Live) save(ctx context.Context) error {
	var m memory
	for _, c := range l.chains {
		c.mu.Lock()
		if !c.tip.IsZero() {
			m.Eaten = append(m.Eaten, c.tip)
		}
		c.mu.Unlock()
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
	if len(m.Eaten) == 0 {
		return nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return l.outbox.Remember(ctx, text)
}
