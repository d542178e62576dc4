package text_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
	"github.com/spoor-dev/spoor/source/text"
)

func parse(t *testing.T, lines string) *text.Source {
	t.Helper()
	s, err := text.Parse("chain.txt", strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// names gives back the names that a test uses for blocks.
var names = func() map[flow.Hash]string {
	m := map[flow.Hash]string{{}: "?"}
	for _, n := range []string{"aa", "bb", "cc", "dd", "bb2", "cc2", "dd2", "old", "far"} {
		m[hash(n)] = n
	}
	return m
}()

// hash is the hash of a name.
func hash(name string) flow.Hash { return sha256.Sum256([]byte(name)) }

// tell writes steps as "+1aa +2bb(aa) -2bb !1aa".
func tell(t *testing.T, s *text.Source, known ...flow.Point) string {
	t.Helper()
	var words []string
	for st, err := range s.Steps(t.Context(), known) {
		if err != nil {
			t.Fatal(err)
		}
		w := fmt.Sprintf("%s%d%s", []string{"", "+", "-", "!"}[st.Op], st.Block.Point.Height, names[st.Block.Point.Hash])
		if !st.Block.Parent.IsZero() {
			w += "(" + names[st.Block.Parent] + ")"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

func point(height uint64, name string) flow.Point {
	c, err := flow.TextChain("eth")
	if err != nil {
		panic(err)
	}
	return flow.Point{Chain: c, Height: height, Hash: hash(name)}
}

func TestFrame(t *testing.T) {
	tests := []struct{ name, lines, want string }{
		{"empty", "", ""},
		{"only-comments", "# nothing\n\n  \t# more", ""},
		{"plain", "block 1 aa\na b ETH 1\nblock 2 bb\n", "+1aa +2bb(aa)"},
		{"no-line-end-crlf", "block 1 aa\r\na b ETH 1\r\nblock 2 bb", "+1aa +2bb(aa)"},
		{"hole", "block 1 aa\nblock 5 bb\nblock 6 cc", "+1aa +5bb +6cc(bb)"},
		{"hole-with-parent", "block 1 aa\nblock 5 bb parent=far", "+1aa +5bb(far)"},
		{"first-with-parent", "block 4 aa parent=old", "+4aa(old)"},
		{"parent-not-said", "block 1 aa\nblock 2 bb parent=" + strings.Repeat("0", 64), "+1aa +2bb"},
		{"no-hash", "block 1 " + strings.Repeat("0", 64) + "\nblock 2 bb", "+1? +2bb"},
		{"undo", "block 1 aa\nblock 2 bb\nundo bb\nblock 2 bb2", "+1aa +2bb(aa) -2bb +2bb2(aa)"},
		{"undo-all", "block 1 aa\nundo aa\nblock 1 bb", "+1aa -1aa +1bb"},
		{"fork", "block 1 aa\nblock 2 bb\nblock 3 cc\nblock 2 bb2 parent=aa\nblock 3 cc2", "+1aa +2bb(aa) +3cc(bb) -3cc -2bb +2bb2(aa) +3cc2(bb2)"},
		{"back-and-forth", "block 1 aa\nblock 2 bb\nblock 2 bb2 parent=aa\nblock 2 bb parent=aa", "+1aa +2bb(aa) -2bb +2bb2(aa) -2bb2 +2bb(aa)"},
		{"final", "block 1 aa\nblock 2 bb\nfinal aa\n", "+1aa +2bb(aa) !1aa"},
		{"duplicate", "block 1 aa\na b ETH 1\nblock 2 bb\nblock 1 aa # again\n  a   b ETH 1\nblock 3 cc", "+1aa +2bb(aa) +3cc(bb)"},
		{"times", "block 1 aa time=5\nblock 2 bb time=2024-01-02T03:04:05Z", "+1aa +2bb(aa)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tell(t, parse(t, tt.lines)); got != tt.want {
				t.Fatalf("%q =\n%s; want\n%s", tt.lines, got, tt.want)
			}
		})
	}
}

func TestDamage(t *testing.T) {
	tests := []struct{ name, lines, want string }{
		{"row-in-no-block", "# x\na b ETH 1", "chain.txt:2:"},
		{"chain-after-block", "block 1 aa\nchain btc", "chain.txt:2:"},
		{"chain-twice", "chain a\nchain b", "chain.txt:2:"},
		{"bad-chain", "chain a:b:c", "chain.txt:1:"},
		{"no-chain", "chain", "chain.txt:1:"},
		{"short-block", "block 1", "chain.txt:1:"},
		{"bad-height", "block -1 aa", "chain.txt:1:"},
		{"huge-height", "block 99999999999999999999 aa", "chain.txt:1:"},
		{"bad-time", "block 1 aa time=soon", "chain.txt:1:"},
		{"early-time", "block 1 aa time=-5", "chain.txt:1:"},
		{"bad-word", "block 1 aa tome=5", "chain.txt:1:"},
		{"no-parent-name", "block 1 aa parent=", "chain.txt:1:"},
		{"long-name", "block 1 " + strings.Repeat("a", 201), "chain.txt:1:"},
		{"out-of-order", "block 2 aa\nblock 1 bb", "chain.txt:2:"},
		{"same-height", "block 2 aa\nblock 2 bb", "chain.txt:2:"},
		{"unknown-parent", "block 1 aa\nblock 2 bb parent=far", "chain.txt:2:"},
		{"parent-above", "block 5 aa\nblock 4 bb parent=aa", "chain.txt:2:"},
		{"parent-undone", "block 1 aa\nblock 2 bb\nundo bb\nblock 3 cc parent=bb", "chain.txt:4:"},
		{"undo-below", "block 1 aa\nblock 2 bb\nundo aa", "chain.txt:3:"},
		{"undo-nothing", "undo aa", "chain.txt:1:"},
		{"final-nothing", "block 1 aa\nfinal bb", "chain.txt:2:"},
		{"two-names", "block 1 aa\nundo aa bb", "chain.txt:2:"},
		{"duplicate-with-other-rows", "block 1 aa\na b ETH 1\nblock 1 aa\na b ETH 2", "chain.txt:3:"},
		{"duplicate-with-other-time", "block 1 aa\nblock 1 aa time=7", "chain.txt:2:"},
		{"duplicate-at-other-height", "block 1 aa\nblock 2 aa", "chain.txt:2:"},
		{"duplicate-with-other-parent", "block 1 aa\nblock 2 bb\nblock 2 bb parent=far", "chain.txt:3:"},
		{"again-above-another-hole", "block 1 aa\nblock 3 cc\nundo cc\nundo aa\nblock 1 bb\nblock 3 cc", "chain.txt:6:"},
		{"again-on-another-branch", "block 1 aa\nblock 2 bb\nblock 3 cc\nblock 2 bb2 parent=aa\nblock 3 cc", "chain.txt:5:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := text.Parse("chain.txt", strings.NewReader(tt.lines))
			if !errors.Is(err, text.ErrSyntax) || s != nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Fatalf("%q: %v, %v; want an ErrSyntax at %s", tt.lines, s, err, tt.want)
			}
		})
	}
}

func TestResume(t *testing.T) {
	const forked = "block 1 aa\nblock 2 bb\nfinal aa\nblock 3 cc\nblock 2 bb2 parent=aa\nblock 3 cc2\nfinal bb2\nblock 4 dd2\n"
	tests := []struct {
		name  string
		known []flow.Point
		want  string
	}{
		{"at-the-end", []flow.Point{point(4, "dd2"), point(3, "cc2")}, ""},
		{"on-the-winner", []flow.Point{point(3, "cc2"), point(2, "bb2"), point(1, "aa")}, "!2bb2 +4dd2(cc2)"},
		{"on-the-loser", []flow.Point{point(3, "cc"), point(2, "bb"), point(1, "aa")}, "-3cc -2bb +2bb2(aa) +3cc2(bb2) !2bb2 +4dd2(cc2)"},
		{"lower-on-the-loser", []flow.Point{point(2, "bb"), point(1, "aa")}, "-2bb +2bb2(aa) +3cc2(bb2) !2bb2 +4dd2(cc2)"},
		{"at-the-fork", []flow.Point{point(1, "aa")}, "+2bb2(aa) +3cc2(bb2) !2bb2 +4dd2(cc2)"},
		{"on-a-strange-branch", []flow.Point{point(3, "far"), point(2, "old"), point(1, "aa")}, "-3far -2old +2bb2(aa) +3cc2(bb2) !2bb2 +4dd2(cc2)"},
		{"elsewhere-altogether", []flow.Point{point(2, "far"), point(1, "old")}, "-2far -1old +1aa +2bb(aa) !1aa +3cc(bb) -3cc -2bb +2bb2(aa) +3cc2(bb2) !2bb2 +4dd2(cc2)"},
		{"below-the-file", []flow.Point{point(0, "old")}, "+1aa +2bb2(aa) +3cc2(bb2) +4dd2(cc2) !2bb2"},
		{"above-the-file", []flow.Point{point(9, "far"), point(8, "old")}, "!2bb2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tell(t, parse(t, forked), tt.known...); got != tt.want {
				t.Fatalf("steps =\n%s; want\n%s", got, tt.want)
			}
		})
	}
}

