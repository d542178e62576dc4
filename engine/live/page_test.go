package live_test

import (
	"regexp"
	"strings"
	"testing"
)

// TestPageShowsFirstWhatMatters: health and its reasons, then alerts, then the rest; nothing runs, nothing comes from
// elsewhere.
func TestPageShowsFirstWhatMatters(t *testing.T) {
	l := smallLive(t)
	w := get(t, l, "/")
	page := w.Body.String()
	at := 0
	for _, want := range []string{`class="health sick">sick<`, "eip155:1: no node answers well", "eip155:1, no node answers well", "text:eth, at the head", "<h2>Last alerts</h2>", ">treasury<", ">A listed account gave<",
		"<h2>Cases</h2>", "No case is configured.", "1 account on 1 list", "<h2>Chains</h2>", ">127.0.0.1:1<", "connection refused", "<h2>Who is told</h2>", ">stdout<"} {
		i := strings.Index(page[at:], want)
		if i < 0 {
			t.Fatalf("the page lacks %q, or it stands in another place:\n%s", want, page)
		}
		at += i
	}
	for _, no := range []string{"<script", "style=", "javascript:", "http://", "https://", "onload", "%!"} {
		if strings.Contains(page, no) {
			t.Errorf("the page has %q", no)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}

	style := get(t, l, "/page/style.css")
	if style.Code != 200 || !strings.Contains(style.Header().Get("Content-Type"), "text/css") {
		t.Fatalf("style: %d, %s", style.Code, style.Header())
	}
	for _, class := range regexp.MustCompile(`class="([a-z -]+)"`).FindAllStringSubmatch(page, -1) {
		for _, name := range strings.Fields(class[1]) {
			switch name {
			case "standing", "doubtful", "info", "low": // as everything else
			default:
				if !strings.Contains(style.Body.String(), "."+name) {
					t.Errorf("the page has a class %s, of which the style says nothing", name)
				}
			}
		}
	}
	for _, label := range regexp.MustCompile(`<td([^>]*)>`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(label[1], "data-label=") {
			t.Errorf("a cell without a label, which a narrow page shows: %s", label[0])
		}
	}
}
