package feed

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

// Invented lists in the forms of others. Addresses are of the lists' own documentation or invented with a right checksum.
const (
	sdnXML = `<?xml version="1.0"?><Sanctions xmlns="https://www.un.org/sanctions/1.0">
<DateOfIssue CalendarTypeID="1"><Year>2025</Year><Month>1</Month><Day>31</Day></DateOfIssue>
<ReferenceValueSets><FeatureTypeValues><FeatureType ID="25" FeatureTypeGroupID="1">Title</FeatureType>
<FeatureType ID="344" FeatureTypeGroupID="1">Digital Currency Address - XBT</FeatureType>
<FeatureType ID="345" FeatureTypeGroupID="1">Digital Currency Address - ETH</FeatureType></FeatureTypeValues></ReferenceValueSets>
<DistinctParties>
<DistinctParty FixedRef="1"><Profile ID="1"><Identity><Alias Primary="false"><DocumentedName><DocumentedNamePart><NamePartValue>ALIAS</NamePartValue></DocumentedNamePart></DocumentedName></Alias>
<Alias Primary="true"><DocumentedName><DocumentedNamePart><NamePartValue>DOE</NamePartValue></DocumentedNamePart><DocumentedNamePart><NamePartValue>Jo</NamePartValue></DocumentedNamePart></DocumentedName></Alias></Identity>
<Feature ID="9" FeatureTypeID="25"><FeatureVersion><VersionDetail>Boss</VersionDetail></FeatureVersion></Feature>
<Feature ID="10" FeatureTypeID="344"><FeatureVersion><VersionDetail DetailTypeID="1432">1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb</VersionDetail></FeatureVersion></Feature>
<Feature ID="11" FeatureTypeID="344"><FeatureVersion><VersionDetail DetailTypeID="1432">TJRabPrwbZy45sbavfcjinPJC18kjpRTv8</VersionDetail></FeatureVersion></Feature>
<Feature ID="12" FeatureTypeID="345"><FeatureVersion><VersionDetail DetailTypeID="1432">0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed</VersionDetail></FeatureVersion></Feature></Profile></DistinctParty>
<DistinctParty FixedRef="2"><Profile ID="2"></Profile></DistinctParty></DistinctParties>
<SanctionsEntries><SanctionsEntry ID="7" ProfileID="1" ListID="1550"><EntryEvent><Date><Year>2022</Year><Month>5</Month><Day>6</Day></Date></EntryEvent>
<SanctionsMeasure><Comment>CYBER2</Comment></SanctionsMeasure></SanctionsEntry></SanctionsEntries></Sanctions>`
	sdnCSV = `36,"AEROCARIBBEAN AIRLINES",-0- ,"CUBA",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- 
27307,"LAZARUS GROUP",-0- ,"DPRK3",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,"a.k.a. 'GUARDIANS'; Digital Currency Address - ETH 0x098B716B8Aaf21512996dC57EB0615e2383E2f96; alt. Digital Currency Address - XBT 3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG; Digital Currency Address - XBT 3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiH; Linked To: X."
` + "\x1a"
	ftm = `{"id":"w1","caption":"wallet","schema":"CryptoWallet","properties":{"publicKey":["0x098b716b8aaf21512996dc57eb0615e2383e2f96"],"currency":["ETH"],"holder":["p1"]},"datasets":["us_ofac_sdn"],"first_seen":"2023-04-20T10:31:31"}
{"id":"w2","caption":"w2","schema":"CryptoWallet","properties":{"publicKey":["nonsense"],"topics":["crime.theft"]},"datasets":["x"]}
{"id":"w3","caption":"w3","schema":"CryptoWallet","properties":{"publicKey":["3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG"],"topics":["crime.theft"]},"datasets":["x"]}
{"id":"p1","caption":"Lazarus","schema":"Organization","properties":{"topics":["sanction","crime"]}}`
	galaxy    = `{"name":"Threat Actor","type":"threat-actor","uuid":"u","values":[{"value":"Lazarus Group","uuid":"v1","meta":{"synonyms":["HIDDEN COBRA","lazarus group"],"refs":["https://example.org/a"]}},{"value":"…"}]}`
	ethLabels = `[{"address":"0x3f5CE5FBFe3E9af3971dD833D26bA9b5C936f0bE","chainId":56,"label":"exchange","nameTag":"Binance 1"},{"address":"0x098b716b8aaf21512996dc57eb0615e2383e2f96","chainId":1,"label":"heist","nameTag":""},{"address":7}]`
	scanned   = `{"0x3f5ce5fbfe3e9af3971dd833d26ba9b5c936f0be":{"name":"Binance 1","labels":["binance","exchange"]},"0x3f5":{"name":"x","labels":[]}}`
	combined  = `{"free-mint.example":["0x098b716b8aaf21512996dc57eb0615e2383e2f96"],"x.com":[],"bad.example":[]}`
	packYAML  = `title: t
creator: c
label: Mixer
currency: ETH
category: mixing_service
confidence: forensic
lastmod: 2022-08-10
tags:
- address: '0x098B716B8Aaf21512996dC57EB0615e2383E2f96'
- address: '0x098B716B8Aaf21512996dC57EB0615e2383E2f95'
- address: 3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG
  currency: BTC
  abuse: scam
- tx_hash: 'f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16'
- address: 39idqitN9tYNmq3wYanwg3MitFB5TZCjWu
  tag_type: mention
- address: 39idqitN9tYNmq3wYanwg3MitFB5TZCjWu
  confidence: certain
- [nonsense]
`
	table = "address,label,category,is_service,source\n0x3f5ce5fbfe3e9af3971dd833d26ba9b5c936f0be,Binance,cex,1,https://example.org\neip155:56:0x3f5ce5fbfe3e9af3971dd833d26ba9b5c936f0be,B,exchange,maybe,\n0x000000000000000000000000000000000000dEaD,bad,scam,0,\nbroken\"quote,x\n"
	plain = "# ours\n0x098b716b8aaf21512996dc57eb0615e2383e2f96 # the first\n\n3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG\n3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiX\n"
)

