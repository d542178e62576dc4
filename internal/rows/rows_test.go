package rows

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func collect(t testing.TB, raw []byte) []Row {
	t.Helper()
	var all []Row
	for r, err := range All(raw) {
		if err != nil {
			t.Fatalf("All(%q): %v", raw, err)
		}
		all = append(all, r)
	}
	return all
}

func TestWhatWasAddedIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Block
		var want []Row
		for range rapid.IntRange(0, 20).Draw(t, "rows") {
			r := Row{
				File:   rapid.SampledFrom([]string{"a.csv", "b.csv"}).Draw(t, "file"),
				Header: rapid.SampledFrom([]string{"x,y", "y,x", ""}).Draw(t, "header"),
				Line:   rapid.IntRange(0, 1<<40).Draw(t, "line"),
				Text:   rapid.String().Draw(t, "text"),
				Cut:    rapid.Bool().Draw(t, "cut"),
			}
			want = append(want, r)
			b.Add(r.File, r.Header, r.Line, r.Text, r.Cut)
		}
		if len(want) == 0 {
			return
		}
		raw := b.Take()
		var got []Row
		for r, err := range All(raw) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v; want %v", got, want)
		}
		if b.Len() != 0 {
			t.Fatalf("%d bytes left after Take", b.Len())
		}
		cut := rapid.IntRange(0, len(raw)-1).Draw(t, "cut at")
		n := 0
		for _, err := range All(raw[:cut]) {
			if err != nil {
				if !errors.Is(err, ErrRaw) {
					t.Fatalf("cut at %d: %v; want ErrRaw", cut, err)
				}
				return
			}
			n++
		}
		if n >= len(want) {
			t.Fatalf("cut at %d of %d: still %d rows", cut, len(raw), n)
		}
	})
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string // nil for an error
	}{
		{"", []string{""}},
		{"a,b,", []string{"a", "b", ""}},
		{`a,"b,c",d`, []string{"a", "b,c", "d"}},
		{`a,"say ""hi""",`, []string{"a", `say "hi"`, ""}},
		{"a,\"b\nc\"", []string{"a", "b\nc"}},
		{`a,5" disk,c`, nil},
		{`a,"open`, nil},
		{"\"a\"\nb", nil},
	} {
		got, err := Split(nil, c.in)
		if (err != nil) != (c.want == nil) || err == nil && !reflect.DeepEqual(got, c.want) {
			t.Errorf("Split(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestIsOpen(t *testing.T) {
	for in, want := range map[string]bool{
		"":                false,
		`a,b`:             false,
		`a,"b`:            true,
		`a,"b"`:           false,
		`a,"b""`:          true,
		`a,"b"""`:         false,
		`5" disk,x`:       false,
		"a,\"b\nc":        true,
		"a,\"b\nc\",\"d,": true,
	} {
		if got := IsOpen([]byte(in)); got != want {
			t.Errorf("IsOpen(%q) = %t; want %t", in, got, want)
		}
	}
}

func TestColumns(t *testing.T) {
	at, n, err := Columns("Extra,b, A ", []string{"a"}, []string{"b", "c"})
	if want := []int{2, 1, -1}; err != nil || n != 3 || !reflect.DeepEqual(at, want) {
		t.Errorf("Columns = %v, %d, %v; want %v, 3", at, n, err, want)
	}
	if _, _, err := Columns("a,x", []string{"a", "b", "c"}, nil); err == nil || !strings.Contains(err.Error(), "b, c") {
		t.Errorf("Columns without b and c: %v; want them named", err)
	}
	if _, _, err := Columns("a,A", []string{"a"}, nil); err == nil {
		t.Error("Columns with a column twice: no error")
	}
}

func FuzzAll(f *testing.F) {
	var b Block
	b.Add("f.csv", "a,b", 2, "1,2", false)
	b.Add("f.csv", "a,b", 3, "1,2", true)
	f.Add(b.Take())
	f.Add([]byte(magic + "F\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Add([]byte(magic + "R\x01\x01a"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var again Block
		for r, err := range All(raw) {
			if err != nil {
				if !errors.Is(err, ErrRaw) {
					t.Fatalf("%v; want ErrRaw", err)
				}
				return
			}
			again.Add(r.File, r.Header, r.Line, r.Text, r.Cut)
		}
		if again.Len() == 0 {
			return
		}
		if got, want := collect(t, again.Take()), collect(t, raw); !reflect.DeepEqual(got, want) {
			t.Fatalf("read again: %v; want %v", got, want)
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add(`a,"b,c",d`)
	f.Add("\n\"\n\n,\"")
	f.Add("0\n0,\"")
	f.Add("\"a\nb\",\"\"\"\"")
	f.Fuzz(func(t *testing.T, record string) {
		fields, err := Split(nil, record)
		if err == nil && !strings.Contains(record, `"`) && strings.Join(fields, ",") != record {
			t.Fatalf("Split(%q) = %q", record, fields)
		}
		if err == nil && IsOpen([]byte(record)) {
			t.Fatalf("%q splits, but is open", record)
		}
	})
}
