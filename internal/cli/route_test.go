package cli

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/trace/route"
)

func TestRouteErrors(t *testing.T) {
	store := smallStore(t)
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no-to", []string{"--from", "text:eth:thief", "--max-flow"}, 2, "no account that a route leads to"},
		{"no-from", []string{"--to", "text:eth:last", "--asset", "GOLD"}, 2, "a route from 0 accounts"},
		{"two-from", []string{"--from", "text:eth:thief", "--from", "text:eth:next", "--to", "text:eth:last"}, 2, "a route from 2 accounts"},
		{"bad-from", []string{"--from", "text:eth:thief@", "--to", "text:eth:last"}, 2, "no time after @"},
		{"bad-to", []string{"--from", "text:eth:thief", "--to", "0x12"}, 2, "--to"},
		{"bad-until", []string{"--from", "text:eth:thief", "--to", "text:eth:last", "--until", "2020"}, 2, "--until"},
		{"bad-chain", []string{"--from", "text:eth:thief", "--to", "text:eth:last", "--chain", "::"}, 2, "hint: write a CAIP-2"},
		{"negative", []string{"--from", "text:eth:thief", "--to", "text:eth:last", "--max-holders", "-1"}, 2, "a number that cannot be"},
		{"no-asset", []string{"--from", "text:eth:thief", "--to", "text:eth:last"}, 2, "hint: name it once"},
		{"one-account", []string{"--from", "text:eth:thief", "--to", "text:eth:thief", "--asset", "GOLD"}, 2, "to itself"},
		{"stranger", []string{"--from", "text:eth:thief", "--to", "text:eth:stranger", "--asset", "GOLD"}, 1, "has never seen text:eth:stranger"},
		{"backward", []string{"--from", "text:eth:thief@block:2", "--to", "text:eth:last", "--asset", "GOLD", "--until", "block:1"}, 2, "ends before it begins"},
	} {
		code, out, errs := run(t, append([]string{"trace", "--store", store}, c.args...)...)
		if code != c.code || out != "" || !strings.Contains(errs, c.want) || strings.Count(errs, "\n") != 2 {
			t.Errorf("%s: exit %d, %q, %q; want %d, %q", c.name, code, out, errs, c.code, c.want)
		}
	}
}

// Every flag of trace either counts for a route or is refused beside --to.
func TestFlagsOfRoutes(t *testing.T) {
	counts := []string{"to", "asset", "max-flow", "from", "until", "store", "chain", "labels", "max-holders", "max-transactions", "rows", "help", "json", "quiet"}
	help := done(t, "trace", "--help")
	_, help, _ = strings.Cut(help, "Flags:")
	flags := regexp.MustCompile(`(?m)^ +(?:-\w, )?    ?--([a-z-]+)|^ +-\w, --([a-z-]+)`).FindAllStringSubmatch(help, -1)
	if len(flags) < len(counts) {
		t.Fatalf("%d flags in %s", len(flags), help)
	}
	store := smallStore(t)
	for _, f := range flags {
		name := f[1] + f[2]
		if slices.Contains(counts, name) == slices.Contains(withoutTo, name) {
			t.Errorf("--%s: does it count for a route, or not?", name)
		}
		if !slices.Contains(withoutTo, name) {
			continue
		}
		arg := "--" + name
		if !slices.Contains([]string{"back", "no-swaps", "csv", "graphml"}, name) {
			arg += "=1"
		}
		code, _, errs := run(t, "trace", "--store", store, "--from", "text:eth:thief", "--to", "text:eth:last", "--asset", "GOLD", arg)
		if code != 2 || !strings.Contains(errs, "--"+name+" does not go with --to") {
			t.Errorf("%s: exit %d, %s", arg, code, errs)
		}
	}
}

// Labels from outside do not reach the terminal as they are, and the JSON is one answer.
func TestRouteWithHostileLabels(t *testing.T) {
	args := []string{"trace", "--store", smallStore(t), "--from", "text:eth:thief", "--to", "text:eth:last", "--asset", "GOLD", "--max-flow", "--labels", hostileLabels(t)}
	out := done(t, args...)
	if strings.ContainsAny(out, "\x00\x08\x1b\a\u202e\u200b") || len(out) > 5000 {
		t.Errorf("%d bytes, %q", len(out), out)
	}
	for _, want := range []string{"exactly 7 GOLD can have gone", "7 GOLD in 2 steps", "2/1/0", "left     60 GOLD that can lead there, of 90 GOLD"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	var a struct {
		Route struct {
			Max   string
			Most  string `json:"at_most"`
			Paths []route.Path
			Cut   []route.Step
		}
	}
	if err := json.Unmarshal([]byte(done(t, append(args, "--json")...)), &a); err != nil || a.Route.Max != "7" || a.Route.Most != "7" || len(a.Route.Paths) != 1 || len(a.Route.Cut) != 1 {
		t.Errorf("%+v, %v", a.Route, err)
	}
}

func TestRouteRows(t *testing.T) {
	store := t.TempDir() + "/store"
	done(t, "ingest", "-q", "--store", store, "text:"+writeText(t, "chain.txt", "block 1 aa\na b GOLD 3\na b GOLD 2\na b GOLD 1\n"))
	args := []string{"trace", "--store", store, "--from", "text:eth:a", "--to", "text:eth:b", "--asset", "GOLD", "--max-flow"}
	if out := done(t, append(args, "--rows", "1")...); !strings.Contains(out, "… and 3 GOLD on smaller ways") || !strings.Contains(out, "… and 2 more movements") {
		t.Errorf("one row: %s", out)
	}
	if out := done(t, append(args, "--rows", "0")...); strings.Contains(out, "…") && !strings.Contains(out, "(") || strings.Count(out, "GOLD in 1 step") != 3 {
		t.Errorf("all rows: %s", out)
	}
}
