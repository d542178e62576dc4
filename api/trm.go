package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/spoor-dev/spoor/screen"
)

// trm is the dialect of TRM v2.
var trm = dialect{"trm", func(w http.ResponseWriter, c *call, f *fault) {
	b, err := json.Marshal(struct {
		Code    int    `json:"code"`
		Name    string `json:"name"`
		Message string `json:"message"`
	}{f.status, http.StatusText(f.status), message(f)})
	if err != nil {
		panic(err) // texts and a number
	}
	writeBody(w, f.status, "application/json", b, f.retry)
}}

func trmRoutes() []route {
	return []route{{pattern: "POST /public/v2/screening/addresses", name: "trm", scope: ScopeScreen, screens: true, dialect: &trm, handle: askTRM}}
}

// maxTRM bounds the addresses of one request.
const maxTRM = 1000

type trmQuestion struct {
	Address           string  `json:"address"`
	Chain             string  `json:"chain"`
	AccountExternalID *string `json:"accountExternalId"`
	ExternalID        *string `json:"externalId"`
}

type trmAnswer struct {
	AccountExternalID *string        `json:"accountExternalId"`
	Address           string         `json:"address"`
	AddressSubmitted  string         `json:"addressSubmitted"`
	Chain             string         `json:"chain"`
	ExternalID        *string        `json:"externalId"`
	TRMAppURL         string         `json:"trmAppUrl"`
	IncomingUSD       string         `json:"addressIncomingVolumeUsd"`
	OutgoingUSD       string         `json:"addressOutgoingVolumeUsd"`
	TotalUSD          string         `json:"addressTotalVolumeUsd"`
	Indicators        []trmIndicator `json:"addressRiskIndicators"`
	Entities          []trmEntity    `json:"entities"`
	Spoor             *extra         `json:"spoor,omitempty"`
}

type trmIndicator struct {
	Category    string `json:"category"`
	CategoryID  string `json:"categoryId"`
	Level       int    `json:"categoryRiskScoreLevel"`
	LevelLabel  string `json:"categoryRiskScoreLevelLabel"`
	IncomingUSD string `json:"incomingVolumeUsd"`
	OutgoingUSD string `json:"outgoingVolumeUsd"`
	TotalUSD    string `json:"totalVolumeUsd"`
	RiskType    string `json:"riskType"`
}

type trmEntity struct {
	Category   string `json:"category"`
	CategoryID string `json:"categoryId"`
	Entity     string `json:"entity"`
	Level      int    `json:"riskScoreLevel"`
	LevelLabel string `json:"riskScoreLevelLabel"`
	TRMAppURL  string `json:"trmAppUrl"`
	TRMURN     string `json:"trmUrn"`
}

// askTRM: POST /public/v2/screening/addresses. The order of the answers is that of the questions; one that cannot be
// answered fails them all, so that none can be taken for another.
func askTRM(c *call) *fault {
	b, f := c.body()
	if f != nil {
		return f
	}
	var in []trmQuestion
	if err := json.Unmarshal(b, &in); err != nil {
		return badQuestion(errJSON(err))
	}
	if len(in) == 0 || len(in) > maxTRM {
		return badQuestion(fmt.Errorf("%d addresses; want 1 to %d", len(in), maxTRM))
	}
	if f := c.charge(len(in) - 1); f != nil {
		return f
	}
	out := make([]trmAnswer, 0, len(in))
	for i, q := range in {
		chain, ok := vendorChain(q.Chain)
		if !ok {
			return badQuestion(fmt.Errorf("address %d: the chain %.40q is not one that can be screened", i, q.Chain))
		}
		a, err := accountOn(chain, q.Address)
		if err != nil {
			return badQuestion(fmt.Errorf("address %d: %w", i, err))
		}
		v, f := c.screen(c.ctx, screen.Question{Account: a})
		if f != nil {
			return f
		}
		t := toTRM(v)
		t.AccountExternalID, t.ExternalID, t.Address, t.AddressSubmitted, t.Chain = q.AccountExternalID, q.ExternalID, a.Address(), q.Address, q.Chain
		t.Spoor = c.extra(v)
		out = append(out, t)
		if len(in) == 1 {
			tell(c.w, v)
		}
	}
	writeJSON(c.w, http.StatusCreated, out)
	return nil
}

