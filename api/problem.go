package api

import (
	"encoding/json"
	"net/http"
)

// A Problem is an error of our own routes, as RFC 9457 has it.
type Problem struct {
	Type     string `json:"type"` // "about:blank", or "urn:spoor:problem:" and a word of docs/formats/api.md
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`
	Hint     string `json:"hint,omitempty"`     // what to do next
	Instance string `json:"instance,omitempty"` // the id of the request
}

// A fault is why a request gets no verdict, before a dialect puts it into its own words.
type fault struct {
	status int
	word   string // of docs/formats/api.md: the end of the problem's type
	title  string
	detail string
	hint   string
	retry  int // seconds until it may go better; 0 says nothing
}

func (f *fault) problem(id string) Problem {
	p := Problem{"about:blank", f.title, f.status, f.detail, f.hint, id}
	if f.word != "" {
		p.Type = "urn:spoor:problem:" + f.word
	}
	return p
}

// writeProblem answers one of our own routes with a fault.
func writeProblem(w http.ResponseWriter, id string, f *fault) {
	b, err := json.Marshal(f.problem(id))
	if err != nil {
		panic(err) // a Problem holds texts and a number
	}
	writeBody(w, f.status, "application/problem+json", b, f.retry)
}

// writeBody writes a whole answer of known length.
func writeBody(w http.ResponseWriter, status int, kind string, b []byte, retry int) {
	h := w.Header()
	h["Content-Type"] = []string{kind}
	if retry > 0 {
		setRetry(h, retry)
	}
	w.WriteHeader(status)
	w.Write(b)
}

// writeJSON answers with a value that always has a JSON form.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types only
	}
	writeBody(w, status, "application/json", append(b, '\n'), 0)
}
