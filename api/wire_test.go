package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// recorded are the requests that clients of the vendors send, as the vendors' documents and public client code have
// them, with the header of each.
var recorded = []struct {
	name, method, target, body string
	header                     []string
}{
	{"sanctions-listed", "GET", "/api/v1/address/" + ofacAddress, "", []string{"X-API-Key", "k", "Accept", "application/json"}},
	{"sanctions-clean", "GET", "/api/v1/address/" + knownAddress, "", []string{"X-API-KEY", "k", "Accept", "application/json"}},
	{"sanctions-unknown", "GET", "/api/v1/address/" + plainAddress, "", nil},
	{"sanctions-hold", "GET", "/api/v1/address/" + mixedAddress, "", nil},
	{"sanctions-prefix", "GET", "/vendor/one//api/v1/address/" + ofacAddress, "", nil},
	{"sanctions-checksum", "GET", "/api/v1/address/0x1da5821544e25c636c1417ba96ade4cf6d2f9b5A", "", nil},
	{"sanctions-no-address", "GET", "/api/v1/address/satoshi", "", nil},
	{"sanctions-accept", "GET", "/api/v1/address/" + ofacAddress, "", []string{"Accept", "text/html"}},
	{"sanctions-blind", "GET", "/api/v1/address/" + blindAddress, "", nil},
	{"entities-register", "POST", "/api/risk/v2/entities", `{"address":"` + ofacAddress + `"}`, []string{"Token", "k"}},
	{"entities-listed", "GET", "/api/risk/v2/entities/" + ofacAddress, "", []string{"Token", "k"}},
	{"entities-memo", "GET", "/api/risk/v2/entities/" + mixedAddress + "?memo=1", "", []string{"Token", "k"}},
	{"entities-known", "GET", "/api/risk/v2/entities/" + knownAddress, "", []string{"Token", "k"}},
	{"entities-unknown", "GET", "/api/risk/v2/entities/" + plainAddress, "", []string{"Token", "k"}},
	{"trm", "POST", "/public/v2/screening/addresses", `[{"address":"` + ofacAddress + `","chain":"ethereum","accountExternalId":"opt","externalId":"7"},{"address":"` + plainAddress + `","chain":"polygon"},{"address":"` + mixedAddress + `","chain":"bitcoin"}]`,
		[]string{"Authorization", "Basic azprCg==", "Content-Type", "application/json"}},
	{"trm-known", "POST", "/public/v2/screening/addresses", `[{"address":"` + knownAddress + `","chain":"ethereum"}]`, nil},
	{"trm-bad-chain", "POST", "/public/v2/screening/addresses", `[{"address":"` + knownAddress + `","chain":"dogecoin"}]`, nil},
	{"trm-bad-address", "POST", "/public/v2/screening/addresses", `[{"address":"` + knownAddress + `","chain":"ethereum"},{"address":"0x12","chain":"ethereum"}]`, nil},
	{"misttrack-listed", "GET", "/v2/risk_score?coin=ETH&address=" + ofacAddress + "&api_key=k", "", nil},
	{"misttrack-hold", "GET", "/v2/risk_score?coin=USDT-ERC20&address=" + mixedAddress + "&api_key=k", "", nil},
	{"misttrack-known", "GET", "/v2/risk_score?coin=ETH&address=" + knownAddress, "", nil},
	{"misttrack-unknown", "GET", "/v2/risk_score?coin=ETH&address=" + plainAddress, "", nil},
	{"misttrack-txid", "GET", "/v2/risk_score?coin=ETH&txid=0x" + txHash, "", nil},
	{"misttrack-create", "POST", "/v2/risk_score_create_task", `{"coin":"ETH","address":"` + ofacAddress + `","api_key":"k"}`, nil},
	{"misttrack-query", "GET", "/v2/risk_score_query_task?coin=ETH&address=" + ofacAddress + "&api_key=k", "", nil},
	{"misttrack-create-v3", "POST", "/v3/risk_score_create_task", `{"coin":"ETH","address":"` + knownAddress + `","direction":"deposit"}`, nil},
	{"misttrack-labels", "GET", "/v1/address_labels?coin=ETH&address=" + knownAddress, "", nil},
	{"misttrack-status", "GET", "/v1/status", "", nil},
	{"misttrack-coin", "GET", "/v2/risk_score?coin=XYZ&address=" + ofacAddress, "", nil},
	{"misttrack-address", "GET", "/v2/risk_score?coin=ETH&address=0x12", "", nil},
	{"misttrack-task", "GET", "/v3/risk_score_query_task?task_id=nothing", "", nil},
	{"oracle-listed", "POST", "/rpc", `{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x40C57923924B5c5c5455c48D93317139ADDaC8fb","data":"0xdf592f7d0000000000000000000000001da5821544e25c636c1417ba96ade4cf6d2f9b5a"},"latest"]}`, nil},
	{"oracle-clean", "POST", "/", `{"jsonrpc":"2.0","id":"a","method":"eth_call","params":[{"to":"0x40C57923924B5c5c5455c48D93317139ADDaC8fb","input":"0xdf592f7d0000000000000000000000003333333333333333333333333333333333333333"},"latest"]}`, nil},
	{"oracle-blind", "POST", "/", `{"jsonrpc":"2.0","id":2,"method":"eth_call","params":[{"to":"0x40C57923924B5c5c5455c48D93317139ADDaC8fb","data":"0xdf592f7d0000000000000000000000004444444444444444444444444444444444444444"},"latest"]}`, nil},
	{"oracle-batch", "POST", "/rpc", `[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"},{"jsonrpc":"2.0","id":2,"method":"eth_call","params":[{"to":"0x3A91A31cB3dC49b4db9Ce721F50a9D076c8D739B","data":"0x06fdde03"},"latest"]},{"jsonrpc":"2.0","id":3,"method":"eth_sendRawTransaction","params":[]}]`, nil},
	{"oracle-history", "POST", "/rpc", `{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x40C57923924B5c5c5455c48D93317139ADDaC8fb","data":"0x06fdde03"},"0x10"]}`, nil},
	{"own-listed", "GET", "/v1/addresses/" + ofacAddress, "", nil},
	{"own-wrong-ticker", "GET", "/v1/addresses/XBT:" + ofacAddress, "", nil},
	{"own-checksum", "GET", "/v1/addresses/0x1da5821544e25c636c1417ba96ade4cf6d2f9b5A", "", nil},
	{"own-parameter", "GET", "/v1/addresses/" + ofacAddress + "?asof=1", "", nil},
	{"own-future", "GET", "/v1/addresses/" + ofacAddress + "?as_of=2030-01-01T00:00:00Z", "", nil},
	{"own-transfer", "POST", "/v1/transfers", `{"address":"` + knownAddress + `","direction":"out","asset":"native","amount":"1000","counterparties":["` + plainAddress + `"],"as_of":"2025-01-01T00:00:00Z"}`, nil},
	{"own-transfer-float", "POST", "/v1/transfers", `{"address":"` + knownAddress + `","direction":"out","asset":"native","amount":"1.5"}`, nil},
	{"own-transaction", "GET", "/v1/transactions/ethereum/0x" + txHash, "", nil},
	{"own-transaction-absent", "GET", "/v1/transactions/ethereum/" + strings.Repeat("0", 64), "", nil},
	{"own-batch", "POST", "/v1/batch", plainAddress + "\n\n\"" + ofacAddress + "\"\n{\"id\":\"c\",\"address\":\"" + knownAddress + "\",\"direct\":true}\nnot an address\n" + blindAddress, nil},
	{"own-method", "DELETE", "/v1/transfers", "", nil},
	{"own-nowhere", "GET", "/v1/nothing", "", nil},
	{"own-ready", "GET", "/v1/ready", "", nil},
}

