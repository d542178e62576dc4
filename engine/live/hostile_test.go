package live_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/internal/nodes"
)

// A bragger is the code of a contract that answers every question, such as for its name, with a megabyte of an ugly text,
// and to everything that looks like the call of a Crier cries as one.
func bragger() []byte {
	cry := nodes.Crier()
	// CALLDATASIZE, PUSH1 96, LT: with more data than three words it cries; else it returns the first megabyte of memory,
	// which holds its own code.
	head := []byte{0x36, 0x60, 0x60, 0x10, 0x60, 0x11, 0x57, 0x38, 0x5f, 0x5f, 0x39, 0x62, 0x10, 0x00, 0x00, 0x5f, 0xf3, 0x5b}
	return slices.Concat(head, cry, []byte("<script>alert(1)</script>\u202eCDSU\u2066\x00\x1b[2J"))
}

// Tokens that anybody can make, with ugly names and impossible amounts, are sent to those who are watched, and said to be
// sent by them: little is told, in valid text, and nothing of it as real.
func TestHostileTokens(t *testing.T) {
	leaveNothing(t)
	c := newEVM(t, nodes.Anvil(t, "--chain-id", "1"), 1, "victim", "thief", "treasury", "a", "b")
	c.rich("victim", 9000)
	c.ask("anvil_setCode", []any{usdc, "0x" + hex.EncodeToString(nodes.Crier())}, nil)
	c.token(usdc, "b", "treasury", big.NewInt(900*microUSDC))
	tokens := []string{c.Deploy(c.Accounts[0], bragger()), c.Deploy(c.Accounts[0], bragger()), c.Deploy(c.Accounts[0], nodes.Crier())}
	ugly := "<script>alert(1)</script>\u202eevil\u2066\x1b[2J" + strings.Repeat("&<>\"'", 2000)
	r := newRig(t, setup{chains: c.own(), lists: fmt.Sprintf("  - {name: %q, accounts: [%q], contact: %q}\n", "treasury <b>&", c.caip("treasury"), "<i>someone</i>")})
	r.labels = c.caip("thief") + ",\"" + strings.ReplaceAll(ugly, `"`, `""`) + "\",<script>,0\n"
	r.theft("heist", fmt.Sprintf(`{"sources":[{"account":%q}]}`, c.caip("victim")))
	r.start()
	r.at(c.head)
	r.followed(1)

	most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	real := []planted{
		{"heist", "live-move", c.pay("victim", "thief", 5000)},
		{"heist", "live-move", c.pay("thief", "a", 4000)},
	}
	r.at(c.head)
	r.wasTold(real)
	before := len(r.hook.all(func(told) bool { return true }))
	for range 3 { // spam, blocks of many
		c.ask("evm_setAutomine", []any{false}, nil)
		for _, token := range tokens {
			for _, amount := range []*big.Int{new(big.Int), big.NewInt(1), most} {
				for _, way := range [][2]string{{"b", "treasury"}, {"treasury", "b"}, {"victim", "thief"}, {"thief", "a"}, {"a", "a"}} {
					c.cry(token, way[0], way[1], amount)
				}
			}
		}
		for range 20 { // of a real token, and nothing: anybody can make that
			c.cry(usdc, "treasury", "b", new(big.Int))
		}
		c.ask("evm_setAutomine", []any{true}, nil)
		c.Mine(1)
	}
	c.Mine(2)
	r.at(c.head)
	last := planted{"treasury <b>&", "list-gave", c.token(usdc, "treasury", "b", big.NewInt(700*microUSDC))}
	r.at(c.head)
	real = append(real, last)
	r.wasTold(real)
	gave := r.told(last.owner, last.rule, last.tx)
	if !strings.Contains(gave.Text, "700 USDC") || !strings.Contains(gave.Text, "were counted since") || gave.Contact != "<i>someone</i>" {
		t.Errorf("it says %q, contact %q", gave.Text, gave.Contact)
	}
	after := r.hook.all(func(told) bool { return true })
	for _, m := range after[before:] {
		if m.Kind != alert.State && m.ID != gave.ID {
			t.Errorf("a counterfeit was told: %s: %s", m.ID, m.Text)
		}
	}
	for _, m := range after {
		for what, text := range map[string]string{"title": m.Title, "text": m.Text} {
			if len(text) > 5000 || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }) {
				t.Errorf("%s of %s: %d bytes: %.300q", what, m.ID, len(text), text)
			}
		}
	}
	if n := r.state().Watching.Dust; n != 3*(2*3*3+20) {
		t.Errorf("%d movements were counted as dust; want all of it", n)
	}
	r.isPlain()
}

// cry lets a contract say that a token moved, without waiting for the block.
func (c *evmChain) cry(contract, from, to string, amount *big.Int) {
	c.t.Helper()
	data := slices.Concat(word(transfer), word(c.purse[from]), word(c.purse[to]), word(amount))
	var id string
	c.ask("eth_sendTransaction", []any{map[string]any{"from": c.Accounts[0], "to": contract, "input": fmt.Sprintf("0x%x", data), "gas": "0x20000"}}, &id)
}

// isPlain checks what a browser is given: no markup of a stranger's, and rules that would stop it.
func (r *rig) isPlain() {
	r.t.Helper()
	h := r.Handler(nil)
	for _, path := range []string{"/", "/v1/state", "/v1/alerts", "/metrics"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		body := w.Body.Bytes()
		if w.Code != http.StatusOK || !utf8.Valid(body) || len(body) > 2<<20 {
			r.t.Errorf("%s: status %d, %d bytes", path, w.Code, len(body))
		}
		for _, bad := range []string{"<script", "<b>&", "<i>", "\u202e", "\u2066", "\x1b", "\x00"} {
			if bytes.Contains(body, []byte(bad)) {
				r.t.Errorf("%s: %q is in it", path, bad)
			}
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			r.t.Errorf("%s: headers %v", path, w.Header())
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if !strings.Contains(w.Body.String(), "treasury &lt;b&gt;&amp;") {
		r.t.Error("the page does not show the list")
	}
}
