package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

// chainalysis is the dialect of both Chainalysis wires. A key that is missing or wrong is 403 there.
var chainalysis = dialect{"chainalysis", func(w http.ResponseWriter, c *call, f *fault) {
	status := f.status
	if status == http.StatusUnauthorized {
		status = http.StatusForbidden
	}
	b, err := json.Marshal(struct {
		Message string `json:"message"`
	}{message(f)})
	if err != nil {
		panic(err) // a text
	}
	writeBody(w, status, "application/json", b, f.retry)
}}

func sanctionsRoutes() []route {
	return []route{{pattern: "GET /api/v1/address/{address}", name: "chainalysis-sanctions", scope: ScopeScreen, screens: true, dialect: &chainalysis, handle: askSanctions}}
}

func entitiesRoutes() []route {
	return []route{
		{pattern: "POST /api/risk/v2/entities", name: "chainalysis-register", scope: ScopeScreen, dialect: &chainalysis, handle: registerEntity},
		{pattern: "GET /api/risk/v2/entities/{address}", name: "chainalysis-entities", scope: ScopeScreen, screens: true, dialect: &chainalysis, handle: askEntity},
	}
}

type identifications struct {
	Identifications []identification `json:"identifications"`
	Spoor           *extra           `json:"spoor,omitempty"`
}

type identification struct {
	Category    string `json:"category"`
	Name        string `json:"name"`
	Description string `json:"description"`
	URL         string `json:"url"`
}

// askSanctions: GET /api/v1/address/{address}. An entry is put there for sanctions alone: clients take any entry for one.
func askSanctions(c *call) *fault {
	if !acceptsJSON(c.r.Header) {
		return &fault{status: 406, title: "The answer is JSON", detail: "the header Accept does not take application/json"}
	}
	a, err := flow.ParseAccount(c.r.PathValue("address"))
	if err != nil {
		return badQuestion(err)
	}
	v, f := c.screen(c.ctx, screen.Question{Account: a, Direct: true})
	if f != nil {
		return f
	}
	out := identifications{[]identification{}, c.extra(v)}
	for _, l := range sanctions(v) {
		out.Identifications = append(out.Identifications, identification{"sanctions", sanctionName(&l, a), description(&l), l.Evidence})
	}
	tell(c.w, v)
	writeJSON(c.w, http.StatusOK, out)
	return nil
}

// sanctionName is list, entity, date and address in one text.
func sanctionName(l *attribute.Label, a flow.Account) string {
	address := a.Address()
	if rest, ok := strings.CutPrefix(address, "0x"); ok {
		address = strings.ToLower(rest)
	}
	parts := []string{"SANCTIONS:", l.Source.ID, entityOf(l)}
	if l.Source.Date > 0 {
		parts = append(parts, time.Unix(l.Source.Date, 0).UTC().Format(time.DateOnly))
	}
	return strings.Join(append(parts, address), " ")
}

func description(l *attribute.Label) string {
	s := l.Name
	if l.Source.ID != "" {
		s += ", according to " + l.Source.ID
	}
	if l.Seen > 0 {
		s += ", known here since " + time.Unix(l.Seen, 0).UTC().Format(time.DateOnly)
	}
	return s
}

// acceptsJSON reads the header Accept; without one everything is taken.
func acceptsJSON(h http.Header) bool {
	accept := h["Accept"]
	if len(accept) == 0 {
		return true
	}
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			kind, parameters, _ := strings.Cut(strings.ToLower(part), ";")
			switch strings.TrimSpace(kind) {
			case "*/*", "application/*", "application/json", "":
				if q := strings.TrimSpace(parameters); q != "q=0" && q != "q=0.0" {
					return true
				}
			}
		}
	}
	return false
}

type entity struct {
	Address         string                 `json:"address"`
	Risk            string                 `json:"risk"`
	RiskReason      *string                `json:"riskReason"`
	AddressType     string                 `json:"addressType"`
	Cluster         *cluster               `json:"cluster"`
	Identifications []entityIdentification `json:"addressIdentifications"`
	Exposures       []entityExposure       `json:"exposures"`
	Triggers        []trigger              `json:"triggers"`
	Status          string                 `json:"status"`
	Spoor           *extra                 `json:"spoor,omitempty"`
}

