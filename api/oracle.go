package api

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

// rpc is the dialect of JSON-RPC 2.0.
var rpc = dialect{"json-rpc", func(w http.ResponseWriter, c *call, f *fault) {
	b, err := json.Marshal(rpcAnswer{Version: "2.0", ID: json.RawMessage("null"), Error: &rpcError{rpcRefused, message(f)}})
	if err != nil {
		panic(err) // texts and a number
	}
	writeBody(w, f.status, "application/json", b, f.retry)
}}

func oracleRoutes() []route {
	r := route{name: "oracle", scope: ScopeScreen, screens: true, dialect: &rpc, handle: askOracle}
	root := r
	r.pattern, root.pattern = "POST /rpc", "POST /{$}"
	return []route{r, root}
}

// The codes of JSON-RPC 2.0, and those that Ethereum nodes use (EIP-1474).
const (
	rpcParse     = -32700
	rpcRequest   = -32600
	rpcNoMethod  = -32601
	rpcParams    = -32602
	rpcRefused   = -32005
	rpcExecution = -32000
)

type rpcQuestion struct {
	Version string            `json:"jsonrpc"`
	ID      json.RawMessage   `json:"id"`
	Method  string            `json:"method"`
	Params  []json.RawMessage `json:"params"`
}

type rpcAnswer struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  any             `json:"result,omitempty"`
	Error   *rpcError       `json:"error,omitempty"`
}

type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// Error implements error.
func (e *rpcError) Error() string { return e.Message }

// maxRPC bounds the calls of one batch.
const maxRPC = 100

// The sanctions oracle of Chainalysis: where it stands (most EVM chains; Base), and the selectors of its ABI.
const (
	oracleAddress     = "0x40c57923924b5c5c5455c48d93317139addac8fb"
	oracleAddressBase = "0x3a91a31cb3dc49b4db9ce721f50a9d076c8d739b"

	selectName         = "06fdde03"
	selectIsSanctioned = "df592f7d"
	selectVerbose      = "a2a6bbd8"
)

// askOracle: POST /rpc, JSON-RPC with the calls of the sanctions oracle and what clients ask before those.
func askOracle(c *call) *fault {
	b, f := c.body()
	if f != nil {
		return f
	}
	b = bytes.TrimSpace(b)
	if len(b) > 0 && b[0] == '[' {
		var all []json.RawMessage
		if err := json.Unmarshal(b, &all); err != nil || len(all) == 0 || len(all) > maxRPC {
			writeJSON(c.w, http.StatusOK, refuse(nil, &rpcError{rpcRequest, fmt.Sprintf("want 1 to %d calls", maxRPC)}))
			return nil
		}
		if f := c.charge(len(all) - 1); f != nil {
			return f
		}
		out := make([]rpcAnswer, 0, len(all))
		for _, one := range all {
			out = append(out, c.rpc(one))
		}
		writeJSON(c.w, http.StatusOK, out)
		return nil
	}
	writeJSON(c.w, http.StatusOK, c.rpc(b))
	return nil
}

func refuse(id json.RawMessage, e *rpcError) rpcAnswer {
	if len(id) == 0 {
		id = json.RawMessage("null")
	}
	return rpcAnswer{Version: "2.0", ID: id, Error: e}
}

func (c *call) rpc(b []byte) rpcAnswer {
	var q rpcQuestion
	if err := json.Unmarshal(b, &q); err != nil {
		return refuse(nil, &rpcError{rpcParse, errJSON(err).Error()})
	}
	if q.Method == "" || len(q.ID) > 200 {
		return refuse(nil, &rpcError{rpcRequest, "not a call"})
	}
	result, err := c.method(q.Method, q.Params)
	if err != nil {
		e := &rpcError{Code: rpcExecution, Message: err.Error()}
		errors.As(err, &e)
		return refuse(q.ID, e)
	}
	a := refuse(q.ID, nil)
	a.Result = result
	return a
}

func (c *call) method(name string, params []json.RawMessage) (any, error) {
	switch name {
	case "eth_call":
		return c.ethCall(params)
	case "eth_chainId":
		return fmt.Sprintf("0x%x", c.config.OracleChain), nil
	case "net_version":
		return strconv.FormatUint(c.config.OracleChain, 10), nil
	case "web3_clientVersion":
		return "Spoor/" + c.config.Version, nil
	case "eth_blockNumber":
		for _, s := range c.status(c.ctx).Chains {
			if s.Chain == flow.EVMChain(c.config.OracleChain) {
				return fmt.Sprintf("0x%x", s.Tip.Height), nil
			}
		}
		return "0x0", nil
	case "eth_getCode":
		var to string
		if len(params) == 0 || json.Unmarshal(params[0], &to) != nil || !isOracle(to) {
			return "0x", nil
		}
		return "0xfe", nil // something stands there
	}
	return nil, &rpcError{rpcNoMethod, fmt.Sprintf("the method %.60q is not served: this is no node, only the sanctions oracle", name)}
}

func isOracle(to string) bool {
	return strings.EqualFold(to, oracleAddress) || strings.EqualFold(to, oracleAddressBase)
}

// ethCall answers isSanctioned, isSanctionedVerbose and name of the oracle, at the newest block. What cannot be answered
// is an error and never false.
func (c *call) ethCall(params []json.RawMessage) (any, error) {
	var to struct{ To, Data, Input string }
	if len(params) == 0 || len(params) > 3 || json.Unmarshal(params[0], &to) != nil {
		return nil, &rpcError{rpcParams, "want an object with to and data, and a block"}
	}
	if len(params) > 1 {
		var block string
		if json.Unmarshal(params[1], &block) != nil || block != "latest" && block != "pending" && block != "safe" && block != "finalized" {
			return nil, &rpcError{rpcParams, "only the newest block can be asked: ask /v1/addresses with as_of for the past"}
		}
	}
	if len(params) > 2 {
		return nil, &rpcError{rpcParams, "no state can be overridden"}
	}
	if !isOracle(to.To) {
		return nil, &rpcError{rpcParams, "only the sanctions oracle can be called, at " + oracleAddress}
	}
	if to.Input != "" {
		to.Data = to.Input
	}
	b, err := hex.DecodeString(strings.TrimPrefix(to.Data, "0x"))
	if err != nil || len(b) < 4 {
		return nil, &rpcError{rpcParams, "the data are not a call"}
	}
	switch hex.EncodeToString(b[:4]) {
	case selectName:
		return encodeText("Spoor sanctions oracle"), nil
	case selectIsSanctioned, selectVerbose:
	default:
		return nil, &rpcError{rpcParams, "the oracle has no such view: name, isSanctioned and isSanctionedVerbose are served"}
	}
	if len(b) != 36 || !bytes.Equal(b[4:16], make([]byte, 12)) {
		return nil, &rpcError{rpcParams, "the argument is not one address"}
	}
	a := flow.EVMAccount(flow.EVMChain(c.config.OracleChain), [20]byte(b[16:]))
	v, f := c.screen(c.ctx, screen.Question{Account: a, Direct: true})
	if f != nil {
		return nil, &rpcError{rpcExecution, message(f)}
	}
	if len(sanctions(v)) > 0 {
		return fmt.Sprintf("0x%064x", 1), nil
	}
	return fmt.Sprintf("0x%064x", 0), nil
}

// encodeText is a short text as Solidity's ABI returns it.
func encodeText(s string) string {
	n := (len(s) + 31) / 32 * 32
	return fmt.Sprintf("0x%064x%064x%x%s", 32, len(s), s, strings.Repeat("00", n-len(s)))
}
