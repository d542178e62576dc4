package config

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/flow"
)

// A Key is one key of the file, with what it means.
type Key struct {
	Path    string // "chains[].nodes[].url"
	Doc     string
	Default string // of a key that is left out; empty where there is none
	Type    string // "text", "number", "list", …
	Depth   int
}

// Keys are all keys of the file, in the order in which they are best read.
func Keys() []Key { return keysOf(reflect.TypeFor[Config](), "", 0) }

func keysOf(t reflect.Type, prefix string, depth int) (all []Key) {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || name == "" || name == "-" || name == "name" && depth > 2 {
			continue // a sink's kind has the sink's name
		}
		k := Key{Path: prefix + name, Doc: f.Tag.Get("doc"), Default: f.Tag.Get("default"), Depth: depth}
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		k.Type = typeName(inner)
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
			k.Path += "[]"
		}
		all = append(all, k)
		if isSection(inner) {
			all = append(all, keysOf(inner, k.Path+".", depth+1)...)
		}
	}
	return all
}

// isSection reports whether a type is written as keys of its own.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !isText(t)
}

// isText reports whether a type reads itself from text.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ UnmarshalText([]byte) error }]())
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Duration](), t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[Size]():
		return "size"
	case t == reflect.TypeFor[flow.Chain]():
		return "chain"
	case t == reflect.TypeFor[finding.Severity]():
		return "severity"
	case isText(t) || t.Kind() == reflect.String:
		return "text"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "yes or no"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "map"
	case reflect.Struct:
		return "section"
	}
	return "number"
}

// Explain writes all keys whose path begins with about, with their meaning and default.
func Explain(w io.Writer, about string) error {
	found := false
	for _, k := range Keys() {
		if plain := strings.ReplaceAll(k.Path, "[]", ""); !strings.HasPrefix(plain, strings.ReplaceAll(about, "[]", "")) {
			continue
		}
		found = true
		value := ""
		if k.Default != "" {
			value = ", " + k.Default + " if left out"
		}
		if _, err := fmt.Fprintf(w, "%s%s (%s%s)\n%s    %s\n", strings.Repeat("  ", k.Depth), k.Path, k.Type, value, strings.Repeat("  ", k.Depth), k.Doc); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("no key begins with %.80q", about)
	}
	return nil
}

// Schema is the JSON Schema (2020-12) of the file.
func Schema() ([]byte, error) {
	s := schemaOf(reflect.TypeFor[Config]())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Configuration of Spoor"
	return json.MarshalIndent(s, "", "  ")
}

func schemaOf(t reflect.Type) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch typeName(t) {
	case "duration":
		return map[string]any{"type": "string", "pattern": `^([0-9]+d|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+|0)$`}
	case "size":
		return map[string]any{"type": []string{"string", "integer"}, "pattern": `^[0-9]+ *(TiB|GiB|MiB|KiB|TB|GB|MB|kB|B)?$`, "minimum": 0}
	case "severity":
		return map[string]any{"enum": []string{"info", "low", "medium", "high", "critical"}}
	case "chain":
		return map[string]any{"type": "string", "pattern": `^[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}$`}
	case "text":
		return map[string]any{"type": []string{"string", "integer"}}
	case "yes or no":
		return map[string]any{"type": "boolean"}
	case "list":
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case "map":
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case "section":
		keys := map[string]any{}
		for _, f := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if !f.IsExported() || name == "" || name == "-" {
				continue
			}
			one := schemaOf(f.Type)
			one["description"] = f.Tag.Get("doc")
			if d := f.Tag.Get("default"); d != "" {
				one["description"] = f.Tag.Get("doc") + " (" + d + " if left out)"
			}
			keys[name] = one
		}
		return map[string]any{"type": "object", "properties": keys, "additionalProperties": false}
	}
	return map[string]any{"type": "number"}
}

// Text is a part of a configuration in YAML, for comparing.
func Text(part any) string {
	b, err := yaml.Marshal(part)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Write writes the configuration as it is in force: with all defaults, absolute paths, and the names of secret files,
// never what is in them.
func (c Config) Write(w io.Writer) error {
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(c); err != nil {
		return err
	}
	return e.Close()
}