// trmLevel is a decision on TRM's scale. What is allowed though it is unknown or was not wholly looked at is 0, which TRM calls Unknown; it is
// never 1, which is Low.
func trmLevel(d screen.Decision, unsure bool) (int, string) {
	switch {
	case d >= screen.Block:
		return 15, "Severe"
	case d == screen.Hold:
		return 10, "High"
	case d == screen.Attention:
		return 5, "Medium"
	case unsure:
		return 0, "Unknown"
	}
	return 1, "Low"
}

// trmCategoryID is TRM's number of a category, where it is known.
func trmCategoryID(category string) string {
	if category == "Sanctions" {
		return "69"
	}
	return ""
}

func toTRM(v *screen.Verdict) trmAnswer {
	t := trmAnswer{IncomingUSD: "0", OutgoingUSD: "0", TotalUSD: "0", Indicators: []trmIndicator{}, Entities: []trmEntity{}}
	unsure := v.Unknown || v.Partial
	indicate := func(category string, d screen.Decision, riskType string) {
		level, label := trmLevel(d, unsure)
		t.Indicators = append(t.Indicators, trmIndicator{category, trmCategoryID(category), level, label, "0", "0", "0", riskType})
	}
	strictest := screen.Decision(0)
	for _, r := range v.Reasons { // all that the policy fired on
		if r.Category == "" && r.Decision <= screen.Allow {
			continue // it says that there is nothing to say
		}
		riskType := "INDIRECT"
		switch {
		case ofSubject(&r):
			riskType = "OWNERSHIP"
		case r.Direct:
			riskType = "COUNTERPARTY"
		}
		indicate(wordOf(r.Category).trm, r.Decision, riskType)
		strictest = max(strictest, r.Decision)
	}
	for _, x := range v.Exposure { // and what it let pass
		if riskType := "INDIRECT"; !fired(v, x.Category, x.Direct) {
			if x.Direct {
				riskType = "COUNTERPARTY"
			}
			indicate(wordOf(x.Category).trm, screen.Allow, riskType)
		}
	}
	if strictest < v.Decision && v.Decision > screen.Allow {
		indicate("Unknown", v.Decision, "OWNERSHIP")
	}
	for _, l := range asserted(v) {
		d := screen.Allow
		for _, r := range v.Reasons {
			if ofSubject(&r) && r.Category == string(l.Category) {
				d = max(d, r.Decision)
			}
		}
		w := wordOf(l.Category).trm
		level, label := trmLevel(d, unsure)
		t.Entities = append(t.Entities, trmEntity{w, trmCategoryID(w), entityOf(&l), level, label, "", ""})
	}
	if len(t.Entities) == 0 && unsure {
		level, label := trmLevel(v.Decision, true)
		t.Entities = append(t.Entities, trmEntity{"Unknown", "", "", level, label, "", ""})
	}
	return t
}

// fired reports whether a rule fired on dealings with a category.
func fired(v *screen.Verdict, category string, direct bool) bool {
	for _, r := range v.Reasons {
		if !ofSubject(&r) && r.Category == category && r.Direct == direct {
			return true
		}
	}
	return false
}

// errJSON is an error of a body that is not the JSON that a wire has.
func errJSON(err error) error {
	at := int64(-1)
	if s := (*json.SyntaxError)(nil); errors.As(err, &s) {
		at = s.Offset
	}
	if t := (*json.UnmarshalTypeError)(nil); errors.As(err, &t) {
		at = t.Offset
	}
	if at < 0 {
		return errors.New("the body is not the JSON that is asked for")
	}
	return fmt.Errorf("the body is not the JSON that is asked for: byte %d", at)
}
