package api

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

func document(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openAPIDocument)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestDocumentIsOpenAPI31(t *testing.T) {
	doc := document(t)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("it is OpenAPI %s; want 3.1", doc.OpenAPI)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDocumentNamesTheRoutesAndNoOthers(t *testing.T) {
	var have, want []string
	for path, item := range document(t).Paths.Map() {
		for method, op := range item.Operations() {
			have = append(have, method+" "+path)
			open := op.Security != nil && len(*op.Security) == 0
			for _, r := range ownRoutes() {
				if r.pattern == method+" "+path && open != (r.scope == 0) {
					t.Errorf("%s: the document says that it needs a key: %v; the route says %v", r.pattern, !open, r.scope != 0)
				}
			}
		}
	}
	for _, r := range ownRoutes() {
		want = append(want, r.pattern)
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("the document names\n%q\nthe server has\n%q", have, want)
	}
}

// TestAnswersFitTheDocument holds every answer to a recorded request of our own wire against the document's schema.
func TestAnswersFitTheDocument(t *testing.T) {
	doc := document(t)
	checked := map[string]bool{}
	for _, q := range recorded {
		if !strings.HasPrefix(q.name, "own-") {
			continue
		}
		s, _ := newTestServer(t, nil)
		w := do(s, q.method, q.target, q.body)
		var op *openapi3.Operation
		for path, item := range doc.Paths.Map() {
			if prefix, _, _ := strings.Cut(path, "{"); strings.HasPrefix(q.target, prefix) && strings.Count(path, "/") == strings.Count(strings.Split(q.target, "?")[0], "/") {
				op = item.GetOperation(q.method)
				checked[path] = true
			}
		}
		schema := doc.Components.Schemas["Problem"]
		if op != nil {
			if r := op.Responses.Status(w.Code); r != nil {
				for _, media := range r.Value.Content {
					schema = media.Schema
				}
			} else if op.Responses.Default() == nil {
				t.Errorf("%s: status %d is not in the document", q.name, w.Code)
			}
		}
		for line := range strings.Lines(w.Body.String()) {
			var v any
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatalf("%s: %v", q.name, err)
			}
			if err := schema.Value.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
				t.Errorf("%s: %v", q.name, err)
			}
		}
	}
	for _, path := range []string{"/v1/addresses/{address}", "/v1/transfers", "/v1/transactions/{chain}/{hash}", "/v1/batch", "/v1/ready"} {
		if !checked[path] {
			t.Errorf("no answer of %s was checked, only %q", path, slices.Collect(maps.Keys(checked)))
		}
	}
}