type cluster struct {
	Name     string `json:"name"`
	Category string `json:"category"`
}

type entityIdentification struct {
	Name        string `json:"name"`
	Address     string `json:"address"`
	Category    string `json:"category"`
	Description string `json:"description"`
	URL         string `json:"url"`
	CreatedAt   int64  `json:"createdAt"` // milliseconds
}

type entityExposure struct {
	Category     string      `json:"category"`
	Value        json.Number `json:"value"` // USD
	ExposureType string      `json:"exposureType"`
	Direction    string      `json:"direction"`
}

type trigger struct {
	Category   string      `json:"category"`
	Percentage json.Number `json:"percentage"`
	Message    string      `json:"message"`
	Rule       triggerRule `json:"ruleTriggered"`
}

type triggerRule struct {
	Risk         string      `json:"risk"`
	MinThreshold json.Number `json:"minThreshold"`
	MaxThreshold json.Number `json:"maxThreshold"`
	ExposureType string      `json:"exposureType"`
	Direction    string      `json:"direction"`
}

// registerEntity: POST /api/risk/v2/entities. Nothing needs to be registered; the address is checked.
func registerEntity(c *call) *fault {
	b, f := c.body()
	if f != nil {
		return f
	}
	var in struct {
		Address string `json:"address"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return badQuestion(errJSON(err))
	}
	if _, err := flow.ParseAccount(in.Address); err != nil {
		return badQuestion(err)
	}
	writeJSON(c.w, http.StatusCreated, in)
	return nil
}

// askEntity: GET /api/risk/v2/entities/{address}.
func askEntity(c *call) *fault {
	given := c.r.PathValue("address")
	a, err := flow.ParseAccount(given)
	if err != nil {
		return badQuestion(err)
	}
	v, f := c.screen(c.ctx, screen.Question{Account: a})
	if f != nil {
		return f
	}
	e := toEntity(v, given)
	e.Spoor = c.extra(v)
	tell(c.w, v)
	writeJSON(c.w, http.StatusOK, e)
	return nil
}

// entityRisk is a decision in the words of Chainalysis.
func entityRisk(d screen.Decision) string {
	switch d {
	case screen.Allow:
		return "Low"
	case screen.Attention:
		return "Medium"
	case screen.Hold:
		return "High"
	}
	return "Severe"
}

func toEntity(v *screen.Verdict, given string) entity {
	e := entity{Address: given, AddressType: "PRIVATE_WALLET", Status: "COMPLETE", Cluster: nil,
		Identifications: []entityIdentification{}, Exposures: []entityExposure{}, Triggers: []trigger{}}
	risk := v.Decision
	if v.Unknown || v.Partial { // "Low" says that somebody looked and found nothing
		risk = max(risk, screen.Attention)
	}
	e.Risk = entityRisk(risk)
	if s := why(v); s != "" {
		e.RiskReason = &s
	}
	for _, l := range asserted(v) {
		if e.Cluster == nil {
			e.Cluster = &cluster{entityOf(&l), wordOf(l.Category).chainalysis}
		}
		created := l.Source.Date
		if created == 0 {
			created = l.Seen
		}
		e.Identifications = append(e.Identifications, entityIdentification{l.Name, given, wordOf(l.Category).chainalysis, description(&l), l.Evidence, millis(created)})
	}
	for _, x := range v.Exposure {
		e.Exposures = append(e.Exposures, entityExposure{wordOf(x.Category).chainalysis, "0", exposureType(x.Direct), entityDirection(x.Direction)})
	}
	for _, r := range v.Reasons {
		if r.Decision <= screen.Allow {
			continue
		}
		e.Triggers = append(e.Triggers, trigger{wordOf(r.Category).chainalysis, percent(r.Share), r.Sentence,
			triggerRule{entityRisk(r.Decision), "0", "0", exposureType(r.Direct), entityDirection(r.Direction)}})
	}
	return e
}

func exposureType(direct bool) string {
	if direct {
		return "direct"
	}
	return "indirect"
}

func entityDirection(d screen.Direction) string {
	switch d {
	case screen.In:
		return "receiving"
	case screen.Out:
		return "sending"
	}
	return "both_directions"
}
