package engine

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/api"
	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

// TestTheServerAnswersFromTheStore asks a whole server about a transaction that a store holds.
func TestTheServerAnswersFromTheStore(t *testing.T) {
	st := storyStore(t, screenChain)
	s := screener(t, st, nil, screenBook(t, st))
	world := NewWorld(s, st)
	status := world.Status(t.Context())
	if len(status.Chains) != 1 || status.Chains[0].Tip.Height != 4 || status.Labels.Count == 0 || status.LabelError != "" || status.StoreError != "" {
		t.Errorf("status %+v", status)
	}
	snapshot, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	block, err := snapshot.Block(t.Context(), flow.Ethereum, 1)
	if err != nil {
		t.Fatal(err)
	}
	tx := block.Txs[1] // bad pays middle
	if _, err := world.Tx(t.Context(), flow.Ethereum, flow.Hash{1}); !errors.Is(err, api.ErrNoTx) {
		t.Errorf("a transaction that is not there: %v; want %v", err, api.ErrNoTx)
	}
	w := httptest.NewRecorder()
	api.New(s, world, api.Config{}).ServeHTTP(w, httptest.NewRequest("GET", "/v1/transactions/eip155:1/"+tx.ID.String(), nil))
	var got api.TxVerdict
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	if got.Decision != screen.Block || len(got.Verdicts) != 2 || got.Verdicts[1].Subject != who(t, st, "middle") || got.Verdicts[1].Decision != screen.Block {
		t.Errorf("bad pays middle: %s", w.Body)
	}
	none := NewWorld(s, nil)
	if _, err := none.Tx(t.Context(), flow.Ethereum, tx.ID); !errors.Is(err, api.ErrNoTx) {
		t.Errorf("without a store: %v; want %v", err, api.ErrNoTx)
	}
}

func TestLabelsAreFollowed(t *testing.T) {
	st := storyStore(t, screenChain)
	s := NewScreener(ScreenConfig{}, book(t))
	world := NewWorld(s, nil)
	file := filepath.Join(t.TempDir(), "labels")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	stamps := StampLabels([]string{file})
	ctx, stop := context.WithCancel(t.Context())
	told := make(chan error)
	ended := make(chan struct{})
	read := func() ([]*attribute.Book, error) {
		text, err := os.ReadFile(file)
		if err == nil && strings.HasPrefix(string(text), "bad") {
			err = io.ErrUnexpectedEOF
		}
		return []*attribute.Book{screenBook(t, st)}, err
	}
	go func() {
		defer close(ended)
		world.FollowLabels(ctx, []string{file}, stamps, read, time.Millisecond, func(err error) {
			select {
			case told <- err:
			case <-ctx.Done():
			}
		})
	}()
	write("bad list")
	if err := <-told; !errors.Is(err, io.ErrUnexpectedEOF) || world.Status(ctx).LabelError == "" || s.LabelState().Count != 0 {
		t.Errorf("a list that cannot be read: %v, %+v", err, world.Status(ctx))
	}
	write("a good list")
	for err := range told {
		if err == nil {
			break
		}
	}
	if status := world.Status(ctx); status.LabelError != "" || status.Labels.Count == 0 {
		t.Errorf("a list that can be read again: %+v", status)
	}
	stop()
	<-ended
}
