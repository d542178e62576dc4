package bitcoinrpc

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/internal/rpc"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/follow"
)

// headerSize is the length of a header, in bytes.
const headerSize = 80

// mostHeaders is how many headers are given at once.
const mostHeaders = 2000

// Head implements follow.Node.
func (n *Node) Head(ctx context.Context) (follow.Header, error) {
	c, err := n.served(ctx)
	if err != nil {
		return follow.Header{}, err
	}
	var info struct {
		Blocks *uint64   `json:"blocks"`
		Best   flow.Hash `json:"bestblockhash"`
	}
	err = n.rpc.CallMost(ctx, mostSmall, "getblockchaininfo", nil, &info)
	switch {
	case errors.Is(err, rpc.ErrMethod): // the height and the hash in two questions: the hash is what counts
		var height uint64
		if err := n.rpc.CallMost(ctx, mostSmall, "getblockcount", nil, &height); err != nil {
			return follow.Header{}, err
		}
		info.Blocks = &height
		if info.Best, err = n.hash(ctx, height); err != nil {
			return follow.Header{}, err
		}
	case err != nil:
		return follow.Header{}, err
	case info.Blocks == nil || info.Best.IsZero():
		return follow.Header{}, fmt.Errorf("%s: getblockchaininfo: %w: no blocks or no bestblockhash", n.Name(), rpc.ErrAnswer)
	}
	at := flow.Point{Chain: c, Height: *info.Blocks, Hash: info.Best}
	var raw json.RawMessage
	if err := n.rpc.CallMost(ctx, mostSmall, "getblockheader", []any{at.Hash, false}, &raw); err != nil {
		return follow.Header{}, fmt.Errorf("header %d: %w", at.Height, said(err))
	}
	return n.header(at, raw)
}

