package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/screen"
)

// mist is the dialect of MistTrack: every answer stands in an envelope, and what went wrong has a word.
var mist = dialect{"misttrack", func(w http.ResponseWriter, c *call, f *fault) {
	msg := map[string]string{"key-missing": "InvalidApiKey", "key-unknown": "InvalidApiKey", "key-scope": "InvalidApiKey", "rate": "ExceededRateLimit",
		"checksum": "InvalidAddress", "address": "InvalidAddress", "coin": "UnsupportedToken", "task": "TaskNotFound", "transaction": "TransactionNotFound"}[f.word]
	if msg == "" {
		msg = message(f)
	}
	b, err := json.Marshal(struct {
		Success bool   `json:"success"`
		Msg     string `json:"msg"`
	}{false, msg})
	if err != nil {
		panic(err) // a text
	}
	writeBody(w, f.status, "application/json", b, f.retry)
}}

func mistRoutes() []route {
	get := func(pattern, name string, handle func(*call) *fault) route {
		return route{pattern: pattern, name: name, scope: ScopeScreen, screens: true, dialect: &mist, handle: handle}
	}
	routes := []route{
		get("GET /v1/risk_score", "misttrack-v1", mistScore), // older clients, such as npm's misttrack; its fields are among those of v2
		get("GET /v2/risk_score", "misttrack", mistScore),
		get("GET /v1/address_labels", "misttrack-labels", mistLabels),
		{pattern: "GET /v1/status", name: "misttrack-status", scope: ScopeScreen, dialect: &mist, handle: mistStatus},
	}
	for _, v := range [...]string{"/v2", "/v3"} {
		routes = append(routes,
			get("GET "+v+"/risk_score_query_task", "misttrack-task", mistTask),
			route{pattern: "POST " + v + "/risk_score_create_task", name: "misttrack-create", scope: ScopeScreen, screens: true, ownKey: true, dialect: &mist, handle: mistCreate})
	}
	return routes
}

type mistQuestion struct {
	Coin      string `json:"coin"`
	Address   string `json:"address"`
	TxID      string `json:"txid"`
	Direction string `json:"direction"` // deposit, withdraw or none
	APIKey    string `json:"api_key"`
}

type mistData struct {
	Score        int          `json:"score"`
	HackingEvent string       `json:"hacking_event"`
	DetailList   []string     `json:"detail_list"`
	RiskLevel    string       `json:"risk_level"`
	RiskDetail   []mistDetail `json:"risk_detail"`
	ReportURL    string       `json:"risk_report_url"`
}

type mistDetail struct {
	Entity       string      `json:"entity"`
	RiskType     string      `json:"risk_type"`
	ExposureType string      `json:"exposure_type"`
	HopNum       int         `json:"hop_num"`
	Volume       json.Number `json:"volume"` // USD
	Percent      json.Number `json:"percent"`
}

// mistEnvelope answers with data.
func mistEnvelope(c *call, data any, e *extra) *fault {
	writeJSON(c.w, http.StatusOK, struct {
		Success bool   `json:"success"`
		Msg     string `json:"msg"`
		Data    any    `json:"data"`
		Spoor   *extra `json:"spoor,omitempty"`
	}{true, "", data, e})
	return nil
}

// mistScore: GET /v2/risk_score.
func mistScore(c *call) *fault {
	p := c.r.URL.Query()
	return c.mistAnswer(mistQuestion{Coin: p.Get("coin"), Address: p.Get("address"), TxID: p.Get("txid"), Direction: p.Get("direction")})
}

func (c *call) mistAnswer(q mistQuestion) *fault {
	all, f := c.mistVerdicts(q)
	if f != nil {
		return f
	}
	var e *extra
	if len(all) == 1 {
		tell(c.w, all[0])
		e = c.extra(all[0])
	}
	return mistEnvelope(c, toMist(all), e)
}

// mistVerdicts asks for the address, or for everybody in the transaction.
func (c *call) mistVerdicts(q mistQuestion) ([]*screen.Verdict, *fault) {
	chain, ok := vendorChain(q.Coin)
	if !ok {
		return nil, &fault{status: 400, word: "coin", title: "UnsupportedToken"}
	}
	ask := screen.Question{}
	switch q.Direction {
	case "":
	case "deposit":
		ask.Direction = screen.In
	case "withdraw":
		ask.Direction = screen.Out
	default:
		return nil, badQuestion(errors.New("the direction is deposit or withdraw"))
	}
	var accounts []flow.Account
	missing := false
	switch {
	case q.Address != "" && q.TxID == "":
		a, err := accountOn(chain, q.Address)
		if err != nil {
			return nil, badQuestion(err)
		}
		accounts = append(accounts, a)
	case q.TxID != "" && q.Address == "":
		hash, err := flow.ParseHash(q.TxID)
		if err != nil {
			return nil, badQuestion(err)
		}
		tx, err := c.world.Tx(c.ctx, chain, hash)
		if errors.Is(err, ErrNoTx) {
			return nil, &fault{status: 404, word: "transaction", title: "No such transaction"}
		}
		if err != nil {
			return nil, &fault{status: 503, word: "blind", title: "The store could not be read", retry: 5}
		}
		if accounts, missing = parties(tx); len(accounts) > MaxTxAccounts {
			accounts, missing = accounts[:MaxTxAccounts], true
		}
	default:
		return nil, badQuestion(errors.New("want either address or txid"))
	}
	var out []*screen.Verdict
	for _, a := range accounts {
		ask.Account = a
		v, f := c.screen(c.ctx, ask)
		if f != nil {
			return nil, f
		}
		v.Partial = v.Partial || missing
		out = append(out, v)
	}
	if len(out) == 0 {
		return nil, &fault{status: 404, word: "transaction", title: "The transaction names nobody"}
	}
	return out, nil
}