func TestChains(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"", "text:eth"}, {"chain btc", "text:btc"}, {"chain regtest", flow.BitcoinRegtest.String()}, {"chain eip155:1", "eip155:1"},
		{"# comment\n chain  text:x", "text:x"},
	} {
		s := parse(t, tt.line+"\nblock 1 aa\n")
		if s.Chain().String() != tt.want {
			t.Errorf("chain of %q = %s; want %s", tt.line, s.Chain(), tt.want)
		}
		for st := range s.Steps(t.Context(), nil) {
			if st.Block.Point.Chain != s.Chain() {
				t.Errorf("block of %q is on %s", tt.line, st.Block.Point.Chain)
			}
		}
	}
}

// TestOpen: the raw bytes say where they are from, are the reader's own, and progress ends at the whole.
func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "story.txt")
	lines := "# a story\nblock 1 aa\na b ETH 1 # first\n\nblock 2 bb\n"
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := text.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var raws []string
		for st, err := range s.Steps(t.Context(), nil) {
			if err != nil {
				t.Fatal(err)
			}
			raws = append(raws, string(st.Block.Raw))
			clear(st.Block.Raw)
		}
		want := []string{"2 story.txt\nblock 1 aa\na b ETH 1 # first", "5 story.txt\nblock 2 bb"}
		if !slices.Equal(raws, want) {
			t.Fatalf("raw blocks = %q; want %q", raws, want)
		}
	}
	if read, total := s.Size(); read != total || total != int64(len(lines)) {
		t.Fatalf("size = %d of %d; want %d of it", read, total, len(lines))
	}
	if _, err := text.Open(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a file that is not there: %v", err)
	}
}

