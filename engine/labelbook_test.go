package engine

import (
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/feed"
	"github.com/spoor-dev/spoor/attribute/labelstore"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store/memstore"
	"github.com/spoor-dev/spoor/trace"
)

func labelBook(t *testing.T, labels ...attribute.Label) *attribute.Book {
	t.Helper()
	for i := range labels {
		labels[i].Source = attribute.Source{ID: "s"}
		if labels[i].Seen == 0 {
			labels[i].Seen = 50
		}
	}
	b, err := attribute.NewBook(labels)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestABookOfLabelsEndsATrace(t *testing.T) {
	any, one, coin := account(t, anEVM), account(t, "eip155:1:0x000000000000000000000000000000000000dEaD"), account(t, aBTC)
	labels := []attribute.Label{
		{Subject: attribute.OfAnyEVM(any), Name: "listed", Category: attribute.Sanction, Confidence: attribute.AuthorityData},
		{Subject: attribute.OfAnyEVM(any), Name: "pool", Category: attribute.Mixing, Service: true, Confidence: attribute.WebCrawl},
		{Subject: attribute.OfAccount(one), Name: "gate", Category: attribute.Bridge, Service: true},
		{Subject: attribute.OfAccount(coin), Name: "was", Category: attribute.Exchange, Service: true, ValidTo: 90},
		{Subject: attribute.OfAccount(coin), Name: "nobody", Category: attribute.Exchange, Stance: attribute.Disputes},
	}
	l := &Labels{}
	l.UseBook(labelBook(t, labels...), 100)
	for _, c := range []struct {
		account, name string
		sink          trace.Sink
	}{
		{anEVM, "pool (mixing_service)", trace.Mixer}, {"eip155:137:" + anEVM, "pool (mixing_service)", trace.Mixer},
		{one.String(), "gate (defi_bridge)", trace.Bridge}, {"eip155:137:" + one.Address(), "", ""}, {aBTC, "", ""},
	} {
		stop, ok := l.Stop(account(t, c.account))
		if ok != (c.name != "") || stop.Reason != c.name || stop.Sink != c.sink {
			t.Errorf("Stop(%s) = %+v, %v; want %q, a %v", c.account, stop, ok, c.name, c.sink)
		}
	}
	if l.Len() != 2 || l.Services() != 2 {
		t.Errorf("%d accounts, %d services; want 2 and 2", l.Len(), l.Services())
	}
	later := &Labels{}
	later.UseBook(labelBook(t, labels...), 200)
	earlier := &Labels{}
	earlier.UseBook(labelBook(t, labels...), 80)
	if l.Hash() != later.Hash() || l.Hash() == earlier.Hash() || l.Hash() == (&Labels{}).Hash() {
		t.Error("the hash is not of what the book says at the moment")
	}
	if _, ok := earlier.Stop(coin); !ok {
		t.Error("the exchange of before is none at its time")
	}
	if err := l.ReadLabels("l.csv", strings.NewReader("address,label\n"+anEVM+",mine\n")); err != nil {
		t.Fatal(err)
	}
	if got, ok := l.Of(any); !ok || got.Name != "mine" {
		t.Errorf("Of = %+v; a list that was named goes before the book", got)
	}
}

func TestReadLabelBookFallsBackToWhatShips(t *testing.T) {
	dir := t.TempDir()
	b, err := ReadLabelBook(dir)
	if err != nil || !b.Shipped || b.Sanctions == 0 || b.Len() < 2000 {
		t.Fatalf("an empty folder: %v, shipped %v, %d labels", err, b.Shipped, b.Len())
	}
	l, err := ReadLabelList("-", strings.NewReader("3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG\n"), feed.Config{Category: "sanction"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := labelstore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Import(l, labelstore.Options{Seen: 100}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err = ReadLabelBook(dir); err != nil || b.Shipped || b.Len() != 1 {
		t.Errorf("after an import: %v, shipped %v, %d labels; want the imported one alone", err, b.Shipped, b.Len())
	}
}

func TestChainLabelsReadsTheEventsOfAStore(t *testing.T) {
	usdt := account(t, "eip155:1:0xdAC17F958D2ee523a2206206994597C13D831ec7")
	var added flow.Hash
	for _, e := range flow.KnownEvents() {
		if e.Signature == "AddedBlackList(address)" {
			added = e.Topic
		}
	}
	frozen := flow.EVMAccount(flow.Ethereum, [20]byte{7})
	address, _ := frozen.EVMAddress()
	at := func(h uint64) flow.Point {
		return flow.Point{Chain: flow.Ethereum, Height: h, Hash: flow.Hash{byte(h)}, Time: int64(1000 * h)}
	}
	st := memstore.New()
	for _, h := range []uint64{5, 6, 9} { // with a hole
		block := flow.Block{Point: at(h)}
		if h == 9 {
			block.Txs = []flow.Tx{{ID: flow.Hash{1, 2}, Point: at(h), Logs: []flow.Log{{Contract: usdt, Topics: []flow.Hash{added}, Data: append(make([]byte, 12), address[:]...)}}}}
		}
		if _, err := st.Append(t.Context(), []flow.Block{block}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := st.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	lists, err := ChainLabels(t.Context(), s, nil)
	if err != nil || len(lists) != 1 || len(lists[0].Labels) != 1 {
		t.Fatalf("ChainLabels = %+v, %v; want one label", lists, err)
	}
	if l := lists[0].Labels[0]; l.Subject != attribute.OfAnyEVM(frozen) || l.Category != attribute.BlackList || l.ValidFrom != 9000 || lists[0].Source.Date != 9000 {
		t.Errorf("label %+v of %+v", l, lists[0].Source)
	}
}