// mistCreate: POST /v2/risk_score_create_task, or v3. The result is there at once, so the task holds the question.
func mistCreate(c *call) *fault {
	b, f := c.body()
	if f != nil {
		return f
	}
	var q mistQuestion
	err := json.Unmarshal(b, &q)
	if f := c.admit(presented(c.r, q.APIKey)); f != nil {
		return f
	}
	if err != nil {
		return badQuestion(errJSON(err))
	}
	if _, f := c.mistVerdicts(q); f != nil {
		return f
	}
	return mistEnvelope(c, struct {
		HasResult bool   `json:"has_result"`
		Scanned   int64  `json:"scanned_ts"`
		Task      string `json:"task_id"`
	}{true, c.config.Now().Unix(), q.task()}, nil)
}

// mistTask: GET /v2/risk_score_query_task, or v3: by the task, or by the question again.
func mistTask(c *call) *fault {
	p := c.r.URL.Query()
	if id := p.Get("task_id"); id != "" {
		q, ok := parseTask(id)
		if !ok {
			return &fault{status: 404, word: "task", title: "TaskNotFound"}
		}
		return c.mistAnswer(q)
	}
	return mistScore(c)
}

// task is the question as the name of a task.
func (q mistQuestion) task() string {
	v := url.Values{"c": {q.Coin}, "a": {q.Address}, "t": {q.TxID}, "d": {q.Direction}}
	return base64.RawURLEncoding.EncodeToString([]byte(v.Encode()))
}

func parseTask(id string) (mistQuestion, bool) {
	b, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(b) > 2000 {
		return mistQuestion{}, false
	}
	v, err := url.ParseQuery(string(b))
	if err != nil || !v.Has("c") || !v.Has("a") {
		return mistQuestion{}, false
	}
	return mistQuestion{Coin: v.Get("c"), Address: v.Get("a"), TxID: v.Get("t"), Direction: v.Get("d")}, true
}

// mistLabels: GET /v1/address_labels.
func mistLabels(c *call) *fault {
	p := c.r.URL.Query()
	chain, ok := vendorChain(p.Get("coin"))
	if !ok {
		return &fault{status: 400, word: "coin", title: "UnsupportedToken"}
	}
	a, err := accountOn(chain, p.Get("address"))
	if err != nil {
		return badQuestion(err)
	}
	v, f := c.screen(c.ctx, screen.Question{Account: a, Direct: true})
	if f != nil {
		return f
	}
	data := struct {
		LabelList []string `json:"label_list"`
		LabelType string   `json:"label_type"`
	}{[]string{}, ""}
	for _, l := range asserted(v) {
		data.LabelList = append(data.LabelList, l.Name)
		if t := mistLabelType(l.Category); data.LabelType == "" {
			data.LabelType = t
		}
	}
	tell(c.w, v)
	return mistEnvelope(c, data, c.extra(v))
}

func mistLabelType(category attribute.Category) string {
	switch {
	case category == attribute.Exchange:
		return "exchange"
	case wordOf(category).mist == "mixer":
		return "mixer"
	case strings.HasPrefix(string(category), "defi"):
		return "defi"
	}
	return ""
}

// mistStatus: GET /v1/status.
func mistStatus(c *call) *fault {
	data := struct {
		Coins []string `json:"support_coin"`
	}{[]string{"BTC", "ETH", "TRX", "BNB", "POL-Polygon", "ETH-Arbitrum", "ETH-Optimism", "ETH-Base", "AVAX-Avalanche", "USDT-ERC20", "USDC-ERC20", "USDT-TRC20", "USDT-BEP20"}}
	return mistEnvelope(c, data, nil)
}

// mistScoreOf is a decision on the scale from 3 to 100. Low ends at 30, Moderate at 70, High at 90; who is not known is
// never Low.
func mistScoreOf(d screen.Decision, unsure bool) (int, string) {
	switch {
	case d >= screen.Block:
		return 100, "Severe"
	case d == screen.Hold:
		return 90, "High"
	case d == screen.Attention:
		return 70, "Moderate"
	case unsure:
		return 31, "Moderate"
	}
	return 3, "Low"
}

func toMist(all []*screen.Verdict) mistData {
	m := mistData{DetailList: []string{}, RiskDetail: []mistDetail{}}
	for _, v := range all {
		if score, level := mistScoreOf(v.Decision, v.Unknown || v.Partial); score > m.Score {
			m.Score, m.RiskLevel = score, level
		}
		for _, r := range v.Reasons {
			if r.Decision <= screen.Allow {
				continue
			}
			m.note(r.Sentence)
			if r.Category == "" {
				continue // who is not known has no kind of risk
			}
			entity := r.Entity
			if entity == "" {
				entity = r.List
			}
			direct := r.Direct || ofSubject(&r)
			m.RiskDetail = append(m.RiskDetail, mistDetail{entity, wordOf(r.Category).mist, exposureType(direct), r.Hops, "0", percent(r.Share)})
			if w := wordOf(r.Category); w.chainalysis == "stolen funds" && m.HackingEvent == "" {
				m.HackingEvent = entity
			}
		}
		if len(m.DetailList) == 0 {
			m.note(why(v))
		}
	}
	return m
}

func (m *mistData) note(s string) {
	if s != "" && !slices.Contains(m.DetailList, s) {
		m.DetailList = append(m.DetailList, s)
	}
}
