package engine

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/flow"
)

const (
	anEVM   = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
	aBTC    = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
	aHash   = "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16"
	aTyping = "0xdAC17F958D2ee523a2206206994597C13D831eC7"
)

func TestParseFrom(t *testing.T) {
	for in, want := range map[string]TheftSource{
		anEVM:                           {Account: anEVM},
		" " + anEVM + " ":               {Account: anEVM},
		"XBT:" + aBTC:                   {Account: "XBT:" + aBTC},
		"text:eth:thief":                {Account: "text:eth:thief"},
		anEVM + "@2020-10-26":           {Account: anEVM, Time: "2020-10-26"},
		anEVM + "@2020-10-26T02:53:31Z": {Account: anEVM, Time: "2020-10-26T02:53:31Z"},
		anEVM + "@1603680811":           {Account: anEVM, Time: "1603680811"},
		anEVM + "@block:11129474":       {Account: anEVM, Block: "11129474"},
		anEVM + "=5":                    {Account: anEVM, Amount: "5"},
		anEVM + "=5 ETH":                {Account: anEVM, Amount: "5", Asset: "ETH"},
		anEVM + " = 5  native ":         {Account: anEVM, Amount: "5", Asset: "native"},
		anEVM + "=5 eip155:1/erc20:" + anEVM + "@block:7": {Account: anEVM, Amount: "5", Asset: "eip155:1/erc20:" + anEVM, Block: "7"},
	} {
		if got, err := ParseFrom(in); err != nil || got != want {
			t.Errorf("ParseFrom(%q) = %+v, %v; want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"":                                     "not an address",
		"nobody":                               "not an address",
		aTyping:                                "wrong checksum",
		anEVM + "@":                            "no time",
		anEVM + "@2020":                        "time \"2020\"",
		anEVM + "@20201026":                    "time \"20201026\"",
		anEVM + "@1603680811000":               "time",
		anEVM + "@-5":                          "time",
		anEVM + "@yesterday":                   "time",
		anEVM + "@block:":                      "not a height",
		anEVM + "@block:-1":                    "not a height",
		anEVM + "@block:1e9":                   "not a height",
		anEVM + "=":                            "want AMOUNT ASSET",
		anEVM + "=1.5 ETH":                     "whole number",
		anEVM + "=-1":                          "whole number",
		anEVM + "=0":                           "nothing was stolen",
		anEVM + "=5 ETH please":                "want AMOUNT ASSET",
		anEVM + "@block:1=5 ETH":               "not a height",
		anEVM + "=1" + strings.Repeat("0", 78): "whole number",
	} {
		_, err := ParseFrom(in)
		mention(t, "ParseFrom("+in+")", err, want)
	}
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "5": 5, "1603680811": 1603680811, "99999999999": 99999999999,
		"2020-10-26T02:53:31Z": 1603680811, "2020-10-26T04:53:31+02:00": 1603680811, "2020-10-26T02:53:31": 1603680811,
		"2020-10-26 02:53:31": 1603680811, "2020-10-26": 1603670400, "1970-01-01": 0, "1969-12-31": -86400,
	} {
		if got, err := ParseTime(in); err != nil || got != want {
			t.Errorf("ParseTime(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", " ", "2020", "20201026", "1603680811000", "-1", "0x10", "1e9", "2020-13-01", "2020-10-26T", "26.10.2020"} {
		if got, err := ParseTime(in); err == nil {
			t.Errorf("ParseTime(%q) = %d; want an error", in, got)
		}
	}
}

func TestReadTheft(t *testing.T) {
	two := []TheftSource{{Account: anEVM}, {Account: aBTC}}
	for _, c := range []struct {
		name, in string
		want     TheftFile
	}{
		{"list", anEVM + "\n" + aBTC + "\n", TheftFile{Name: "t.x", Sources: two}},
		{"list-no-last-newline", anEVM + "\n" + aBTC, TheftFile{Name: "t.x", Sources: two}},
		{"list-crlf-bom-comments", "\ufeff# stolen\r\n\r\n" + anEVM + "\r\n  # more\r\n" + aBTC + "  # the second\r\n\r\n", TheftFile{Name: "t.x", Sources: two}},
		{"csv", "address,start_block,start_timestamp\n" + anEVM + ",7,1603680811\n" + aBTC + ",,1603680811\n" + anEVM + ",,\n", TheftFile{Name: "t.x",
			Sources: []TheftSource{{Account: anEVM, Block: "7"}, {Account: aBTC, Time: "1603680811"}, {Account: anEVM}}}},
		{"csv-other-order-quoted", "start_timestamp, Address ,note\r\n2020-10-26,\"" + anEVM + "\",\"a, b\"\r\n", TheftFile{Name: "t.x",
			Sources: []TheftSource{{Account: anEVM, Time: "2020-10-26"}}}},
		{"csv-short-row", "address,start_block\n" + anEVM + "\n", TheftFile{Name: "t.x", Sources: two[:1]}},
		{"json", `{"name": "N", "sources": [{"account": "` + anEVM + `", "asset": "ETH", "amount": "12", "from_block": "7"}], "transactions": ["` + aHash + `:1"], "thieves": ["` + aBTC + `"]}`,
			TheftFile{Name: "N", Sources: []TheftSource{{Account: anEVM, Asset: "ETH", Amount: "12", Block: "7"}}, Transactions: []string{aHash + ":1"}, Thieves: []string{aBTC}}},
		{"json-numbers-bom", "\ufeff \r\n{\"sources\": [{\"account\": \"" + anEVM + "\", \"amount\": 115792089237316195423570985008687907853269984665640564039457584007913129639935, \"from_time\": 1603680811}]}\r\n",
			TheftFile{Name: "t.x", Sources: []TheftSource{{Account: anEVM, Amount: "115792089237316195423570985008687907853269984665640564039457584007913129639935", Time: "1603680811"}}}},
		{"json-null", `{"sources": [{"account": "` + anEVM + `", "amount": null, "from_block": 7}]}`, TheftFile{Name: "t.x", Sources: []TheftSource{{Account: anEVM, Block: "7"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := ReadTheft("dir/t.x", strings.NewReader(c.in)); err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("ReadTheft(%q) = %+v, %v;\nwant %+v", c.in, got, err, c.want)
			}
		})
	}
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "names no source"},
		{"blank", "\ufeff \r\n\r\n", "names no source"},
		{"comments-only", "# nobody\n", "names no source"},
		{"header-only", "address,start_block,start_timestamp\n", "names no source"},
		{"empty-json", "{}", "names no source"},
		{"bad-line", anEVM + "\n\n" + aTyping + "\n", "line 3: "},
		{"bad-line-after-blank-lines", "\n\n\n" + aTyping + "\n", "line 4: "},
		{"no-address", "address,start_block\n,7\n", "line 2: "},
		{"bad-block", "address,start_block\n" + anEVM + ",x\n", "line 2: block \"x\""},
		{"bad-time", "address,start_timestamp\n" + anEVM + ",x\n", "line 2: time \"x\""},
		{"wrong-header", "account,block\n" + anEVM + ",7\n", "line 1: "},
		{"open-quote", "address\n\"" + anEVM + "\n", "line 2: "},
		{"binary", "\x00\x01\xff\xfe", "line 1: "},
		{"unknown-key", `{"sources": [{"account": "` + anEVM + `", "ammount": "5"}]}`, `unknown field "ammount"`},
		{"unknown-top-key", `{"source": []}`, `unknown field "source"`},
		{"cut-off", "{\n\"sources\": [{\"account\":", "unexpected EOF"},
		{"syntax", "{\n\"sources\":\n oops}", "line 3"},
		{"kind", "{\"sources\":\n 5}", "line 2"},
		{"behind", `{"sources": [{"account": "` + anEVM + `"}]} }`, "more behind the end"},
		{"second", `{"sources": [{"account": "` + anEVM + `"}]} {}`, "more behind the end"},
		{"amount", `{"sources": [{"account": "` + anEVM + `", "amount": 1.5}]}`, "source 1: "},
		{"exponent", `{"sources": [{"account": "` + anEVM + `", "amount": 1e18}]}`, "source 1: "},
		{"zero", `{"sources": [{"account": "` + anEVM + `", "amount": 0}]}`, "nothing was stolen"},
		{"time-and-block", `{"sources": [{"account": "` + anEVM + `", "from_time": 1603680811, "from_block": 5}]}`, "both a time and a block"},
		{"transaction", `{"transactions": ["` + aHash + `", "0x12"]}`, "transaction 2: "},
		{"outpoint", `{"transactions": ["` + aHash + `:x"]}`, "transaction 1: "},
		{"thief", `{"transactions": ["` + aHash + `"], "thieves": ["x"]}`, "thief 1: "},
		{"thief-alone", `{"thieves": ["` + anEVM + `"]}`, "no transaction is named"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ReadTheft("t.x", strings.NewReader(c.in))
			mention(t, c.in, err, c.want)
			mention(t, c.in, err, "theft t.x: ")
			if !reflect.DeepEqual(got, TheftFile{}) {
				t.Errorf("an error with a theft: %+v", got)
			}
		})
	}
}

func TestReadTheftOfManyAndOfTooMuch(t *testing.T) {
	const n = 50_000
	got, err := ReadTheft("many", strings.NewReader(strings.Repeat(anEVM+"\n", n)))
	if err != nil || len(got.Sources) != n {
		t.Errorf("%d sources, %v; want %d", len(got.Sources), err, n)
	}
	_, err = ReadTheft("endless", endless{})
	mention(t, "endless file", err, "larger than 64 MB")
	broken := errors.New("the disk is gone")
	_, err = ReadTheft("broken", io.MultiReader(strings.NewReader(anEVM), failing{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestTheftFilesReadBack(t *testing.T) {
	want := TheftFile{Name: "N", Sources: []TheftSource{{Account: anEVM, Asset: "native", Amount: "12", Time: "2020-10-26"}, {Account: aBTC, Block: "7"}},
		Transactions: []string{aHash}, Thieves: []string{anEVM}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ReadTheft("x", strings.NewReader(string(text))); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s reads back as %+v, %v", text, got, err)
	}
}

func FuzzReadTheft(f *testing.F) {
	f.Add(anEVM + "\n# x\n" + aBTC)
	f.Add("address,start_block,start_timestamp\n" + anEVM + ",7,\n")
	f.Add(`{"name": "N", "sources": [{"account": "` + anEVM + `", "amount": 5, "from_time": 5}], "transactions": ["` + aHash + `:1"]}`)
	f.Add("\ufeff\"\n\"\r\n,")
	f.Fuzz(func(t *testing.T, in string) {
		theft, err := ReadTheft("x", strings.NewReader(in))
		if err != nil {
			if strings.Contains(err.Error(), "\x00") {
				t.Fatalf("a message with raw bytes of the input: %q", err)
			}
			return
		}
		if err := theft.Check(); err != nil {
			t.Fatalf("ReadTheft(%q) = %+v, which is none: %v", in, theft, err)
		}
		text, err := json.Marshal(theft)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadTheft("x", strings.NewReader(string(text))); err != nil {
			t.Fatalf("ReadTheft(%q) does not read back from %s: %v", in, text, err)
		}
	})
}

func FuzzParseFrom(f *testing.F) {
	for _, in := range []string{anEVM, anEVM + "=5 ETH@block:7", "XBT:" + aBTC + "@2020-10-26", "=@", "text:eth:a=1@5"} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseFrom(in)
		if err != nil {
			return
		}
		if _, err := flow.ParseAccount(s.Account); err != nil || s.Block != "" && s.Time != "" {
			t.Fatalf("ParseFrom(%q) = %+v", in, s)
		}
		again := s.Account
		if s.Amount != "" {
			again += "=" + string(s.Amount) + " " + s.Asset
		}
		if s.Time != "" {
			again += "@" + string(s.Time)
		}
		if s.Block != "" {
			again += "@block:" + string(s.Block)
		}
		if got, err := ParseFrom(again); err != nil || got != s {
			t.Fatalf("ParseFrom(%q) = %+v; written %q it is %+v, %v", in, s, again, got, err)
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, in := range []string{"0", "1603680811", "2020-10-26", "2020-10-26T02:53:31+02:00", "9999-12-31 23:59:59"} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if n, err := ParseTime(in); err == nil && (n < -63_000_000_000 || n > 254_000_000_000) {
			t.Fatalf("ParseTime(%q) = %d, beyond the years 0 to 9999", in, n)
		}
	})
}
