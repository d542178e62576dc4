package api

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/screen"
)

// magic answers for the test addresses, and asks next for all others. Nothing about them is looked up or kept.
type magic struct{ next Screener }

// A TestAddress is answered in the same way for ever, so that a client can try every branch that it has.
type TestAddress struct {
	Hash     string // 20 bytes in hex: an EVM address as it stands, or the hash in a P2PKH or Tron address
	Decision screen.Decision
	Unknown  bool
	Category attribute.Category // of the label; "" has none
	Error    bool               // no verdict can be given: 503
}

// TestAddresses are the test addresses: the letters SPOOR, zeros, and what they stand for. Nobody can have their keys.
func TestAddresses() []TestAddress {
	const spoor = "53504f4f52" + "00000000000000000000000000"
	return []TestAddress{
		{Hash: spoor + "a110", Decision: screen.Allow, Category: attribute.Exchange},
		{Hash: spoor + "a77e", Decision: screen.Attention, Category: "gambling"},
		{Hash: spoor + "401d", Decision: screen.Hold, Category: attribute.Mixing},
		{Hash: spoor + "b10c", Decision: screen.Block, Category: "x:stolen_funds"},
		{Hash: spoor + "5a9c", Decision: screen.Block, Category: attribute.Sanction},
		{Hash: spoor + "0000", Decision: screen.Attention, Unknown: true},
		{Hash: spoor + "e503", Error: true},
	}
}

// magicPrefix is what the keys of all test addresses have behind their first byte, which is the form.
const magicPrefix = "SPOOR\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// Answer implements Screener.
func (m magic) Answer(ctx context.Context, q screen.Question) (screen.Verdict, error) {
	if k := q.Account.Key(); len(k) == 21 && strings.HasPrefix(k[1:], magicPrefix) {
		hash := fmt.Sprintf("%x", k[1:])
		for _, t := range TestAddresses() {
			if t.Hash == hash {
				return t.verdict(q)
			}
		}
	}
	return m.next.Answer(ctx, q)
}

// Keep implements Screener.
func (m magic) Keep(ctx context.Context, all ...screen.Verdict) error {
	all = slices.DeleteFunc(slices.Clone(all), func(v screen.Verdict) bool { return v.PolicyID == testRule })
	if len(all) == 0 {
		return nil
	}
	return m.next.Keep(ctx, all...)
}

func (t TestAddress) verdict(q screen.Question) (screen.Verdict, error) {
	if t.Error {
		return screen.Verdict{}, fmt.Errorf("test address: %w", screen.ErrBlind)
	}
	knownAt := q.KnownAt
	if knownAt == 0 {
		knownAt = q.AsOf
	}
	v := screen.Verdict{Subject: q.Account, Decision: t.Decision, Unknown: t.Unknown, Reasons: []screen.Reason{}, Labels: []attribute.Label{},
		Exposure: []screen.Exposure{}, Covered: []screen.Covered{}, DoesNotKnow: []string{"this is a test address: nothing was looked up"},
		Direction: q.Direction, Asset: q.Asset, Amount: q.Amount, Counterparties: q.Counterparties, Direct: q.Direct,
		AsOf: q.AsOf, KnownAt: knownAt, ListAge: -1, PolicyID: testRule}
	r := screen.Reason{Rule: testRule, Decision: t.Decision, Sentence: "test address of Spoor for " + t.Decision.String(), Category: string(t.Category), Direct: true}
	if t.Category != "" {
		l := attribute.Label{Subject: attribute.OfAccount(q.Account), Name: "Spoor test " + strings.TrimPrefix(string(t.Category), "x:"), Category: t.Category,
			Stance: attribute.Asserts, Confidence: attribute.Override, Source: attribute.Source{ID: testRule}}
		v.Labels = append(v.Labels, l)
		r.Entity, r.Source, r.Confidence = l.Name, l.Source.ID, l.Confidence.Level()
	}
	v.Reasons = append(v.Reasons, r)
	return screen.Seal(v)
}

const testRule = "spoor-test-address"
