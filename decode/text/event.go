package text

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// isEvent reports whether a line is an event: "emit CONTRACT TOPIC… : NUMBER… [index=N]".
func isEvent(words []string) bool { return words[0] == "emit" && slices.Contains(words, ":") }

// event adds a log to the last transaction. Topics and the words of its data are numbers; those with a minus are in two's complement.
func (b *builder) event(words []string) error {
	if !b.group {
		return errors.New("an event stands below a tx line")
	}
	tx := &b.block.Txs[len(b.block.Txs)-1]
	if tx.Failed {
		return errors.New("a transaction that failed has no events")
	}
	var l flow.Log
	if n := len(words) - 1; strings.HasPrefix(words[n], "index=") {
		v, err := strconv.ParseUint(words[n][len("index="):], 10, 32)
		if err != nil {
			return fmt.Errorf("%.40q is not a number below 2^32", words[n])
		}
		l.Index, words = uint32(v), words[:n]
	}
	colon := slices.Index(words, ":")
	switch {
	case colon < 2:
		return errors.New("an event is \"emit CONTRACT TOPIC… : NUMBER…\"")
	case colon-1 > flow.MaxTopics, 32*(len(words)-colon-1) > flow.MaxLogData:
		return fmt.Errorf("an event has 1 to %d topics and at most %d numbers", flow.MaxTopics, flow.MaxLogData/32)
	}
	var err error
	if l.Contract, err = holder(b.block.Point.Chain, words[0]); err != nil {
		return err
	}
	if l.Contract.IsZero() {
		return errors.New("an event has a contract")
	}
	for i, w := range words[1:] {
		if i == colon-1 {
			continue
		}
		n, err := word(w)
		if err != nil {
			return err
		}
		if i < colon-1 {
			l.Topics = append(l.Topics, flow.Hash(n))
		} else {
			l.Data = append(l.Data, n[:]...)
		}
	}
	if _, ok := flow.KnownEvent(l.Topics[0]); !ok {
		return fmt.Errorf("%.70q is no event that is kept", words[1])
	}
	tx.Logs = append(tx.Logs, l)
	return nil
}

// word is a number as it stands in a log.
func word(s string) ([32]byte, error) {
	digits, negative := strings.CutPrefix(s, "-")
	v, err := flow.ParseAmount(digits)
	if err != nil || !negative {
		return v.Bytes(), err
	}
	b := v.Bytes()
	carry := uint16(1)
	for i := range slices.Backward(b[:]) {
		sum := uint16(^b[i]) + carry
		b[i], carry = byte(sum), sum>>8
	}
	return b, nil
}