var samples = []struct {
	name, text, format             string
	taken, other, refused, refiled int
	labels                         []string // subject, category, name
}{
	{"sdn_advanced.xml", sdnXML, "ofac-xml", 2, 1, 1, 1, []string{
		"tron:0x2b6653dc:TJRabPrwbZy45sbavfcjinPJC18kjpRTv8 sanction DOE, Jo", "eip155:any:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed sanction DOE, Jo"}},
	{"SDN.CSV", sdnCSV, "ofac-csv", 2, 1, 1, 0, []string{
		"eip155:any:0x098B716B8Aaf21512996dC57EB0615e2383E2f96 sanction LAZARUS GROUP", "bip122:000000000019d6689c085ae165831e93:3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG sanction LAZARUS GROUP"}},
	{"entities.ftm.json", ftm, "ftm", 2, 1, 1, 0, []string{
		"eip155:any:0x098B716B8Aaf21512996dC57EB0615e2383E2f96 sanction Lazarus", "bip122:000000000019d6689c085ae165831e93:3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG x:stolen_funds w3"}},
	{"threat-actor.json", galaxy, "misp-galaxy", 1, 0, 1, 0, []string{
		"actor:lazarus_group x:threat_actor Lazarus Group", "actor:hidden_cobra x:threat_actor Lazarus Group"}},
	{"accounts.json", ethLabels, "eth-labels", 2, 0, 1, 0, []string{
		"eip155:56:0x3f5CE5FBFe3E9af3971dD833D26bA9b5C936f0bE exchange Binance 1", "eip155:any:0x098B716B8Aaf21512996dC57EB0615e2383E2f96 service_hack heist"}},
	{"combinedAllLabels.json", scanned, "etherscan-labels", 1, 0, 1, 0, []string{"eip155:1:0x3f5CE5FBFe3E9af3971dD833D26bA9b5C936f0bE exchange Binance 1"}},
	{"combined.json", combined, "scamsniffer", 2, 0, 1, 0, []string{
		"eip155:any:0x098B716B8Aaf21512996dC57EB0615e2383E2f96 phishing scam address", "domain:bad.example phishing scam domain"}},
	{"pack.yaml", packYAML, "tagpack", 3, 1, 3, 1, []string{
		"eip155:1:0x098B716B8Aaf21512996dC57EB0615e2383E2f96 mixing_service Mixer", "bip122:000000000019d6689c085ae165831e93:3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG mixing_service Mixer",
		"bip122:000000000019d6689c085ae165831e93:3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG scam Mixer", "bip122:000000000019d6689c085ae165831e93:39idqitN9tYNmq3wYanwg3MitFB5TZCjWu mention Mixer"}},
	{"labels.csv", table, "csv", 1, 0, 3, 0, []string{"eip155:any:0x3f5CE5FBFe3E9af3971dD833D26bA9b5C936f0bE exchange Binance"}},
	{"ours.txt", plain, "addresses", 2, 0, 1, 0, []string{
		"eip155:any:0x098B716B8Aaf21512996dC57EB0615e2383E2f96  ", "bip122:000000000019d6689c085ae165831e93:3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG  "}},
	{"sanctioned_addresses_ETH.json", `["0x098B716B8Aaf21512996dC57EB0615e2383E2f96", 5]`, "ofac-addresses", 1, 0, 1, 0, []string{"eip155:any:0x098B716B8Aaf21512996dC57EB0615e2383E2f96 sanction OFAC SDN"}},
}

