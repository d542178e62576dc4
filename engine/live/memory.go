package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spoor-dev/spoor/flow"
)

// A memory is what the next start must know: how far each chain was eaten, what was asked under which name, and since
// when.
type memory struct {
	Eaten     []flow.Point            `json:"eaten"`
	Questions map[string]string       `json:"questions"`
	Knew      map[string][]flow.Point `json:"knew,omitempty"` // by case, the newest blocks when it was opened
}

// memoryFile is where a memory is kept.
func (l *Live) memoryFile() string { return filepath.Join(Folder(l.config.Store), "memory.json") }

// readMemory reads what save wrote; nothing if it never did. l.mu is held.
func (l *Live) readMemory() (m memory, err error) {
	text, err := os.ReadFile(l.memoryFile())
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%s: %w: delete it, and what is not final is told again", l.memoryFile(), err)
	}
	return m, nil
}

// save writes the memory. It is never ahead of what the outbox holds.
func (l *Live) save() error {
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
	path := l.memoryFile()
	l.mu.Unlock()
	if len(m.Eaten) == 0 {
		return nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "memory-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
