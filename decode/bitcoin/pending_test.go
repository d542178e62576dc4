package bitcoin

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

func TestPendingIsWhatTheBlockHolds(t *testing.T) {
	draft := newDraft(7).commit()
	d := New(flow.BitcoinSignet)
	b, err := d.Decode(flow.Point{Height: 7}, flow.Hash{}, draft.seal())
	if err != nil {
		t.Fatal(err)
	}
	for i, tx := range draft.Transactions {
		var raw bytes.Buffer
		if err := tx.Serialize(&raw); err != nil {
			t.Fatal(err)
		}
		got, err := d.Pending(raw.Bytes())
		if i == 0 {
			if !errors.Is(err, ErrForm) {
				t.Errorf("a coinbase: %+v, %v; want ErrForm: it is never pending", got, err)
			}
			continue
		}
		want := b.Txs[i]
		want.Point, want.Index = flow.Point{Chain: flow.BitcoinSignet}, 0
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("transaction %d: %+v, %v; want %+v", i, got, err, want)
		}
		if _, err := d.Pending(append(slices.Clone(raw.Bytes()), 0)); !errors.Is(err, ErrForm) {
			t.Errorf("transaction %d and a byte: %v; want ErrForm", i, err)
		}
		for n := range raw.Len() {
			if _, err := d.Pending(raw.Bytes()[:n]); !errors.Is(err, ErrForm) {
				t.Errorf("the first %d bytes of transaction %d: %v; want ErrForm", n, i, err)
			}
		}
	}
}

func FuzzPending(f *testing.F) {
	for _, tx := range newDraft(7).commit().Transactions {
		var raw bytes.Buffer
		if err := tx.Serialize(&raw); err != nil {
			f.Fatal(err)
		}
		f.Add(raw.Bytes())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		tx, err := New(flow.Bitcoin).Pending(raw)
		if err != nil {
			if !errors.Is(err, ErrForm) {
				t.Fatalf("%v does not wrap ErrForm", err)
			}
			return
		}
		if tx.ID.IsZero() || len(tx.Movements) != 1 || len(tx.Movements[0].Out) == 0 || len(tx.Movements[0].In) != len(tx.Movements[0].Spent) {
			t.Fatalf("%+v", tx)
		}
	})
}
