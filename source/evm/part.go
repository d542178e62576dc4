package evm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// A kind says what a part of a document is about.
type kind uint8

const (
	aBlock kind = iota + 1
	someReceipts
	flatTraces
	frames // of the callTracer, one for each transaction
	looseLogs
)

// String is for messages.
func (k kind) String() string {
	return [...]string{"", "a block", "receipts", "traces", "a tracer's results", "logs"}[k]
}

// A part is what a document says about one block, in one respect.
type part struct {
	kind   kind
	height uint64
	placed bool // height is known
	hash   flow.Hash
	parent flow.Hash
	time   int64
	count  int             // of transactions that are there whole, receipts, traces or logs
	chain  json.RawMessage // chain id, with a block
	raw    json.RawMessage // an object for a block, else an array
}

// shape is what tells documents apart.
type shape struct {
	// An envelope: the raw form of a block, or mev-inspect's.
	Block    json.RawMessage `json:"block"`
	Receipts json.RawMessage `json:"receipts"`
	Traces   json.RawMessage `json:"traces"`
	Logs     json.RawMessage `json:"logs"` // of a receipt as well
	ChainID  json.RawMessage `json:"chainId"`
	Frames   json.RawMessage `json:"transactionTraces"`
	// An answer.
	JSONRPC json.RawMessage   `json:"jsonrpc"`
	Result  json.RawMessage   `json:"result"`
	Params  []json.RawMessage `json:"params"`
	// A block.
	Number       json.RawMessage   `json:"number"`
	Hash         hash              `json:"hash"`
	ParentHash   hash              `json:"parentHash"`
	Timestamp    height            `json:"timestamp"`
	Transactions []json.RawMessage `json:"transactions"`
	// A receipt, a trace, a log.
	Cumulative  json.RawMessage `json:"cumulativeGasUsed"`
	TxHash      json.RawMessage `json:"transactionHash"`
	ShortHash   json.RawMessage `json:"txHash"`
	BlockHash   hash            `json:"blockHash"`
	BlockNumber height          `json:"blockNumber"`
	BlockTime   height          `json:"blockTimestamp"`
	Action      json.RawMessage `json:"action"`
	Trace       json.RawMessage `json:"trace"`
	Topics      json.RawMessage `json:"topics"`
	From        json.RawMessage `json:"from"`
	Type        json.RawMessage `json:"type"`
	Miner       json.RawMessage `json:"miner"`
	BaseFee     json.RawMessage `json:"baseFeePerGas"`
}

// partsOf tells what a document holds; none for one that is about something else.
func partsOf(doc []byte) ([]part, error) { return partsAt(doc, 0) }

// mostNested is how deep answers lie in lists of answers; deeper ones only cost time.
const mostNested = 4

func partsAt(doc []byte, depth int) ([]part, error) {
	if depth > mostNested {
		return nil, errors.New("answers inside of answers")
	}
	if doc[0] == '[' {
		return arrayParts(doc, depth)
	}
	var s shape
	if err := json.Unmarshal(doc, &s); err != nil {
		return nil, err
	}
	if bytes.Contains(doc, []byte(`"block_number"`)) { // the names of mev-inspect and ethereum-etl
		doc, s = camel(doc), shape{}
		if err := json.Unmarshal(doc, &s); err != nil {
			return nil, err
		}
	}
	return objectParts(doc, s, depth)
}

func objectParts(doc json.RawMessage, s shape, depth int) ([]part, error) {
	switch {
	case isObject(s.Block):
		return envelopeParts(s, s.Block)
	case s.Result != nil && s.Action == nil && (s.JSONRPC != nil || s.ShortHash == nil && s.From == nil):
		parts, err := partsOfResult(s.Result, depth+1)
		if len(s.Params) > 0 {
			h, ok := parseHeight(s.Params[0])
			for i := range parts {
				if ok && !parts[i].placed {
					parts[i].height, parts[i].placed = h, true
				}
			}
		}
		return parts, err
	case s.BlockNumber.ok && isArray(s.Traces):
		return envelopeParts(s, inspected(s))
	case s.BlockNumber.ok && isArray(s.Frames):
		return arrayOf(s.Frames, s)
	case s.Cumulative != nil || s.TxHash != nil && s.Logs != nil:
		return []part{{kind: someReceipts, height: s.BlockNumber.v, placed: s.BlockNumber.ok, hash: s.BlockHash.v, count: 1, raw: wrap(doc)}}, nil
	case s.Number != nil && (s.ParentHash.ok || s.Transactions != nil):
		if p, ok := blockPart(doc, s); ok { // a pending block has no number
			return []part{p}, nil
		}
	}
	return nil, nil
}