// Headers implements follow.Node, at most 2,000 at once. The hashes come in one batch and the headers in another, each of the
// size that the node bears; a header is proved to hash to what the node says.
func (n *Node) Headers(ctx context.Context, from uint64, count int) ([]follow.Header, error) {
	c, err := n.served(ctx)
	if err != nil || count <= 0 {
		return nil, err
	}
	count = min(count, mostHeaders)
	hashes := make([]flow.Hash, count)
	calls := make([]rpc.Call, count)
	for i := range calls {
		calls[i] = rpc.Call{Method: "getblockhash", Params: []any{from + uint64(i)}, Result: &hashes[i]}
	}
	if err := n.rpc.Batch(ctx, calls); err != nil {
		return nil, err
	}
	there := 0
	for there < count && calls[there].Err == nil {
		there++
	}
	if there < count { // the branch ends, or the node fails
		if err := said(calls[there].Err); there == 0 || !errors.Is(err, follow.ErrNotFound) {
			return nil, fmt.Errorf("header %d: %w", from+uint64(there), err)
		}
	}
	raws := make([]json.RawMessage, there)
	calls = calls[:there]
	for i := range calls {
		calls[i] = rpc.Call{Method: "getblockheader", Params: []any{hashes[i], false}, Result: &raws[i]}
	}
	if err := n.rpc.Batch(ctx, calls); err != nil {
		return nil, err
	}
	out := make([]follow.Header, there)
	for i := range out {
		at := flow.Point{Chain: c, Height: from + uint64(i), Hash: hashes[i]}
		if err := calls[i].Err; err != nil {
			return nil, fmt.Errorf("header %d: %w", at.Height, said(err))
		}
		if out[i], err = n.header(at, raws[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// header reads what the node answers for a header: its 80 bytes, or, where it does not know that form, what they mean.
func (n *Node) header(at flow.Point, answer json.RawMessage) (follow.Header, error) {
	h, err := readHeader(at, answer)
	if err != nil {
		return follow.Header{}, fmt.Errorf("%s: header %d: %w: %w", n.Name(), at.Height, rpc.ErrAnswer, err)
	}
	return h, nil
}

func readHeader(at flow.Point, answer json.RawMessage) (follow.Header, error) {
	if len(answer) > 0 && answer[0] == '"' {
		var raw octets
		if err := raw.UnmarshalJSON(answer); err != nil {
			return follow.Header{}, err
		}
		if len(raw) != headerSize {
			return follow.Header{}, fmt.Errorf("%d bytes, and a header has %d", len(raw), headerSize)
		}
		h := headerOf(at, raw)
		if h.Point.Hash != at.Hash {
			return follow.Header{}, fmt.Errorf("asked for %s, it hashes to %s", at.Hash, h.Point.Hash)
		}
		return h, nil
	}
	var j struct {
		Hash   flow.Hash  `json:"hash"`
		Height *uint64    `json:"height"`
		Time   int64      `json:"time"`
		Parent *flow.Hash `json:"previousblockhash"` // the genesis block has none
	}
	if err := json.Unmarshal(answer, &j); err != nil {
		return follow.Header{}, err
	}
	switch {
	case j.Hash != at.Hash:
		return follow.Header{}, fmt.Errorf("asked for %s, it is that of %s", at.Hash, j.Hash)
	case j.Height == nil || *j.Height != at.Height:
		return follow.Header{}, errors.New("it is of another height")
	case j.Parent == nil && at.Height > 0:
		return follow.Header{}, errors.New("it has no parent")
	}
	at.Time = j.Time
	h := follow.Header{Point: at}
	if j.Parent != nil {
		h.Parent = *j.Parent
	}
	return h, nil
}

// headerOf is what the first 80 bytes of a block say, at the chain and height of at.
func headerOf(at flow.Point, raw []byte) follow.Header {
	raw = raw[:headerSize]
	first := sha256.Sum256(raw)
	at.Hash = printed(sha256.Sum256(first[:]))
	at.Time = int64(binary.LittleEndian.Uint32(raw[68:]))
	return follow.Header{Point: at, Parent: printed([32]byte(raw[4:]))}
}

// printed is a hash as people write it: backwards.
func printed(wire [32]byte) flow.Hash {
	slices.Reverse(wire[:])
	return flow.Hash(wire)
}

// Block implements follow.Node: the block as it is on the wire, with its witnesses. Its hash, time and parent are those of the
// bytes that the node gave, whatever was asked for. A header without a hash is asked for by its height.
func (n *Node) Block(ctx context.Context, h follow.Header) (source.Block, error) {
	c, err := n.served(ctx)
	if err != nil {
		return source.Block{}, err
	}
	at := flow.Point{Chain: c, Height: h.Point.Height, Hash: h.Point.Hash}
	if at.Hash.IsZero() {
		if at.Hash, err = n.hash(ctx, at.Height); err != nil {
			return source.Block{}, err
		}
	}
	raw, err := n.rawBlock(ctx, at.Hash)
	switch {
	case err != nil:
		return source.Block{}, fmt.Errorf("block %d: %w", at.Height, said(err))
	case len(raw) < headerSize:
		return source.Block{}, fmt.Errorf("%s: block %d: %w: %d bytes, and the header alone has %d", n.Name(), at.Height, rpc.ErrAnswer, len(raw), headerSize)
	}
	got := headerOf(at, raw)
	return source.Block{Point: got.Point, Parent: got.Parent, Raw: raw}, nil
}

// rawBlock are the bytes of a block. The form was a flag before it was a number (Bitcoin Core 0.15).
func (n *Node) rawBlock(ctx context.Context, hash flow.Hash) (raw octets, err error) {
	n.mu.Lock()
	old := n.old
	n.mu.Unlock()
	if !old {
		err := n.rpc.CallMost(ctx, mostBlock, "getblock", []any{hash, 0}, &raw)
		if !isAboutForm(err) {
			return raw, err
		}
	}
	err = n.rpc.CallMost(ctx, mostBlock, "getblock", []any{hash, false}, &raw)
	if err == nil && !old {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.old = true
	}
	return raw, err
}

// octets are bytes that stand in JSON as hexadecimal digits.
type octets []byte

// UnmarshalJSON reads the digits without a detour through text, for a block has millions of them.
func (o *octets) UnmarshalJSON(text []byte) error {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return fmt.Errorf("%.40q: want a text of hexadecimal digits", text)
	}
	text = text[1 : len(text)-1]
	raw := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(raw, text); err != nil {
		return err
	}
	*o = raw
	return nil
}

// isAboutForm reports whether an endpoint refused the type of a parameter. The codes are those of Bitcoin Core (-1 and -3) and of
// the JSON-RPC specification.
func isAboutForm(err error) bool {
	var e *rpc.Error
	if !errors.As(err, &e) || errors.Is(said(err), follow.ErrNotFound) {
		return false
	}
	return e.Code == -1 || e.Code == -3 || e.Code == -32602
}
