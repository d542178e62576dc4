package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

// errShape is an answer that is not of the vendor's shape: it must not be taken for a clean one.
var errShape = errors.New("the answer has not the form that it should have")

// A vendorAsk asks a vendor in its dialect.
type vendorAsk func(ctx context.Context, f *Forward, q screen.Question) (vendorAnswer, error)

// vendors are the dialects in which a vendor can be asked.
var vendors = []struct {
	dialect string
	ask     vendorAsk
}{
	{"chainalysis-sanctions", askVendorSanctions},
	{"chainalysis-entities", askVendorEntity},
	{"trm", askVendorTRM},
	{"misttrack", askVendorMist},
}

// VendorDialects are the dialects in which a vendor can be asked.
func VendorDialects() []string {
	var names []string
	for _, v := range vendors {
		names = append(names, v.dialect)
	}
	return names
}

// send sends a request and reads the JSON of a good answer into out.
func (f *Forward) send(ctx context.Context, method string, to *url.URL, body, out any, header ...string) error {
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return err
		}
	}
	r, err := http.NewRequest(method, to.String(), bytes.NewReader(b))
	if err != nil {
		return errShape // the address is ours, and may hold a key
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := f.client.Do(ctx, r)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK && a.Status != http.StatusCreated {
		return fmt.Errorf("status %d", a.Status)
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		return errShape
	}
	return nil
}

func askVendorSanctions(ctx context.Context, f *Forward, q screen.Question) (a vendorAnswer, err error) {
	var in struct {
		Identifications *[]identification `json:"identifications"`
	}
	to := f.base.JoinPath("api/v1/address", q.Account.Address())
	if err := f.send(ctx, http.MethodGet, to, nil, &in, "X-API-Key", f.c.Key); err != nil {
		return a, err
	}
	if in.Identifications == nil {
		return a, errShape
	}
	a.decision, a.says = screen.Allow, "that it is on no sanctions list"
	for _, i := range *in.Identifications {
		a.decision, a.says = screen.Block, "that it is sanctioned: "+i.Name
		a.names = append(a.names, attribute.Label{Name: clean(i.Name), Category: attribute.Sanction, Evidence: clean(i.URL)})
	}
	return a, nil
}

func askVendorEntity(ctx context.Context, f *Forward, q screen.Question) (a vendorAnswer, err error) {
	address := struct {
		Address string `json:"address"`
	}{q.Account.Address()}
	var registered json.RawMessage
	if err := f.send(ctx, http.MethodPost, f.base.JoinPath("api/risk/v2/entities"), address, &registered, "Token", f.c.Key); err != nil {
		return a, err
	}
	var in struct {
		Risk   string                 `json:"risk"`
		Reason *string                `json:"riskReason"`
		Names  []entityIdentification `json:"addressIdentifications"`
	}
	if err := f.send(ctx, http.MethodGet, f.base.JoinPath("api/risk/v2/entities", address.Address), nil, &in, "Token", f.c.Key); err != nil {
		return a, err
	}
	for d := screen.Allow; d <= screen.Block; d++ {
		if entityRisk(d) == in.Risk {
			a.decision = d
		}
	}
	a.says = "risk " + in.Risk
	if in.Reason != nil {
		a.says += ": " + *in.Reason
	}
	for _, i := range in.Names {
		a.names = append(a.names, attribute.Label{Name: clean(i.Name), Category: ourCategory(i.Category), Evidence: clean(i.URL)})
	}
	return a, nil
}

func askVendorTRM(ctx context.Context, f *Forward, q screen.Question) (a vendorAnswer, err error) {
	chain, ok := trmChain(q.Account.Chain())
	if !ok {
		return a, fmt.Errorf("the chain %s is none of its chains", q.Account.Chain())
	}
	ask := []map[string]string{{"address": q.Account.Address(), "chain": chain}}
	var in []struct {
		Indicators *[]trmIndicator `json:"addressRiskIndicators"`
		Entities   *[]trmEntity    `json:"entities"`
	}
	basic, err := http.NewRequest(http.MethodPost, "http://basic", nil)
	if err != nil {
		return a, err
	}
	basic.SetBasicAuth(f.c.Key, f.c.Key)
	if err := f.send(ctx, http.MethodPost, f.base.JoinPath("public/v2/screening/addresses"), ask, &in, "Authorization", basic.Header.Get("Authorization")); err != nil {
		return a, err
	}
	if len(in) != 1 || in[0].Entities == nil || in[0].Indicators == nil {
		return a, errShape
	}
	level := 0
	for _, e := range *in[0].Entities {
		level = max(level, e.Level)
		if e.Entity != "" {
			a.names = append(a.names, attribute.Label{Name: clean(e.Entity), Category: ourCategory(e.Category)})
		}
	}
	for _, i := range *in[0].Indicators {
		level = max(level, i.Level)
	}
	switch {
	case level >= 15:
		a.decision = screen.Block
	case level >= 10:
		a.decision = screen.Hold
	case level >= 5:
		a.decision = screen.Attention
	default:
		a.decision = screen.Allow
	}
	a.says = fmt.Sprintf("risk level %d", level)
	return a, nil
}

func askVendorMist(ctx context.Context, f *Forward, q screen.Question) (a vendorAnswer, err error) {
	coin, ok := mistCoin(q.Account.Chain())
	if !ok {
		return a, fmt.Errorf("the chain %s is none of its chains", q.Account.Chain())
	}
	to := f.base.JoinPath("v2/risk_score")
	to.RawQuery = url.Values{"coin": {coin}, "address": {q.Account.Address()}, "api_key": {f.c.Key}}.Encode()
	var in struct {
		Success bool   `json:"success"`
		Msg     string `json:"msg"`
		Data    *struct {
			RiskLevel  string   `json:"risk_level"`
			DetailList []string `json:"detail_list"`
		} `json:"data"`
	}
	if err := f.send(ctx, http.MethodGet, to, nil, &in); err != nil {
		return a, err
	}
	if !in.Success || in.Data == nil {
		return a, fmt.Errorf("it says %.100q", in.Msg)
	}
	for d := screen.Allow; d <= screen.Block; d++ {
		if _, level := mistScoreOf(d, false); level == in.Data.RiskLevel {
			a.decision = d
		}
	}
	a.says = fmt.Sprintf("risk %s %.200q", in.Data.RiskLevel, in.Data.DetailList)
	return a, nil
}

// ourCategory is a vendor's category in our words; what is none of theirs is an extension of ours.
func ourCategory(s string) attribute.Category {
	for _, w := range words {
		if w.chainalysis == s || w.trm == s {
			return attribute.Category(w.ours)
		}
	}
	return attribute.ParseCategory(s)
}

// trmChain is a chain as TRM names it.
func trmChain(c flow.Chain) (string, bool) {
	for _, name := range [...]string{"bitcoin", "ethereum", "polygon", "avalanche_c_chain", "binance_smart_chain", "tron", "arbitrum", "optimism", "base", "solana"} {
		if have, ok := vendorChain(name); ok && have == c {
			return name, true
		}
	}
	return "", false
}

// mistCoin is a chain as MistTrack names its coin.
func mistCoin(c flow.Chain) (string, bool) {
	for _, name := range [...]string{"BTC", "ETH", "TRX", "BNB", "POL-Polygon", "ETH-Arbitrum", "ETH-Optimism", "ETH-Base", "AVAX-Avalanche"} {
		if have, ok := vendorChain(name); ok && have == c {
			return name, true
		}
	}
	return "", false
}
