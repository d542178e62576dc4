package engine

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spoor-dev/spoor/flow"
)

func readLabels(t testing.TB, csv string) *Labels {
	t.Helper()
	l := &Labels{}
	if err := l.ReadLabels("dir/l.csv", strings.NewReader(csv)); err != nil {
		t.Fatalf("ReadLabels(%.200q): %v", csv, err)
	}
	return l
}

func TestReadLabels(t *testing.T) {
	lower := strings.ToLower(anEVM)
	for _, c := range []struct {
		name, in string
		want     Label // of anEVM on Ethereum
	}{
		{"plain", "address,label,category,is_service\n" + anEVM + ",Tether,token,1\n", Label{"Tether", "token", true, "l.csv"}},
		{"any-order-bom-crlf", "\ufeffIs_Service, source ,LABEL,address\r\nYES,etherscan,Tether," + lower + "\r\n", Label{"Tether", "", true, "etherscan"}},
		{"only-address", "address\n" + strings.ToUpper(lower[2:]) + "\n", Label{Source: "l.csv"}},
		{"short-row", "address,label,category,is_service\n" + lower + ",T\n", Label{Name: "T", Source: "l.csv"}},
		{"quoted", "address,label\n" + lower + ",\"a \"\"b\"\",\nc\"\n", Label{Name: "a \"b\",\nc", Source: "l.csv"}},
		{"hostile-name", "address,label\n" + lower + ",=cmd|' /C calc'!A0\x1b[2J\u202e\n", Label{Name: "=cmd|' /C calc'!A0\x1b[2J\u202e", Source: "l.csv"}},
		{"caip", "address,label\neip155:1:" + lower + ",T\n", Label{Name: "T", Source: "l.csv"}},
		{"own-chain-before-any", "address,label\n" + lower + ",any\neip155:1:" + lower + ",own\n", Label{Name: "own", Source: "l.csv"}},
		{"first-stands", "address,label,is_service\n" + lower + ",first,1\n" + anEVM + ",second,0\n", Label{Name: "first", Service: true, Source: "l.csv"}},
		{"long", "address,label\n" + lower + "," + strings.Repeat("ä", 600_000) + "\n", Label{Name: strings.Repeat("ä", 500), Source: "l.csv"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := readLabels(t, c.in).Of(account(t, anEVM)); !ok || got != c.want {
				t.Errorf("%+v, %v; want %+v", got, ok, c.want)
			}
		})
	}
}

func TestLabelsAreOnTheirChains(t *testing.T) {
	l := readLabels(t, "address,label,category,is_service\n"+anEVM+",any,,0\nETH:0x000000000000000000000000000000000000dEaD,one,burn,1\n"+aBTC+",coin,,y\n")
	for a, want := range map[string]string{
		anEVM: "any", "eip155:137:" + anEVM: "any", "eip155:1:0x000000000000000000000000000000000000dEaD": "one",
		"eip155:137:0x000000000000000000000000000000000000dEaD": "", aBTC: "coin", "p2pk-" + aBTC: "", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t": "",
	} {
		if got, ok := l.Of(account(t, a)); got.Name != want || ok != (want != "") {
			t.Errorf("%s is %q; want %q", a, got.Name, want)
		}
	}
	if l.Len() != 3 || l.Services() != 2 || l.BadRows != 0 {
		t.Errorf("%d labels, %d services, %d bad", l.Len(), l.Services(), l.BadRows)
	}
	for a, want := range map[string]string{anEVM: "", "0x000000000000000000000000000000000000dEaD": "one (burn)", aBTC: "coin"} {
		if got, ok := l.Stop(account(t, a)); got.Reason != want || ok != (want != "") {
			t.Errorf("a trace stops at %s because of %q, %v; want %q", a, got.Reason, ok, want)
		}
	}
	var none *Labels
	if _, ok := none.Of(account(t, anEVM)); ok || none.Len() != 0 || none.Services() != 0 {
		t.Error("no labels say something")
	}
	if _, ok := none.Stop(account(t, anEVM)); ok {
		t.Error("no labels stop a trace")
	}
	if _, ok := l.Of(flow.Account{}); ok {
		t.Error("nobody has a label")
	}
}