func blockPart(doc json.RawMessage, s shape) (part, bool) {
	h, ok := parseHeight(s.Number)
	p := part{kind: aBlock, height: h, placed: true, hash: s.Hash.v, parent: s.ParentHash.v, raw: doc}
	if s.Timestamp.v < 1<<62 {
		p.time = int64(s.Timestamp.v)
	}
	for _, t := range s.Transactions {
		if isObject(t) {
			p.count++
		}
	}
	return p, ok
}

// partsOfResult tells what the answer of a node holds.
func partsOfResult(result json.RawMessage, depth int) ([]part, error) {
	switch {
	case depth > mostNested:
		return nil, errors.New("answers inside of answers")
	case isArray(result):
		return arrayParts(result, depth)
	case isObject(result):
		var s shape
		if err := json.Unmarshal(result, &s); err != nil {
			return nil, nil // an answer to some other question
		}
		return objectParts(result, s, depth)
	}
	return nil, nil
}

// inspected is the block that mev-inspect's form tells of.
func inspected(s shape) json.RawMessage {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"number":"%#x"`, s.BlockNumber.v)
	if s.BlockTime.ok {
		fmt.Fprintf(&b, `,"timestamp":"%#x"`, s.BlockTime.v)
	}
	var first []struct {
		BlockHash hash `json:"blockHash"`
	}
	if json.Unmarshal(s.Traces, &first) == nil && len(first) > 0 && first[0].BlockHash.ok {
		fmt.Fprintf(&b, `,"hash":"0x%s"`, first[0].BlockHash.v)
	}
	if s.Miner != nil {
		fmt.Fprintf(&b, `,"miner":%s`, s.Miner)
	}
	if s.BaseFee != nil {
		fmt.Fprintf(&b, `,"baseFeePerGas":%s`, s.BaseFee)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// envelopeParts takes an envelope apart.
func envelopeParts(s shape, block json.RawMessage) ([]part, error) {
	var inner shape
	if err := json.Unmarshal(block, &inner); err != nil {
		return nil, err
	}
	b, ok := blockPart(block, inner)
	if !ok {
		return nil, errors.New("its block has no number")
	}
	b.chain = s.ChainID
	parts := []part{b}
	at := shape{BlockNumber: height{b.height, true}, BlockHash: hash{b.hash, !b.hash.IsZero()}}
	for _, list := range []json.RawMessage{s.Receipts, s.Traces, s.Logs} {
		if !isArray(list) {
			continue
		}
		more, err := arrayOf(list, at)
		if err != nil {
			return nil, err
		}
		parts = append(parts, more...)
	}
	return parts, nil
}

// arrayOf is arrayParts of a list whose block is known.
func arrayOf(list json.RawMessage, at shape) ([]part, error) {
	parts, err := arrayParts(list, mostNested)
	if err != nil {
		return nil, err
	}
	for i := range parts {
		p := &parts[i]
		if p.placed && p.height != at.BlockNumber.v || !p.hash.IsZero() && at.BlockHash.ok && p.hash != at.BlockHash.v {
			return nil, fmt.Errorf("the block is number %d, its %s are of another block (%d)", at.BlockNumber.v, p.kind, p.height)
		}
		p.height, p.placed = at.BlockNumber.v, true
	}
	return parts, nil
}

// arrayParts tells what a list holds: a list of documents, or of parts of one block, by its first element.
func arrayParts(list json.RawMessage, depth int) ([]part, error) {
	var elements []json.RawMessage
	if err := json.Unmarshal(list, &elements); err != nil {
		return nil, err
	}
	if len(elements) == 0 || !isObject(elements[0]) {
		return nil, nil
	}
	var s shape
	if err := json.Unmarshal(elements[0], &s); err != nil {
		return nil, err
	}
	p := part{height: s.BlockNumber.v, placed: s.BlockNumber.ok, hash: s.BlockHash.v, count: len(elements), raw: list}
	switch {
	case s.JSONRPC != nil || s.Block != nil || s.Number != nil || s.BlockNumber.ok && s.Traces != nil:
		var all []part
		for i, e := range elements {
			parts, err := partsAt(e, depth+1)
			if err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
			all = append(all, parts...)
		}
		return all, nil
	case s.Action != nil:
		p.kind = flatTraces
	case s.Cumulative != nil || s.TxHash != nil && s.Logs != nil:
		p.kind = someReceipts
	case s.Topics != nil:
		return logParts(elements)
	case s.Result != nil || s.ShortHash != nil || s.Trace != nil || s.From != nil && s.Type != nil:
		p.kind = frames
	default:
		return nil, nil
	}
	return []part{p}, nil
}

// logParts sorts the logs of an answer by their blocks.
func logParts(elements []json.RawMessage) ([]part, error) {
	lists := map[uint64]*part{}
	var order []uint64
	for i, e := range elements {
		var s shape
		if err := json.Unmarshal(e, &s); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		if !s.BlockNumber.ok {
			return nil, fmt.Errorf("element %d: a log of which block?", i)
		}
		p := lists[s.BlockNumber.v]
		if p == nil {
			p = &part{kind: looseLogs, height: s.BlockNumber.v, placed: true, hash: s.BlockHash.v}
			lists[s.BlockNumber.v] = p
			order = append(order, s.BlockNumber.v)
			p.raw = append(p.raw, '[')
		} else {
			p.raw = append(p.raw, ',')
		}
		p.raw = append(p.raw, e...)
		p.count++
	}
	slices.Sort(order)
	var parts []part
	for _, h := range order {
		p := lists[h]
		p.raw = append(p.raw, ']')
		parts = append(parts, *p)
	}
	return parts, nil
}

func wrap(doc json.RawMessage) json.RawMessage {
	return slices.Concat([]byte("["), doc, []byte("]"))
}

func isObject(b json.RawMessage) bool { return len(b) > 0 && b[0] == '{' }
func isArray(b json.RawMessage) bool  { return len(b) > 0 && b[0] == '[' }

// camel writes the keys of a JSON text as nodes do: block_number becomes blockNumber.
func camel(doc []byte) []byte {
	out := make([]byte, 0, len(doc))
	for i := 0; i < len(doc); i++ {
		if doc[i] != '"' {
			out = append(out, doc[i])
			continue
		}
		end := i + 1
		for doc[end] != '"' {
			if doc[end] == '\\' {
				end++
			}
			end++
		}
		text := doc[i : end+1]
		if next := bytes.TrimLeft(doc[end+1:], " \t\r\n"); len(next) > 0 && next[0] == ':' {
			for k := 0; k < len(text); k++ {
				if text[k] == '_' && k+1 < len(text) && text[k+1] >= 'a' && text[k+1] <= 'z' {
					k++
					out = append(out, text[k]-'a'+'A')
				} else {
					out = append(out, text[k])
				}
			}
		} else {
			out = append(out, text...)
		}
		i = end
	}
	return out
}

// A height is a number of a block or a time; one that is no number is not known.
type height struct {
	v  uint64
	ok bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *height) UnmarshalJSON(b []byte) error {
	h.v, h.ok = parseHeight(b)
	return nil
}

// A hash is that of a block; one that is no hash is not known.
type hash struct {
	v  flow.Hash
	ok bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *hash) UnmarshalJSON(b []byte) error {
	v, err := flow.ParseHash(strings.Trim(string(b), `"`))
	h.v, h.ok = v, err == nil
	return nil
}

func parseHeight(b []byte) (uint64, bool) {
	text := strings.Trim(string(b), `"`)
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		v, err := strconv.ParseUint(digits, 16, 64)
		return v, err == nil
	}
	v, err := strconv.ParseUint(text, 10, 64)
	return v, err == nil
}

// named finds numbers in the name of a file; hashes are too long to be one.
var named = regexp.MustCompile(`(?i)(?:^|[^0-9a-z])(0x[0-9a-f]{1,15}|[0-9]{1,18})(?:[^0-9a-z]|$)`)

// heightOf is the height that the name of a file says.
func heightOf(path string) (uint64, bool) {
	m := named.FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return 0, false
	}
	return parseHeight([]byte(strings.ToLower(m[1])))
}
