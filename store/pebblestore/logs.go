package pebblestore

import (
	"encoding/binary"
	"fmt"

	"github.com/spoor-dev/spoor/flow"
)

// The logs of a transaction are a count and, for each, the key of its contract with the length before it, its index as
// difference to the one before, its topics and its data. Topics and the whole words of data are packed: most are small
// numbers or addresses.
func appendLogs(dst []byte, logs []flow.Log) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(logs)))
	last := int64(0)
	for i := range logs {
		l := &logs[i]
		dst = appendText(dst, l.Contract.Key())
		dst = appendInt(dst, int64(l.Index)-last)
		last = int64(l.Index)
		dst = binary.AppendUvarint(dst, uint64(len(l.Topics)))
		for k := range l.Topics {
			dst = appendWord(dst, l.Topics[k][:])
		}
		dst = binary.AppendUvarint(dst, uint64(len(l.Data)))
		data := l.Data
		for ; len(data) >= wordSize; data = data[wordSize:] {
			dst = appendWord(dst, data[:wordSize])
		}
		dst = append(dst, data...)
	}
	return dst
}

const (
	wordSize = 32
	wordFull = 0x80 // the bytes that are left out are 0xff: a small negative number
)

// appendWord appends a word of 32 bytes: how many bytes follow and what those before them are, then the bytes.
func appendWord(dst, word []byte) []byte {
	fill, head := byte(0), byte(0)
	if word[0] == 0xff {
		fill, head = 0xff, wordFull
	}
	for len(word) > 0 && word[0] == fill {
		word = word[1:]
	}
	return append(append(dst, head|byte(len(word))), word...)
}

// word reads what appendWord wrote into w.
func (c *cursor) word(w []byte) {
	head := c.byte()
	n := int(head &^ wordFull)
	if n > wordSize {
		c.bad = true
		return
	}
	if head&wordFull != 0 {
		for i := range w[:wordSize-n] {
			w[i] = 0xff
		}
	}
	copy(w[wordSize-n:], c.bytes(n))
}

// readLogs reads what appendLogs wrote. What a damaged record can ask for is bounded by its size: a word takes a byte at
// least.
func readLogs(b []byte, chain flow.Chain) ([]flow.Log, error) {
	r := &cursor{b: b}
	var logs []flow.Log
	last := int64(0)
	for range r.count(4) {
		contract, err := flow.AccountFromKey(chain, r.text())
		if r.bad {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("log %d: %w", len(logs), err)
		}
		last += r.int()
		l := flow.Log{Index: uint32(last), Contract: contract}
		if last < 0 || last != int64(l.Index) {
			r.bad = true
		}
		for range r.count(1) {
			var h flow.Hash
			r.word(h[:])
			l.Topics = append(l.Topics, h)
		}
		if n := r.uint(); n > uint64(wordSize*(len(b)-r.at)) {
			r.bad = true
		} else if n > 0 {
			l.Data = make([]byte, n)
			at := 0
			for ; len(l.Data)-at >= wordSize && !r.bad; at += wordSize {
				r.word(l.Data[at : at+wordSize])
			}
			copy(l.Data[at:], r.bytes(len(l.Data)-at))
		}
		if r.bad {
			break
		}
		logs = append(logs, l)
	}
	if err := r.checkEnd(); err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	return logs, nil
}
