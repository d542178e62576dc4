package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// drainState is whether the server is stopping, and the last status that was asked for.
type drainState struct {
	stopping atomic.Bool
	mu       sync.Mutex
	at       time.Time // guarded by mu
	status   Status    // guarded by mu
}

// statusAge is how long a status is good for: it is asked for with every question.
const statusAge = 500 * time.Millisecond

func (s *Server) status(ctx context.Context) Status {
	now := s.config.Now()
	d := &s.draining
	d.mu.Lock()
	if age := now.Sub(d.at); !d.at.IsZero() && age >= 0 && age < statusAge {
		defer d.mu.Unlock()
		return d.status
	}
	d.mu.Unlock()
	st := s.world.Status(ctx)
	if st.Chains == nil {
		st.Chains = []ChainStatus{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at, d.status = now, st
	return st
}

// A Readiness says whether answers can be relied on, and if not, why.
type Readiness struct {
	State   string   `json:"state"`    // ready, degraded (it answers, read the reasons) or unready (it refuses)
	Reasons []string `json:"reasons"`  // sentences
	ListAge int64    `json:"list_age"` // seconds since the newest list was made; -1 if no list says
	Status
}

// The states of a Readiness.
const (
	Ready    = "ready"
	Degraded = "degraded"
	Unready  = "unready"
)

// Readiness is the state of now. Without labels that can be read there is no verdict, and so no readiness. A store that
// cannot be read leaves the direct questions, and a list that is too old what Config.ServeStale says.
func (s *Server) Readiness(ctx context.Context) Readiness {
	st := s.status(ctx)
	r := Readiness{State: Ready, Reasons: []string{}, ListAge: -1, Status: st}
	worse := func(state, format string, args ...any) {
		if r.State != Unready {
			r.State = state
		}
		r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...))
	}
	if st.Labels.Newest > 0 {
		r.ListAge = s.config.Now().Unix() - st.Labels.Newest
	}
	switch {
	case st.LabelError != "":
		worse(Unready, "the labels cannot be read: %s", st.LabelError)
	case st.Labels.Count == 0:
		worse(Unready, "there are no labels: nothing can be recognised")
	default:
		s.judgeAge(r.ListAge, worse)
	}
	if st.StoreError != "" {
		worse(Degraded, "the store cannot be read, so no question about exposure is answered: %s", st.StoreError)
	}
	if s.draining.stopping.Load() {
		worse(Unready, "the server is stopping")
	}
	return r
}

// judgeAge says what a list of that age in seconds means.
func (s *Server) judgeAge(age int64, worse func(state, format string, args ...any)) {
	most := s.config.MaxListAge
	if most <= 0 {
		return
	}
	state := Unready
	if s.config.ServeStale {
		state = Degraded
	}
	switch {
	case age < 0:
		worse(state, "no list says when it was made")
	case time.Duration(age)*time.Second > most:
		worse(state, "the newest list is %s old; at most %s is allowed", time.Duration(age)*time.Second, most)
	}
}

// fitToScreen refuses questions for verdicts while nobody should rely on one. A server that is stopping still answers
// those that it has let in.
func (c *call) fitToScreen() *fault {
	st := c.status(c.ctx)
	var why string
	judge := func(state, format string, args ...any) {
		if state == Unready {
			why = fmt.Sprintf(format, args...)
		}
	}
	switch {
	case st.LabelError != "":
		why = "the labels cannot be read"
	case st.Labels.Count == 0:
		why = "there are no labels"
	default:
		age := int64(-1)
		if st.Labels.Newest > 0 {
			age = c.config.Now().Unix() - st.Labels.Newest
		}
		c.judgeAge(age, judge)
	}
	if why == "" {
		return nil
	}
	return &fault{status: 503, word: "not-ready", title: "No verdict can be given", detail: why,
		hint: "treat it as not cleared; the operator runs \"spoor label refresh\"", retry: 30}
}

func health(c *call) *fault {
	writeJSON(c.w, http.StatusOK, struct {
		State string `json:"state"`
	}{"up"})
	return nil
}

func readiness(c *call) *fault {
	r := c.Readiness(c.r.Context())
	status := http.StatusOK
	if r.State == Unready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(c.w, status, r)
	return nil
}

func version(c *call) *fault {
	writeJSON(c.w, http.StatusOK, struct {
		Version string `json:"version"`
	}{c.config.Version})
	return nil
}
