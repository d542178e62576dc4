package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// A reply is one answer: a result or an error.
type reply struct {
	result json.RawMessage
	err    *Error
}

// replyJSON is a reply on the wire, in any of the dialects: 2.0 leaves out what does not apply, 1.0 writes null.
type replyJSON struct {
	ID     json.RawMessage `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// parse reads the answer to the question with the id 0. An error may come without the id, as where the question could not
// be read. Errors wrap ErrAnswer.
func parse(body []byte, depth int) (reply, error) {
	if err := bounded(body, depth); err != nil {
		return reply{}, err
	}
	var r replyJSON
	if err := json.Unmarshal(body, &r); err != nil {
		return reply{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	one, err := r.reply()
	if err != nil {
		return reply{}, err
	}
	if id, known := r.number(); one.err == nil && (!known || id != 0) {
		return reply{}, fmt.Errorf("%w: it has the id %.40q", ErrAnswer, r.ID)
	}
	return one, nil
}

// parseBatch reads the answer to a batch of n questions with the ids 0 to n-1. A question without an answer has a reply
// whose result and err are nil. Errors wrap ErrAnswer.
func parseBatch(body []byte, n, depth int) ([]reply, error) {
	if err := bounded(body, depth); err != nil {
		return nil, err
	}
	var list []replyJSON
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	replies := make([]reply, n)
	for i, r := range list {
		id, known := r.number()
		if !known || id < 0 || id >= n {
			continue // of no question: those that miss their answer say so
		}
		if replies[id].result != nil || replies[id].err != nil {
			return nil, fmt.Errorf("%w: element %d: a second answer to question %d", ErrAnswer, i, id)
		}
		one, err := r.reply()
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		replies[id] = one
	}
	return replies, nil
}

// isBatch reports whether the answer is a list.
func isBatch(body []byte) bool {
	body = bytes.TrimLeft(body, " \t\r\n")
	return len(body) > 0 && body[0] == '['
}

// number is the id; false where it is none of ours. Some write it as text.
func (r replyJSON) number() (int, bool) {
	n, err := strconv.Atoi(string(bytes.Trim(r.ID, `"`)))
	return n, err == nil
}

// reply is the meaning of the object.
func (r replyJSON) reply() (reply, error) {
	if len(r.Error) > 0 && !bytes.Equal(r.Error, []byte("null")) {
		return reply{err: readError(r.Error)}, nil
	}
	if r.Result == nil {
		return reply{}, fmt.Errorf("%w: it has neither a result nor an error", ErrAnswer)
	}
	return reply{result: r.Result}, nil
}

// readError reads the error of an endpoint, of whatever form it is.
func readError(raw json.RawMessage) *Error {
	var e struct {
		Code    json.RawMessage `json:"code"`
		Message json.RawMessage `json:"message"`
		Data    json.RawMessage `json:"data"`
	}
	if json.Unmarshal(raw, &e) != nil || e.Message == nil && e.Code == nil {
		return &Error{Message: textOf(raw)}
	}
	code, err := strconv.ParseInt(string(bytes.Trim(e.Code, `"`)), 10, 64)
	if err != nil {
		code = 0
	}
	data := e.Data
	if bytes.Equal(data, []byte("null")) {
		data = nil
	}
	return &Error{code, textOf(e.Message), data}
}

// textOf is a JSON string as text, anything else as it is.
func textOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// bounded refuses an answer with more brackets inside brackets than depth, before anything else reads it.
func bounded(body []byte, depth int) error {
	open, quoted, escaped := 0, false, false
	for i, b := range body {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped = b == '\\'
			quoted = b != '"'
		case b == '"':
			quoted = true
		case b == '{' || b == '[':
			if open++; open > depth {
				return fmt.Errorf("%w: byte %d: more than %d brackets inside each other", ErrAnswer, i, depth)
			}
		case b == '}' || b == ']':
			open--
		}
	}
	return nil
}