func TestRecordedRequestsGetGoldenAnswers(t *testing.T) {
	for _, q := range recorded {
		t.Run(q.name, func(t *testing.T) {
			s, _ := newTestServer(t, nil)
			w := do(s, q.method, q.target, q.body, append(q.header, "X-Request-Id", "golden")...)
			got := describeAnswer(t, q.method+" "+q.target, q.body, w)
			file := filepath.Join("testdata", q.name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s: got\n%s\nwant\n%s", q.name, got, want)
			}
		})
	}
}

func describeAnswer(t *testing.T, question, body string, w *httptest.ResponseRecorder) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n%d\n", question, body, w.Code)
	for _, h := range []string{"Content-Type", "Retry-After", "Allow", "Spoor-Decision", "Spoor-Unknown", "Spoor-List-Age"} {
		if v := w.Header().Get(h); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", h, v)
		}
	}
	d := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			t.Fatalf("the answer is not JSON: %v: %s", err, w.Body)
		}
		var out bytes.Buffer
		if err := json.Indent(&out, raw, "", " "); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n", &out)
	}
	return b.String()
}

// TestAnswersHaveTheVendorsShape holds the answers against those that the vendors' documents show: the same fields in the
// same order, with values of the same kinds.
func TestAnswersHaveTheVendorsShape(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"sanctions-listed", `{"identifications":[{"category":"sanctions","name":"SANCTIONS: …","description":"Pakistan-based … \n","url":"https://home.treasury.gov/news/press-releases/jy0126"}]}`},
		{"sanctions-clean", `{"identifications":[]}`},
		{"sanctions-unknown", `{"identifications":[]}`},
		{"sanctions-hold", `{"identifications":[]}`},
		{"entities-register", `{"address":"…"}`},
		{"entities-memo", `{"address":"0x…","risk":"High","riskReason":"","addressType":"PRIVATE_WALLET","cluster":{"name":"","category":""},
			"addressIdentifications":[{"name":"","address":"","category":"","description":"","url":"","createdAt":1650000000000}],
			"exposures":[{"category":"exchange","value":424895.68594,"exposureType":"direct","direction":"both_directions"}],
			"triggers":[{"category":"","percentage":0.0,"message":"","ruleTriggered":{"risk":"","minThreshold":0,"maxThreshold":0,"exposureType":"","direction":""}}],"status":"COMPLETE"}`},
		{"trm", `[{"accountExternalId":"opt","address":"0x…","addressSubmitted":"0x…","chain":"ethereum","externalId":"7","trmAppUrl":"…",
			"addressIncomingVolumeUsd":"0","addressOutgoingVolumeUsd":"0","addressTotalVolumeUsd":"0",
			"addressRiskIndicators":[{"category":"Sanctions","categoryId":"69","categoryRiskScoreLevel":10,"categoryRiskScoreLevelLabel":"High",
			"incomingVolumeUsd":"1.0","outgoingVolumeUsd":"0","totalVolumeUsd":"1.0","riskType":"OWNERSHIP"}],
			"entities":[{"category":"","categoryId":"","entity":"","riskScoreLevel":15,"riskScoreLevelLabel":"Severe","trmAppUrl":"","trmUrn":""}]}]`},
		{"misttrack-hold", `{"success":true,"msg":"","data":{"score":90,"hacking_event":"","detail_list":[""],"risk_level":"High",
			"risk_detail":[{"entity":"","risk_type":"mixer","exposure_type":"indirect","hop_num":3,"volume":0,"percent":12.3}],"risk_report_url":""}}`},
		{"misttrack-create", `{"success":true,"msg":"","data":{"has_result":true,"scanned_ts":1,"task_id":""}}`},
		{"misttrack-labels", `{"success":true,"msg":"","data":{"label_list":[""],"label_type":"exchange"}}`},
		{"oracle-listed", `{"jsonrpc":"2.0","id":1,"result":"0x1"}`},
	} {
		for _, q := range recorded {
			if q.name != c.name {
				continue
			}
			s, _ := newTestServer(t, nil)
			w := do(s, q.method, q.target, q.body, q.header...)
			if got, want := shape(t, w.Body.Bytes()), shape(t, []byte(c.want)); got != want {
				t.Errorf("%s: shape\n%s\nwant\n%s", c.name, got, want)
			}
		}
	}
}

// shape is a JSON text with its values replaced by their kinds, and of an array only the first element.
func shape(t *testing.T, b []byte) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	var out strings.Builder
	var value func()
	value = func() {
		tok, err := d.Token()
		if err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		switch v := tok.(type) {
		case json.Delim:
			out.WriteRune(rune(v))
			for n := 0; d.More(); n++ {
				if v == '{' {
					key, err := d.Token()
					if err != nil {
						t.Fatal(err)
					}
					fmt.Fprintf(&out, "%s:", key)
					value()
					out.WriteByte(',')
					continue
				}
				before := out.Len()
				value()
				if n > 0 {
					kept := out.String()[:before]
					out.Reset()
					out.WriteString(kept)
				}
			}
			if _, err := d.Token(); err != nil {
				t.Fatal(err)
			}
			out.WriteByte(')')
		default:
			fmt.Fprintf(&out, "%T", v)
		}
	}
	value()
	return out.String()
}
