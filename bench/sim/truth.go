package sim

import "github.com/spoor-dev/spoor/flow"

// A carried is a transfer that carried stolen units.
type carried struct {
	row          *row
	units, claim flow.Amount
	reachable    bool   // from the sources in time order, without leaving the chain
	behind       string // the kinds of services that the units went through before: mixer, bridge
	step         string
}

// A neutralRow is a transfer that a scorer neither rewards nor blames.
type neutralRow struct {
	row    *row
	reason string
}

// A place is an account on a chain.
type place struct {
	who   account
	chain int
}

// A planted is one instance of a pattern.
type planted struct {
	name     string
	accounts []account
	txs      []*tx
}

// A party is what an account was in the laundering.
type party struct {
	source, paid bool
	service      *service
}

// A theft is what was stolen, and when.
type theft struct {
	source, victim account
	asset          asset
	amount         flow.Amount
	row            *row
}

// truth is what the generator knows and no tracer is told. It grows with the laundering, not with the traffic.
type truth struct {
	thefts    []theft
	rows      []carried
	neutrals  []neutralRow
	parties   map[account]*party
	order     []account // of parties, as they came
	reached   map[place]bool
	passed    map[place]string
	instances []*planted
}

func newTruth() *truth {
	return &truth{parties: map[account]*party{}, reached: map[place]bool{}, passed: map[place]string{}}
}

func (t *truth) party(who account) *party {
	p, ok := t.parties[who]
	if !ok {
		p = &party{}
		t.parties[who] = p
		t.order = append(t.order, who)
	}
	return p
}

// steal notes a theft.
func (t *truth) steal(th theft) {
	t.thefts = append(t.thefts, th)
	t.party(th.source).source = true
	t.reached[place{th.source, th.asset.chain()}] = true
	t.neutral(th.row, "theft")
}

// carry notes a transfer that moved lots; s is the service that was paid or that pays, nil if none.
func (t *truth) carry(r *row, lots []lot, to *service, step string) {
	from := place{r.from, r.tx.chain}
	t.party(r.from).paid = true
	t.party(r.to).service = to
	reachable := t.reached[from]
	if at := (place{r.to, r.tx.chain}); reachable {
		t.reached[at] = true
	}
	if at := (place{r.to, r.tx.chain}); to == nil && t.passed[at] == "" && t.passed[from] != "" {
		t.passed[at] = t.passed[from]
	}
	t.rows = append(t.rows, carried{r, unitsOf(lots), claimOf(lots), reachable, t.passed[from], step})
}

// leave notes that what comes out of a service with that row went through it.
func (t *truth) leave(s *service, r *row, lots []lot, step string) {
	at := place{r.from, r.tx.chain}
	t.party(r.from).service = s
	t.rows = append(t.rows, carried{r, unitsOf(lots), claimOf(lots), t.reached[at], s.kind, step})
	t.party(r.to)
	to := place{r.to, r.tx.chain}
	if t.reached[at] {
		t.reached[to] = true
	}
	if t.passed[to] == "" {
		t.passed[to] = s.kind
	}
}

func (t *truth) neutral(r *row, reason string) {
	t.neutrals = append(t.neutrals, neutralRow{r, reason})
}

// role is what an account was: source, laundering (it passed stolen units on) or terminal.
func (p *party) role() string {
	switch {
	case p.source:
		return "source"
	case p.paid && p.service == nil:
		return "laundering"
	}
	return "terminal"
}

// labelled reports whether the labels of the case name the account a service.
func (p *party) labelled() bool { return p.service != nil && p.service.labelled }
