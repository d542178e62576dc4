package liar

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// twist changes the node's answers as the mode says. What it does not understand it passes on.
func (l *Liar) twist(r *http.Request, mode Mode, questions []question, text []byte) []byte {
	answers, batch, ok := list[answer](text)
	if !ok {
		return text
	}
	changed := false
	for i := range answers {
		a := &answers[i]
		at := slices.IndexFunc(questions, func(q question) bool { return bytes.Equal(q.ID, a.ID) })
		if at < 0 {
			continue
		}
		q := questions[at]
		if mode == Refuse && l.means(q.Method) {
			a.Result, a.Error, changed = nil, json.RawMessage(`{"code":-32000,"message":"no"}`), true
			continue
		}
		if result, lied := l.lie(r, mode, q, a.Result); lied {
			a.Result, a.Error, changed = result, nil, true
			l.mu.Lock()
			l.lies++
			l.mu.Unlock()
		}
	}
	if !changed {
		return text
	}
	var out any = answers
	if !batch {
		out = answers[0]
	}
	made, err := json.Marshal(out)
	if err != nil {
		return text
	}
	return made
}

// means reports whether it is to lie about a method.
func (l *Liar) means(method string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.only) == 0 || slices.Contains(l.only, method)
}

// lie is the answer that it gives instead of the node's; lied is false where it has nothing to change.
func (l *Liar) lie(r *http.Request, mode Mode, q question, truth json.RawMessage) (told json.RawMessage, lied bool) {
	if told, lied = l.stale(mode, q, truth); lied || mode == StaleHead || !l.means(q.Method) {
		return told, lied
	}
	if mode == OtherBlock {
		return l.otherBlock(r, q, truth)
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(truth))
	d.UseNumber() // so that nothing else changes
	if len(truth) == 0 || d.Decode(&v) != nil {
		return nil, false
	}
	switch mode {
	case DropLogs:
		lied = dropLog(q.Method, &v)
	case DropReceipt:
		lied = dropReceipt(q.Method, &v)
	case ChangeValue:
		lied = changeValue(q.Method, &v)
	case WrongChain:
		lied = wrongChain(q, &v)
	}
	if !lied {
		return nil, false
	}
	told, err := json.Marshal(v)
	return told, err == nil
}

// stale remembers what was told of the newest block, and tells that again when it is to.
func (l *Liar) stale(mode Mode, q question, truth json.RawMessage) (json.RawMessage, bool) {
	switch q.Method {
	case "eth_blockNumber", "getblockcount", "getbestblockhash", "getbestblock", "getblockchaininfo":
	case "eth_getBlockByNumber", "eth_getHeaderByNumber", "eth_getBlockReceipts":
		if !bytes.Contains(q.Params, []byte(`"latest"`)) {
			return nil, false
		}
	default:
		return nil, false
	}
	key := q.Method + string(q.Params)
	means := l.means(q.Method)
	l.mu.Lock()
	defer l.mu.Unlock()
	old, known := l.heads[key]
	if mode != StaleHead || !means || !known {
		l.heads[key] = truth
		return nil, false
	}
	return old, !bytes.Equal(old, truth)
}

// dropLog takes the last log out of what an answer holds.
func dropLog(method string, v *any) bool {
	switch method {
	case "eth_getLogs":
		return dropLast(v)
	case "eth_getBlockReceipts", "eth_getTransactionReceipt":
		for _, r := range objects(*v) {
			logs := r["logs"]
			if dropLast(&logs) {
				r["logs"] = logs
				return true
			}
		}
	}
	return false
}

func dropReceipt(method string, v *any) bool {
	switch method {
	case "eth_getBlockReceipts":
		return dropLast(v)
	case "eth_getTransactionReceipt":
		*v = nil
		return true
	}
	return false
}

// changeValue changes a digit of value somewhere in an answer.
func changeValue(method string, v *any) bool {
	switch method {
	case "eth_getBlockByNumber", "eth_getBlockByHash":
		for _, b := range objects(*v) {
			for _, tx := range objects(b["transactions"]) {
				if changeDigit(tx, "value", 1) {
					return true
				}
			}
		}
	case "eth_getTransactionByHash":
		for _, tx := range objects(*v) {
			return changeDigit(tx, "value", 1)
		}
	case "eth_getLogs":
		for _, log := range objects(*v) {
			if changeDigit(log, "data", 1) {
				return true
			}
		}
	case "eth_getBlockReceipts", "eth_getTransactionReceipt":
		for _, r := range objects(*v) {
			for _, log := range objects(r["logs"]) {
				if changeDigit(log, "data", 1) {
					return true
				}
			}
		}
	case "getblock", "getrawtransaction": // raw: the script of the last output
		box := map[string]any{"raw": *v}
		if changeDigit(box, "raw", 20) {
			*v = box["raw"]
			return true
		}
	}
	return false
}

