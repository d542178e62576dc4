package engine

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/internal/fetch"
)

func TestFetchLabels(t *testing.T) {
	body, status := "address,label,category,is_service\n0x1111111111111111111111111111111111111166,Lazarus,service_hack,0\n", 200
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == `"one"` && r.Header.Get("If-Modified-Since") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"one"`)
		w.Header().Set("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT")
		w.WriteHeader(status)
		w.Write([]byte(body))
	}))
	defer server.Close()
	client := fetch.New(fetch.Config{Private: true, Timeout: 5 * time.Second})
	defer client.Close()
	f := LabelFeed{Source: attribute.Source{ID: "ours", URI: server.URL + "/list.csv"}}
	l, noted, err := FetchLabels(t.Context(), client, f)
	if err != nil || l == nil || len(l.Labels) != 1 || l.Source.ID != "ours" || noted.ETag != `"one"` {
		t.Fatalf("%+v, %+v, %v", l, noted, err)
	}
	dir := t.TempDir()
	if err := (LabelFeeds{"ours": noted}).Write(dir); err != nil {
		t.Fatal(err)
	}
	back, err := ReadLabelFeeds(dir)
	if err != nil || back["ours"] != noted || !back["ours"].OnTheWeb() {
		t.Fatalf("%+v, %v; want %+v", back, err, noted)
	}
	if l, _, err := FetchLabels(t.Context(), client, back["ours"]); l != nil || err != nil {
		t.Errorf("what has not changed is read again: %+v, %v", l, err)
	}
	for _, s := range []int{404, 500, 302} {
		status = s
		if l, after, err := FetchLabels(t.Context(), client, f); !errors.Is(err, ErrFetch) || l != nil || after != f {
			t.Errorf("status %d: %+v, %v", s, l, err)
		}
	}
	status, body = 200, "<html>"
	if l, after, err := FetchLabels(t.Context(), client, f); err == nil || l != nil || after != f {
		t.Errorf("a page instead of a list: %+v, %v", l, err)
	}
	closed := fetch.New(fetch.Config{})
	defer closed.Close()
	if _, _, err := FetchLabels(t.Context(), closed, f); !errors.Is(err, fetch.ErrPrivate) || !errors.Is(err, ErrFetch) {
		t.Errorf("a private network: %v", err)
	}
	if err := os.WriteFile(feedsFile(dir), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLabelFeeds(dir); err == nil {
		t.Error("a damaged note was read")
	}
}
