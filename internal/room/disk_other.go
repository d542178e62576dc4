//go:build !linux && !darwin

package room

import "errors"

// disk asks the system about the disk of a folder.
func disk(string) (Space, error) { return Space{}, errors.ErrUnsupported }
