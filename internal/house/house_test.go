package house

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/spoor-dev/spoor"

// A goFile is one source file of the tree.
type goFile struct {
	path  string // from the root, with slashes
	dir   string
	test  bool
	lines int
	ast   *ast.File
	text  string
}

func tree(t *testing.T) []goFile {
	t.Helper()
	root := filepath.Join("..", "..")
	var files []goFile
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base != ".." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		rel = filepath.ToSlash(rel)
		files = append(files, goFile{rel, path.Dir(rel), strings.HasSuffix(rel, "_test.go"), strings.Count(string(text), "\n"), f, string(text)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go files found")
	}
	return files
}

// section returns the lines of the fenced block of that name in ARCHITECTURE.md.
func section(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	in := false
	for s := bufio.NewScanner(f); s.Scan(); {
		switch line := s.Text(); {
		case line == "```"+name:
			in = true
		case line == "```":
			in = false
		case in:
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		t.Fatalf("ARCHITECTURE.md has no block %q", name)
	}
	return lines
}

func list(s string) []string {
	var names []string
	for n := range strings.SplitSeq(s, ",") {
		if n = strings.TrimSpace(n); n != "" {
			names = append(names, n)
		}
	}
	return names
}

// room is the longest name of the layers that dir is or stands below; "" if none.
func room(names []string, dir string) string {
	best := ""
	for _, n := range names {
		if (dir == n || strings.HasPrefix(dir, n+"/")) && len(n) > len(best) {
			best = n
		}
	}
	return best
}

func imports(t *testing.T, f goFile) []string {
	t.Helper()
	var out []string
	for _, i := range f.ast.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func TestImportsPointTowardsTheNouns(t *testing.T) {
	below := map[string]map[string]bool{} // room -> rooms it may import directly
	known := map[string]bool{}
	for _, line := range section(t, "layers") {
		left, right, ok := strings.Cut(line, "<")
		if !ok {
			t.Fatalf("layers: %q has no <", line)
		}
		for _, b := range list(right) {
			known[b] = true
			if below[b] == nil {
				below[b] = map[string]bool{}
			}
			for _, a := range list(left) {
				known[a] = true
				below[b][a] = true
			}
		}
	}
	for changed := true; changed; { // what a may import, b may import
		changed = false
		for b := range below {
			for a := range maps.Clone(below[b]) {
				for c := range below[a] {
					if !below[b][c] {
						below[b][c], changed = true, true
					}
				}
			}
		}
	}
	for b := range below {
		if below[b][b] {
			t.Errorf("layers: %s stands below itself", b)
		}
	}
	names := slices.Sorted(maps.Keys(known))
	for _, f := range tree(t) {
		if f.test || f.dir == "internal/house" {
			continue
		}
		from := room(names, f.dir)
		if from == "" {
			t.Errorf("%s: package %s is in no layer of ARCHITECTURE.md", f.path, f.dir)
			continue
		}
		for _, p := range imports(t, f) {
			dir, ours := strings.CutPrefix(p, module+"/")
			if !ours {
				continue
			}
			to := room(names, dir)
			switch {
			case from != to && !below[from][to]:
				t.Errorf("%s imports %s: ARCHITECTURE.md does not say %s < %s", f.path, dir, to, from)
			case from == to && dir != from && !strings.HasPrefix(dir, f.dir+"/") && !strings.HasPrefix(f.dir, dir+"/"):
				t.Errorf("%s imports its sibling %s", f.path, dir)
			}
			if dir == "store/storetest" || dir == "internal/measure" {
				t.Errorf("%s imports %s, which is for tests", f.path, dir)
			}
		}
	}
}

func TestPurePackagesSeeNoWorld(t *testing.T) {
	world := []string{"os", "net", "math/rand", "crypto/rand", "syscall", "io/ioutil", "path/filepath", "runtime"}
	clock := []string{"Now", "Since", "Until", "After", "Tick", "Sleep", "NewTimer", "NewTicker", "AfterFunc"}
	pure := section(t, "pure")
	for _, f := range tree(t) {
		if f.test || room(pure, f.dir) == "" {
			continue
		}
		for _, p := range imports(t, f) {
			for _, w := range world {
				if p == w || strings.HasPrefix(p, w+"/") {
					t.Errorf("%s imports %s, but %s is pure", f.path, p, f.dir)
				}
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, s.Sel.Name) {
					t.Errorf("%s calls time.%s, but %s is pure", f.path, s.Sel.Name, f.dir)
				}
			}
			return true
		})
	}
}

func TestThirdPartyCodeHasAReasonAndAPlace(t *testing.T) {
	type use struct {
		rooms []string
		used  bool
	}
	uses := map[string]*use{}
	for _, line := range section(t, "uses") {
		mod, rest, ok := strings.Cut(line, ": ")
		rooms, why, ok2 := strings.Cut(rest, " — ")
		if !ok || !ok2 || len(why) < 10 {
			t.Errorf("uses: %q: want module: packages — reason", line)
			continue
		}
		uses[mod] = &use{rooms: list(rooms)}
	}
	for _, f := range tree(t) {
		if f.test {
			continue
		}
		for _, p := range imports(t, f) {
			if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") || strings.HasPrefix(p, module) {
				continue
			}
			mod := room(slices.Collect(maps.Keys(uses)), p)
			if mod == "" {
				t.Errorf("%s imports %s, which has no uses: line in ARCHITECTURE.md", f.path, p)
				continue
			}
			uses[mod].used = true
			if !slices.Contains(uses[mod].rooms, f.dir) {
				t.Errorf("%s imports %s, which is for %v", f.path, p, uses[mod].rooms)
			}
		}
	}
	for mod, u := range uses {
		if !u.used {
			t.Errorf("uses: nothing imports %s", mod)
		}
	}
}

