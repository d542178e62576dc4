package evm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
)

// A document is one JSON value of a file.
type document struct {
	offset int64 // in the plain content
	text   []byte
}

// documents cuts a stream of JSON objects and arrays, with any white space between them, at their brackets. A document
// longer than most is an error: the reader must not be made to hold anything at all.
func documents(in io.Reader, most int64) iter.Seq2[document, error] {
	return func(yield func(document, error) bool) {
		r := bufio.NewReaderSize(in, 256<<10)
		at := int64(0)
		for {
			n, err := skipSpace(r)
			at += n
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(document{}, fmt.Errorf("byte %d: %w", at, err))
				return
			}
			text, err := value(r, most)
			if err != nil {
				yield(document{}, fmt.Errorf("the document at byte %d: %w", at, err))
				return
			}
			if !yield(document{at, text}, nil) {
				return
			}
			at += int64(len(text))
		}
	}
}

// skipSpace passes over white space and a byte order mark; it returns io.EOF at the end.
func skipSpace(r *bufio.Reader) (n int64, err error) {
	for {
		b, err := r.ReadByte()
		if err != nil {
			return n, err
		}
		switch b {
		case ' ', '\t', '\r', '\n', 0xef, 0xbb, 0xbf:
			n++
		case '{', '[':
			return n, r.UnreadByte()
		default:
			return n, fmt.Errorf("a JSON document begins with { or [, not with %q", b)
		}
	}
}

// value reads up to the bracket that closes the first one.
func value(r *bufio.Reader, most int64) ([]byte, error) {
	var text []byte
	depth, quoted, escaped := 0, false, false
	for {
		if _, err := r.Peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		have, _ := r.Peek(r.Buffered())
		for i, b := range have {
			switch {
			case escaped:
				escaped = false
			case quoted:
				escaped = b == '\\'
				quoted = b != '"'
			case b == '"':
				quoted = true
			case b == '{' || b == '[':
				depth++
			case b == '}' || b == ']':
				if depth--; depth == 0 {
					if int64(len(text)+i+1) > most {
						return nil, fmt.Errorf("longer than %d bytes", most)
					}
					text = append(text, have[:i+1]...)
					_, err := r.Discard(i + 1)
					return text, err
				}
			}
		}
		if int64(len(text)+len(have)) > most {
			return nil, fmt.Errorf("longer than %d bytes", most)
		}
		text = append(text, have...)
		if _, err := r.Discard(len(have)); err != nil {
			return nil, err
		}
	}
}