// TestStop: a reader may stop anywhere.
func TestStop(t *testing.T) {
	s := parse(t, "block 1 aa\nblock 2 bb\nundo bb\n")
	for n := range 3 {
		seen := 0
		for st := range s.Steps(t.Context(), []flow.Point{point(2, "old"), point(1, "aa")}) {
			if st.Op == 0 {
				t.Fatal("a step without an op")
			}
			if seen++; seen > n {
				break
			}
		}
	}
}

// FuzzParse: no input does harm, and the steps of what is taken follow from each other for any reader that stopped on
// the way.
func FuzzParse(f *testing.F) {
	for _, lines := range []string{
		"chain eth\nblock 1 aa time=5\neth:a eth:b ETH 1\nblock 2 bb\nfinal aa\nundo bb\nblock 2 cc parent=aa\n",
		"chain regtest\nblock 0 aa parent=bb\na1: - -> x 5\nblock 0 aa parent=bb\na1: - -> x 5",
		"block 1 aa\nblock 2 bb\nblock 3 cc\nblock 2 dd parent=aa\nblock 2 bb\nblock 2 bb parent=aa", "undo", "block", "final #", "chain",
	} {
		f.Add(lines)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		s, err := text.Parse("fuzz.txt", strings.NewReader(lines))
		if err != nil {
			return
		}
		var stack []flow.Point
		do := func(st source.Step) {
			switch n := len(stack); st.Op {
			case source.Add:
				if n > 0 && st.Block.Point.Height <= stack[n-1].Height {
					t.Fatalf("%s on top of %s", st.Block.Point, stack[n-1])
				}
				stack = append(stack, st.Block.Point)
			case source.Undo:
				if n == 0 || stack[n-1] != st.Block.Point {
					t.Fatalf("undo of %s, which is not the top of %v", st.Block.Point, stack)
				}
				stack = stack[: n-1 : n-1]
			case source.Final:
				if !slices.Contains(stack, st.Block.Point) {
					t.Fatalf("final %s, which is not in %v", st.Block.Point, stack)
				}
			}
		}
		states := [][]flow.Point{nil}
		for st, err := range s.Steps(t.Context(), nil) {
			if err != nil {
				t.Fatal(err)
			}
			do(st)
			if states = append(states, slices.Clone(stack)); len(states) > 100 {
				return
			}
		}
		end := slices.Clone(stack)
		for _, state := range states {
			if slices.ContainsFunc(state, func(p flow.Point) bool { return p.Hash.IsZero() }) {
				return // blocks without a hash cannot be told apart
			}
			stack = slices.Clone(state)
			known := slices.Clone(state)
			slices.Reverse(known)
			for st, err := range s.Steps(t.Context(), known) {
				if err != nil {
					t.Fatal(err)
				}
				do(st)
			}
			if !slices.Equal(stack, end) {
				t.Fatalf("a reader at %v comes to %v; want %v", state, stack, end)
			}
		}
	})
}