func TestPackagesAreNamedAndSayWhatTheyAreFor(t *testing.T) {
	forbidden := []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "types", "models", "shared", "lib"}
	comments := map[string][]string{}
	for _, f := range tree(t) {
		if f.test {
			continue
		}
		if name := f.ast.Name.Name; slices.Contains(forbidden, name) {
			t.Errorf("%s: package name %s says nothing", f.path, name)
		}
		if _, ok := comments[f.dir]; !ok {
			comments[f.dir] = nil
		}
		if f.ast.Doc != nil {
			comments[f.dir] = append(comments[f.dir], f.path)
			want := "Package " + f.ast.Name.Name + " "
			if f.ast.Name.Name == "main" {
				want = "Command " + path.Base(f.dir) + " "
			}
			if !strings.HasPrefix(f.ast.Doc.Text(), want) {
				t.Errorf("%s: package comment does not begin with %q", f.path, want)
			}
		}
	}
	for dir, files := range comments {
		if len(files) != 1 {
			t.Errorf("%s: package comment in %d files %v; want exactly one", dir, len(files), files)
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	for _, f := range tree(t) {
		if f.lines > 600 && !ast.IsGenerated(f.ast) {
			t.Errorf("%s has %d lines; want at most 600", f.path, f.lines)
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && !f.test {
				t.Errorf("%s: init hides an effect", f.path)
			}
		}
	}
}

func TestExportedNamesHaveComments(t *testing.T) {
	for _, f := range tree(t) {
		if f.test || strings.HasPrefix(f.dir, "internal/") || f.ast.Name.Name == "main" {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && d.Doc == nil {
					t.Errorf("%s: %s has no comment", f.path, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if s, ok := s.(*ast.TypeSpec); ok && s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
						t.Errorf("%s: type %s has no comment", f.path, s.Name.Name)
					}
				}
			}
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	return ast.IsExported(strings.TrimPrefix(fmt.Sprint(receiver(d.Recv.List[0].Type)), "*"))
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