func TestReadTakesWhatIsSoundAndSaysWhatIsNot(t *testing.T) {
	for _, c := range samples {
		t.Run(c.name, func(t *testing.T) {
			format, err := Detect(c.name, []byte(c.text)[:min(len(c.text), 4096)])
			if err != nil || format != c.format {
				t.Errorf("Detect = %q, %v; want %q", format, err, c.format)
			}
			l, err := Read(c.name, strings.NewReader(c.text), Config{Format: c.format})
			if err != nil {
				t.Fatal(err)
			}
			if l.Taken != c.taken || l.Other != c.other || len(l.Refused) != c.refused || len(l.Refiled) != c.refiled {
				t.Errorf("%d taken, %d other, refused %v, filed otherwise %v; want %d, %d, %d, %d", l.Taken, l.Other, l.Refused, l.Refiled, c.taken, c.other, c.refused, c.refiled)
			}
			var got []string
			for _, label := range l.Labels {
				got = append(got, label.Subject.String()+" "+string(label.Category)+" "+label.Name)
				if label.Source.ID == "" || label.Source.ID != l.Source.ID {
					t.Errorf("label of source %q on a list of %q", label.Source.ID, l.Source.ID)
				}
			}
			if !slices.Equal(got, c.labels) {
				t.Errorf("labels\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.labels, "\n"))
			}
		})
	}
}

func TestReadRefusesWhatIsNoList(t *testing.T) {
	for _, c := range []struct {
		name, text, format string
		want               error
	}{
		{"x.xml", "<Sanctions><DistinctParty", "ofac-xml", ErrSchema},
		{"x.yaml", "a: [", "tagpack", ErrSchema},
		{"x.yaml", "title: t\n", "tagpack", ErrSchema},
		{"x.json", "[{", "eth-labels", ErrSchema},
		{"x.json", "{}", "misp-galaxy", ErrSchema},
		{"x.csv", "a,b\n1,2\n", "csv", ErrSchema},
		{"x.csv", "address,label\n\"0x\nmore\n", "csv", ErrSchema},
		{"x.csv", "address,address\n1,2\n", "csv", ErrSchema},
		{"x", "", "csv", ErrSchema},
		{"x", "anything at all\nmore of it", "", ErrFormat},
		{"x", "", "secret", ErrFormat},
		{"x.txt", strings.Repeat("a\n", 3000), "addresses", ErrSize},
	} {
		if _, err := Read(c.name, strings.NewReader(c.text), Config{Format: c.format, MaxBytes: 5000}); !errors.Is(err, c.want) {
			t.Errorf("%.20q as %s: %v; want %v", c.text, c.format, err, c.want)
		}
	}
}

func TestWhatIsExportedComesBack(t *testing.T) {
	l, err := Read("pack.yaml", strings.NewReader(packYAML), Config{})
	if err != nil {
		t.Fatal(err)
	}
	full := l.Labels
	full[0].ValidTo, full[0].Stance, full[0].Evidence = 99, attribute.Disputes, "<&>"
	full = append(full, attribute.Label{Subject: attribute.OfCode(flow.Hash{1}), Source: l.Source})
	for _, c := range []struct {
		format        string
		written, left int
	}{{"spoor", 5, 0}, {"csv", 3, 2}, {"tagpack", 3, 2}} {
		var out bytes.Buffer
		written, left, err := Write(&out, c.format, "a \"title\"", slices.Values(full))
		if err != nil || written != c.written || left != c.left {
			t.Errorf("%s: %d written, %d left, %v; want %d and %d", c.format, written, left, err, c.written, c.left)
		}
		back, err := Read("back", bytes.NewReader(out.Bytes()), Config{Format: c.format, Source: l.Source})
		if err != nil || len(back.Refused) > 0 {
			t.Fatalf("%s: %v %v\n%s", c.format, err, back, out.String())
		}
		want := full
		if c.format != "spoor" {
			want = full[1:4]
		}
		for i, label := range back.Labels {
			w := want[i]
			if c.format != "spoor" { // these say in their own way why, and who
				w.Evidence, label.Evidence, w.Source, label.Source = "", "", attribute.Source{}, attribute.Source{}
			}
			if label != w {
				t.Errorf("%s: %+v came back as %+v", c.format, w, label)
			}
		}
	}
}

// frozen makes a transaction with one log.
func frozen(t *testing.T, when int64, contract, signature string, topics []flow.Hash, data []byte) flow.Tx {
	a, err := flow.ParseAccount(contract)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range flow.KnownEvents() {
		if e.Signature == signature {
			return flow.Tx{Point: flow.Point{Chain: a.Chain(), Height: uint64(when), Time: when}, Logs: []flow.Log{{Contract: a, Topics: append([]flow.Hash{e.Topic}, topics...), Data: data}}}
		}
	}
	t.Fatalf("%s is no known event", signature)
	return flow.Tx{}
}

func TestEventsOfTheContractsThatCount(t *testing.T) {
	const usdt, usdc, oracle = "eip155:1:0xdAC17F958D2ee523a2206206994597C13D831ec7", "eip155:1:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "eip155:137:0x40C57923924B5c5c5455c48D93317139ADDaC8fb"
	word := func(n byte) []byte { return append(make([]byte, 12), bytes.Repeat([]byte{n}, 20)...) }
	number := func(n byte) []byte { return append(make([]byte, 31), n) }
	e := NewEvents()
	for _, tx := range []flow.Tx{
		frozen(t, 100, usdt, "AddedBlackList(address)", nil, word(1)),
		frozen(t, 110, usdt, "AddedBlackList(address)", nil, word(1)),                                                  // again
		frozen(t, 120, "eip155:1:0x098B716B8Aaf21512996dC57EB0615e2383E2f96", "AddedBlackList(address)", nil, word(9)), // anybody can say so
		frozen(t, 130, usdt, "DestroyedBlackFunds(address,uint256)", nil, append(word(1), number(5)...)),
		frozen(t, 200, usdt, "RemovedBlackList(address)", nil, word(1)),
		frozen(t, 210, usdt, "RemovedBlackList(address)", nil, word(2)),        // frozen before the store begins
		frozen(t, 220, usdt, "AddedBlackList(address)", nil, []byte{1}),        // damaged
		frozen(t, 230, usdt, "AddedBlackList(address)", nil, make([]byte, 32)), // the zero address
		frozen(t, 300, usdc, "Blacklisted(address)", []flow.Hash{flow.Hash(word(3))}, nil),
		frozen(t, 400, oracle, "SanctionedAddressesAdded(address[])", nil, slices.Concat(number(32), number(2), word(4), word(5))),
		frozen(t, 500, oracle, "SanctionedAddressesRemoved(address[])", nil, slices.Concat(number(32), number(1), word(4))),
		frozen(t, 510, oracle, "SanctionedAddressesRemoved(address[])", nil, slices.Concat(number(32), number(200), word(4))),
	} {
		if err := e.Add(tx); err != nil {
			t.Fatal(err)
		}
	}
	lists := e.Listings()
	var ids []string
	var labels []attribute.Label
	refused := 0
	for _, l := range lists {
		if err := l.Check(); err != nil {
			t.Error(err)
		}
		ids = append(ids, l.Source.ID)
		refused += len(l.Refused)
		p, err := attribute.MakePlan(nil, l, 1000)
		if err != nil {
			t.Fatal(err)
		}
		labels = append(labels, p.New...)
	}
	if want := []string{"chainalysis-oracle-eip155:137", "usdc-freeze-eip155:1", "usdt-freeze-eip155:1"}; !slices.Equal(ids, want) {
		t.Errorf("sources %v; want %v", ids, want)
	}
	if refused != 3 {
		t.Errorf("%d rows refused; want 3", refused)
	}
	b, err := attribute.NewBook(labels)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who  byte
		at   int64
		want int
	}{{1, 99, 0}, {1, 100, 1}, {1, 150, 2}, {1, 200, 1}, {2, 209, 1}, {2, 210, 0}, {3, 299, 0}, {3, 300, 1}, {4, 400, 1}, {4, 500, 0}, {5, 600, 1}, {9, 999, 0}} {
		a := flow.EVMAccount(flow.Ethereum, [20]byte(bytes.Repeat([]byte{c.who}, 20)))
		if got := b.LabelsOf(a, c.at, 1000); len(got) != c.want {
			t.Errorf("account %d at %d: %v; want %d labels", c.who, c.at, got, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, c := range samples {
		f.Add(c.name, c.format, c.text)
		f.Add(c.name, "", c.text)
	}
	f.Add("e.csv", "csv", "observed_date,event,address,ticker\n2022-09-03,add,3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG,XBT\n2022-09-04,remove,3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG,XBT\n")
	f.Add("s.csv", "csv", "model,address,fields\nlabels_cex_bnb,0x3f5ce5fbfe3e9af3971dd833d26ba9b5c936f0be,bnb|x|y\n")
	f.Fuzz(func(t *testing.T, name, format, text string) {
		l, err := Read(name, strings.NewReader(text), Config{Format: format, MaxBytes: 1 << 20, MaxLabels: 10_000})
		if err != nil {
			return
		}
		if err := l.Check(); err != nil {
			t.Error(err)
		}
		p, err := attribute.MakePlan(nil, l, 1<<40)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(p.New) + p.Repeated + p.Unchanged + len(p.Changed); n != len(l.Labels) {
			t.Errorf("%d of %d labels are accounted for", n, len(l.Labels))
		}
		b, err := attribute.NewBook(p.New)
		if err != nil {
			t.Fatal(err)
		}
		again, err := attribute.MakePlan(b, l, 1<<40+1)
		if err != nil {
			t.Fatal(err)
		}
		if len(again.New)+len(again.Ended)+len(again.Changed) > 0 {
			t.Errorf("the same list again changes something: %+v", again)
		}
	})
}
