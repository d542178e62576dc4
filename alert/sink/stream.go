package sink

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/spoor-dev/spoor/alert"
)

// StreamConfig is the configuration of a Stream.
type StreamConfig struct {
	Name  string `yaml:"name"`
	Words bool   `yaml:"words" doc:"words for people; else one JSON object a line"`
}

// A Stream writes alerts to a writer, such as the standard output. It is safe for several goroutines.
type Stream struct {
	config StreamConfig
	mu     sync.Mutex
	w      io.Writer // guarded by mu
}

// NewStream makes a Stream.
func NewStream(c StreamConfig, w io.Writer) (*Stream, error) {
	if err := checkName("stream", c.Name); err != nil {
		return nil, err
	}
	return &Stream{config: c, w: w}, nil
}

// Name is how the configuration calls the sink.
func (s *Stream) Name() string { return s.config.Name }

// Send writes a group.
func (s *Stream) Send(ctx context.Context, group []alert.Alert) error {
	b, err := s.form(group)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		_, err = s.w.Write(b)
	}
	if err != nil {
		return fmt.Errorf("sink %s: %w", s.config.Name, err)
	}
	return nil
}

func (s *Stream) form(group []alert.Alert) ([]byte, error) {
	var b []byte
	for _, a := range group {
		if s.config.Words {
			title, lines := Render(a)
			b = fmt.Appendf(b, "%s\n", title)
			for _, l := range lines {
				b = fmt.Appendf(b, "    %s\n", l)
			}
			continue
		}
		line, err := marshal(a)
		if err != nil {
			return nil, err
		}
		b = append(append(b, line...), '\n')
	}
	return b, nil
}
