package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Remember keeps what the caller must know after a restart, in the place of what it gave before. It is durable when
// Remember returns nil, and so is all that was said before it.
func (o *Outbox) Remember(ctx context.Context, memory []byte) error {
	err := o.write(ctx, func(c *change, _ time.Time) error { return c.Set([]byte(memoryKey), memory, nil) })
	if err != nil {
		return fmt.Errorf("remember: %w", err)
	}
	return nil
}

// Memory is what was given to Remember last; nil if nothing ever was.
func (o *Outbox) Memory() ([]byte, error) {
	snap, err := o.snapshot()
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	memory, err := get(snap, []byte(memoryKey))
	return memory, errors.Join(err, snap.Close())
}
