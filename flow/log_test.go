package flow

import (
	"strings"
	"testing"

	"golang.org/x/crypto/sha3"
)

// The hash of each event is recomputed from its signature, but for the six of which only the hash is known.
func TestEventsAreTheirSignatures(t *testing.T) {
	copied := 0
	seen := map[Hash]bool{}
	for _, e := range KnownEvents() {
		if seen[e.Topic] {
			t.Errorf("%s is there twice", e.Signature)
		}
		seen[e.Topic] = true
		if got, ok := KnownEvent(e.Topic); !ok || got != e {
			t.Errorf("KnownEvent(%s) = %v, %v; want %v", e.Topic, got, ok, e)
		}
		if !strings.HasSuffix(e.Signature, ")") {
			copied++
			continue
		}
		h := sha3.NewLegacyKeccak256()
		h.Write([]byte(e.Signature))
		if got := Hash(h.Sum(nil)); got != e.Topic {
			t.Errorf("%s hashes to %s; the table says %s", e.Signature, got, e.Topic)
		}
	}
	if copied != 6 {
		t.Errorf("%d events without arguments; want 6", copied)
	}
}

// What is a movement already is not kept a second time.
func TestTransfersAreNotKept(t *testing.T) {
	for _, signature := range []string{"Transfer(address,address,uint256)", "Approval(address,address,uint256)", "Deposit(address,uint256)",
		"Withdrawal(address,uint256)", "TransferSingle(address,address,address,uint256,uint256)",
		"TransferBatch(address,address,address,uint256[],uint256[])"} {
		h := sha3.NewLegacyKeccak256()
		h.Write([]byte(signature))
		if e, ok := KnownEvent(Hash(h.Sum(nil))); ok {
			t.Errorf("%s is kept: %v", signature, e)
		}
	}
}