func TestBadRowsOfLabelsAreRemembered(t *testing.T) {
	l := readLabels(t, "address,label,category,is_service\n"+
		aTyping+",typing,,1\n"+ // line 2
		"nobody,,,\n"+ // 3
		",empty,,\n"+ // 4
		anEVM+",doubt,,maybe\n"+ // 5
		"a\"b,c\n"+ // 6
		anEVM+",good,,1\n"+
		anEVM+",good,,1\n"+ // says the same
		anEVM+",good,,0\n"+ // 9
		"\"x\"y,bare,,\n"+ // 10
		aBTC+",later,,0\n")
	want := []string{"dir/l.csv:2: ", "dir/l.csv:3: ", "dir/l.csv:4: ", "dir/l.csv:5: is_service", "dir/l.csv:6: ", "dir/l.csv:9: eip155:1:" + anEVM + " is \"good, a service\" already", "dir/l.csv:10: "}
	if len(l.Bad) != len(want) || l.BadRows != len(want) {
		t.Fatalf("%d bad rows: %s", l.BadRows, strings.Join(l.Bad, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(l.Bad[i], want[i]) {
			t.Errorf("bad row %d: %s; want %s…", i, l.Bad[i], want[i])
		}
	}
	if l.Len() != 2 {
		t.Errorf("%d labels; want the 2 good ones", l.Len())
	}
	if got, ok := l.Of(account(t, aBTC)); !ok || got.Name != "later" {
		t.Errorf("the row behind the bad ones: %+v, %v", got, ok)
	}
}

func TestLabelsThatCannotBeRead(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "header",
		"name,label\nx,y\n":       "no column \"address\"",
		"address,label\n\"a\nb\n": "line 2: a quote that begins here",
		"address\n" + anEVM + "\n\"\n" + strings.Repeat(aBTC+"\n", 200_000): "a quote that does not end",
	} {
		l := &Labels{}
		err := l.ReadLabels("l.csv", strings.NewReader(in))
		mention(t, fmt.Sprintf("%.40q", in), err, want)
		mention(t, fmt.Sprintf("%.40q", in), err, "labels l.csv: ")
	}
	broken := errors.New("the disk is gone")
	err := (&Labels{}).ReadLabels("l.csv", io.MultiReader(strings.NewReader("address\n"+anEVM+"\n"), failing{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

func TestBadRowsAreBounded(t *testing.T) {
	l := readLabels(t, "address\n"+strings.Repeat("nobody\n", 3*keptBad))
	if len(l.Bad) != keptBad || l.BadRows != 3*keptBad {
		t.Errorf("%d reasons of %d kept", len(l.Bad), l.BadRows)
	}
}

func TestSeveralFilesOfLabels(t *testing.T) {
	l := readLabels(t, "address,label\n"+anEVM+",first\n")
	if err := l.ReadLabels("second.csv", strings.NewReader("label,address\nsecond,"+anEVM+"\nother,"+aBTC+"\n")); err != nil {
		t.Fatal(err)
	}
	if got, _ := l.Of(account(t, anEVM)); got.Name != "first" || l.Len() != 2 || l.BadRows != 1 {
		t.Errorf("%+v, %d labels, %d bad", got, l.Len(), l.BadRows)
	}
}

func FuzzReadLabels(f *testing.F) {
	f.Add("address,label,category,is_service,source\n" + anEVM + ",a,b,1,c\n")
	f.Add("\ufeffaddress\r\n\"" + aBTC + "\"\r\n\"\"x\r\n\"\n")
	f.Add("address,is_service\n,\n\"a\"\"b\",maybe\n\xff\xfe,\x00\n")
	f.Fuzz(func(t *testing.T, in string) {
		l := &Labels{}
		if err := l.ReadLabels("l", strings.NewReader(in)); err != nil {
			return
		}
		if len(l.Bad) > l.BadRows || l.Services() > l.Len() || l.Len() > strings.Count(in, "\n")+strings.Count(in, "\r")+1 {
			t.Fatalf("%d labels, %d services, %d bad of %d", l.Len(), l.Services(), len(l.Bad), l.BadRows)
		}
		for a, label := range l.exact {
			if a.IsZero() || len(label.Name) > maxLabelText || utf8.ValidString(in) && !utf8.ValidString(label.Name) {
				t.Fatalf("%s is %q", a, label.Name)
			}
		}
	})
}

func TestLabelHashTellsListsApart(t *testing.T) {
	const one, two = "text:eth:a,A,1\n", "text:eth:b,B,0\n"
	hash := func(rows string) flow.Hash { return readLabels(t, "address,label,is_service\n"+rows).Hash() }
	if hash(one+two) != hash(two+one) {
		t.Error("the order of the rows changes the hash")
	}
	seen := map[flow.Hash]string{}
	for _, rows := range []string{"", one, two, one + two, "text:eth:a,A,0\n", "text:eth:a,B,1\n", "text:eth:c,A,1\n"} {
		if other, ok := seen[hash(rows)]; ok {
			t.Errorf("labels %q and %q have the same hash", rows, other)
		}
		seen[hash(rows)] = rows
	}
	var none *Labels
	if none.Hash() != hash("") {
		t.Error("no labels and an empty list differ")
	}
}
