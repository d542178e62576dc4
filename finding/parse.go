package finding

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrAltered is returned for a finding whose ID is not that of its content.
var ErrAltered = errors.New("the finding is not what its id says")

// maxJSON bounds what Parse reads, in bytes: the largest finding that New makes stays below it.
const maxJSON = 1 << 20

// Parse reads one finding from its JSON form. Unknown keys are errors, and so is a finding that New would not have made.
// Errors about a changed rule, version, subject or piece of evidence wrap ErrAltered.
func Parse(b []byte) (Finding, error) {
	if len(b) > maxJSON {
		return Finding{}, fmt.Errorf("finding of %d bytes: at most %d are read", len(b), maxJSON)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var f Finding
	if err := d.Decode(&f); err != nil {
		return Finding{}, fmt.Errorf("finding, byte %d: %w", d.InputOffset(), err)
	}
	end := d.InputOffset()
	if _, err := d.Token(); err != io.EOF {
		return Finding{}, fmt.Errorf("finding, byte %d: more than one finding", end)
	}
	made, err := New(f)
	if err != nil {
		return Finding{}, err
	}
	if made.ID != f.ID {
		return Finding{}, fmt.Errorf("finding %s: %w", f.ID, ErrAltered)
	}
	return made, nil
}