func wrongChain(q question, v *any) bool {
	switch q.Method {
	case "eth_chainId":
		*v = "0x539fe"
	case "net_version":
		*v = "342526"
	case "getblockhash":
		if !bytes.Equal(bytes.Trim(q.Params, "[] \n"), []byte("0")) {
			return false
		}
		*v = strings.Repeat("00", 4) + strings.Repeat("5a", 28)
	case "getblockchaininfo":
		for _, o := range objects(*v) {
			o["chain"] = "other"
		}
	default:
		return false
	}
	return true
}

// otherBlock is the answer to the same question about the block below.
func (l *Liar) otherBlock(r *http.Request, q question, truth json.RawMessage) (json.RawMessage, bool) {
	var params []any
	d := json.NewDecoder(bytes.NewReader(q.Params))
	d.UseNumber()
	if d.Decode(&params) != nil || len(params) == 0 {
		return nil, false
	}
	switch q.Method {
	case "eth_getBlockByNumber", "eth_getHeaderByNumber", "eth_getBlockByHash", "eth_getHeaderByHash":
		var b struct{ Number, ParentHash string }
		if json.Unmarshal(truth, &b) != nil || b.ParentHash == "" {
			return nil, false
		}
		byHash := strings.Replace(q.Method, "ByNumber", "ByHash", 1)
		other, ok := l.ask(r, byHash, append([]any{b.ParentHash}, params[1:]...))
		if !ok {
			return nil, false
		}
		var o map[string]any
		if json.Unmarshal(other, &o) != nil || o == nil {
			return nil, false
		}
		o["number"] = b.Number
		told, err := json.Marshal(o)
		return told, err == nil
	case "eth_getBlockReceipts":
		n, err := strconv.ParseUint(strings.TrimPrefix(textOf(params[0]), "0x"), 16, 64)
		if err != nil || n == 0 {
			return nil, false
		}
		return l.ask(r, q.Method, []any{"0x" + strconv.FormatUint(n-1, 16)})
	case "getblockhash":
		n, err := strconv.ParseUint(textOf(params[0]), 10, 64)
		if err != nil || n == 0 {
			return nil, false
		}
		return l.ask(r, q.Method, []any{n - 1})
	case "getblock", "getblockheader":
		header, ok := l.ask(r, "getblockheader", []any{params[0], true})
		var h struct{ PreviousBlockHash string }
		if !ok || json.Unmarshal(header, &h) != nil || h.PreviousBlockHash == "" {
			return nil, false
		}
		return l.ask(r, q.Method, append([]any{h.PreviousBlockHash}, params[1:]...))
	}
	return nil, false
}

// ask asks the node itself, with the rights of who asked.
func (l *Liar) ask(r *http.Request, method string, params []any) (json.RawMessage, bool) {
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return nil, false
	}
	_, text, err := l.forward(r.Context(), r.Header, body)
	if err != nil {
		return nil, false
	}
	var a answer
	if json.Unmarshal(text, &a) != nil || len(a.Result) == 0 || bytes.Equal(a.Result, []byte("null")) {
		return nil, false
	}
	return a.Result, true
}

// textOf is a JSON value as text.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// objects are the objects in a list, or the one object itself.
func objects(v any) []map[string]any {
	if one, ok := v.(map[string]any); ok {
		return []map[string]any{one}
	}
	var all []map[string]any
	elements, _ := v.([]any)
	for _, e := range elements {
		if o, ok := e.(map[string]any); ok {
			all = append(all, o)
		}
	}
	return all
}

func dropLast(v *any) bool {
	elements, _ := (*v).([]any)
	if len(elements) == 0 {
		return false
	}
	*v = elements[:len(elements)-1]
	return true
}

// changeDigit makes the digit at that place from the end of a hexadecimal text another one.
func changeDigit(o map[string]any, key string, fromEnd int) bool {
	text, _ := o[key].(string)
	at := len(text) - fromEnd
	if at < 2 || strings.Trim(strings.TrimPrefix(text, "0x"), "0123456789abcdefABCDEF") != "" {
		return false
	}
	digit := byte('1')
	if text[at] == digit {
		digit = '2'
	}
	o[key] = text[:at] + string(digit) + text[at+1:]
	return true
}
