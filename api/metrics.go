package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/spoor-dev/spoor/screen"
)

// metrics are the numbers of one server for Prometheus. Nothing in them grows with what callers send.
type metrics struct {
	requests  *prometheus.CounterVec
	seconds   map[string]prometheus.Observer // by route
	decisions [screen.Block + 1]prometheus.Counter
	unknown   prometheus.Counter
	handler   http.Handler
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spoor_http_requests_total",
			Help: "Requests answered, by route and status."}, []string{"route", "status"}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{Name: "spoor_verdicts_unknown_total",
			Help: "Verdicts about accounts of which nobody says who they are."}),
		seconds: map[string]prometheus.Observer{},
	}
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "spoor_http_request_seconds",
		Help:    "Time from the header of a request to the end of its answer.",
		Buckets: []float64{.0001, .00025, .0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}}, []string{"route"})
	for _, rt := range s.routes {
		m.seconds[rt.name] = seconds.WithLabelValues(rt.name)
	}
	m.seconds["nowhere"] = seconds.WithLabelValues("nowhere")
	decisions := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spoor_verdicts_total",
		Help: "Verdicts given, by decision."}, []string{"decision"})
	for d := screen.Allow; d <= screen.Block; d++ {
		m.decisions[d] = decisions.WithLabelValues(d.String())
	}
	r := prometheus.NewRegistry()
	r.MustRegister(m.requests, seconds, decisions, m.unknown)
	gauge := func(name, help string, value func(Readiness) float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			return value(s.Readiness(context.Background()))
		}))
	}
	gauge("spoor_ready", "1 while verdicts are given, else 0.", func(r Readiness) float64 {
		if r.State == Unready {
			return 0
		}
		return 1
	})
	gauge("spoor_degraded", "1 while verdicts are given with a reservation, else 0.", func(r Readiness) float64 {
		if r.State == Degraded {
			return 1
		}
		return 0
	})
	gauge("spoor_labels", "Labels known.", func(r Readiness) float64 { return float64(r.Labels.Count) })
	gauge("spoor_list_age_seconds", "Age of the newest list; -1 if no list says when it was made.", func(r Readiness) float64 { return float64(r.ListAge) })
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "spoor_http_in_flight", Help: "Requests that are being answered."},
		func() float64 { return float64(len(s.inFlight)) }))
	m.handler = promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
	return m
}

func (m *metrics) observe(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, statusText(status)).Inc()
	m.seconds[route].Observe(took.Seconds())
}

// statusText is the number of a status; 0 stands for an answer that broke off.
func statusText(status int) string {
	switch status {
	case http.StatusOK:
		return "200"
	case http.StatusCreated:
		return "201"
	}
	return strconv.Itoa(status)
}

func (m *metrics) decided(v *screen.Verdict) {
	m.decisions[v.Decision].Inc()
	if v.Unknown {
		m.unknown.Inc()
	}
}

func scrape(c *call) *fault {
	c.metrics.handler.ServeHTTP(c.w, c.r)
	return nil
}
