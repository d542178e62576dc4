package live

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/spoor-dev/spoor/alert"
)

// metrics are the numbers of a Live for Prometheus. What is known at any time is read when Prometheus asks; nothing in
// them grows with what strangers put on a chain.
type metrics struct {
	live     *Live
	registry *prometheus.Registry
	alerts   *prometheus.CounterVec
	lead     *prometheus.HistogramVec
	block    prometheus.Histogram
	gauges   map[string]*prometheus.Desc
}

// A reading is one number that is read when asked for.
type reading struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
}

var readings = []reading{
	{"spoor_health", "1 for the state that holds: well, degraded or sick.", prometheus.GaugeValue, []string{"state"}},
	{"spoor_start_time_seconds", "When it began, in seconds since 1970.", prometheus.GaugeValue, nil},
	{"spoor_chain_head_height", "Newest block that a node names.", prometheus.GaugeValue, []string{"chain"}},
	{"spoor_chain_tip_height", "Newest block that open cases have seen.", prometheus.GaugeValue, []string{"chain"}},
	{"spoor_chain_final_height", "Newest block that will not be undone.", prometheus.GaugeValue, []string{"chain"}},
	{"spoor_chain_lag_blocks", "Blocks from the tip to the head.", prometheus.GaugeValue, []string{"chain"}},
	{"spoor_chain_lag_seconds", "How long the oldest block that was heard of is not taken in.", prometheus.GaugeValue, []string{"chain"}},
	{"spoor_chain_tip_time_seconds", "Time of the tip by its own clock, in seconds since 1970.", prometheus.GaugeValue, []string{"chain"}},
	{"spoor_chain_hole_blocks", "Blocks that are missing between the first and the tip.", prometheus.GaugeValue, []string{"chain"}},
	{"spoor_chain_filled_blocks_total", "Missing blocks that were filled in.", prometheus.CounterValue, []string{"chain"}},
	{"spoor_chain_blocks_total", "Blocks taken in.", prometheus.CounterValue, []string{"chain"}},
	{"spoor_chain_movements_total", "Movements of value taken in.", prometheus.CounterValue, []string{"chain"}},
	{"spoor_chain_undone_blocks_total", "Blocks that were reorganised away.", prometheus.CounterValue, []string{"chain"}},
	{"spoor_chain_deepest_fork_blocks", "Blocks undone by the deepest fork.", prometheus.GaugeValue, []string{"chain"}},
	{"spoor_chain_unconfirmed", "1 while fewer nodes than wanted confirm the blocks.", prometheus.GaugeValue, []string{"chain"}},
	{"spoor_node_up", "1 while a node answers well.", prometheus.GaugeValue, []string{"chain", "node"}},
	{"spoor_node_behind_blocks", "Blocks that a node lacks of the best.", prometheus.GaugeValue, []string{"chain", "node"}},
	{"spoor_node_lies_total", "Answers of a node that cannot be.", prometheus.CounterValue, []string{"chain", "node"}},
	{"spoor_node_errors_total", "Questions that a node did not answer.", prometheus.CounterValue, []string{"chain", "node"}},
	{"spoor_node_requests_total", "Questions to a node.", prometheus.CounterValue, []string{"chain", "node"}},
	{"spoor_node_answer_seconds", "Median time of a node's last answers.", prometheus.GaugeValue, []string{"chain", "node"}},
	{"spoor_cases_open", "Cases that are followed.", prometheus.GaugeValue, nil},
	{"spoor_cases_waiting", "Cases that cannot be opened.", prometheus.GaugeValue, nil},
	{"spoor_cases_aside", "Cases that are not followed on some chain.", prometheus.GaugeValue, nil},
	{"spoor_followed_holders", "Holders of stolen money that were followed so far.", prometheus.GaugeValue, nil},
	{"spoor_list_accounts", "Accounts on watch lists.", prometheus.GaugeValue, nil},
	{"spoor_touches_total", "Transactions that mattered to a case.", prometheus.CounterValue, nil},
	{"spoor_dust_total", "Payments of dust and counterfeits to listed accounts that were counted and not told.", prometheus.CounterValue, nil},
	{"spoor_outbox_queued", "Messages that wait for a sink.", prometheus.GaugeValue, []string{"sink"}},
	{"spoor_outbox_oldest_seconds", "Age of the oldest message that waits for a sink.", prometheus.GaugeValue, []string{"sink"}},
	{"spoor_outbox_dead", "Messages of a sink that were given up.", prometheus.GaugeValue, []string{"sink"}},
	{"spoor_outbox_sent_total", "Messages that a sink took.", prometheus.CounterValue, []string{"sink"}},
	{"spoor_outbox_retries_total", "Groups of messages that a sink did not take at once.", prometheus.CounterValue, []string{"sink"}},
	{"spoor_disk_free_bytes", "Room on the disk of the store.", prometheus.GaugeValue, nil},
	{"spoor_disk_low", "1 while nothing is taken in because there is too little room.", prometheus.GaugeValue, nil},
}

func newMetrics(l *Live) *metrics {
	m := &metrics{live: l, registry: prometheus.NewRegistry(), gauges: map[string]*prometheus.Desc{}}
	for _, r := range readings {
		m.gauges[r.name] = prometheus.NewDesc(r.name, r.help, r.labels, nil)
	}
	m.alerts = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spoor_alerts_total", Help: "Alerts made, by kind and severity."}, []string{"kind", "severity"})
	m.lead = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "spoor_alert_lead_seconds",
		Help:    "Time from when a block was first heard of until a sink took the alert about it.",
		Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2, 5, 15, 60, 300}}, []string{"sink"})
	m.block = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "spoor_block_seconds",
		Help:    "Time from when a block was first heard of until all cases had seen it and alerts about it were safe.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 15, 60}})
	m.registry.MustRegister(m, m.alerts, m.lead, m.block, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// made counts alerts.
func (m *metrics) made(alerts []alert.Alert) {
	for _, a := range alerts {
		m.alerts.WithLabelValues(string(a.Kind), a.Severity.String()).Inc()
	}
}

// sent measures how long it took until somebody was told.
func (m *metrics) sent(sink string, _ alert.Alert, lead time.Duration) {
	m.lead.WithLabelValues(sink).Observe(lead.Seconds())
}

// eaten measures how long it took until a block was seen by all.
func (m *metrics) eaten(took time.Duration) { m.block.Observe(took.Seconds()) }

// handler answers Prometheus.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range m.gauges {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	s, err := m.live.State()
	if err != nil {
		to <- prometheus.NewInvalidMetric(m.gauges["spoor_health"], err)
		return
	}
	kinds := map[string]prometheus.ValueType{}
	for _, r := range readings {
		kinds[r.name] = r.kind
	}
	put := func(name string, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(m.gauges[name], kinds[name], v, labels...)
	}
	for _, h := range []Health{Well, Degraded, Sick} {
		put("spoor_health", truth(s.Health == h), string(h))
	}
	put("spoor_start_time_seconds", float64(s.Began.Unix()))
	for _, c := range s.Chains {
		m.collectChain(put, c)
	}
	open := 0
	for _, c := range s.Cases {
		if c.Open {
			open++
		}
	}
	put("spoor_cases_open", float64(open))
	put("spoor_cases_waiting", float64(len(s.Cases)-open))
	put("spoor_cases_aside", float64(s.Watching.Aside))
	put("spoor_followed_holders", float64(s.Watching.Following))
	put("spoor_list_accounts", float64(s.Watching.Accounts))
	put("spoor_touches_total", float64(s.Watching.Touches))
	put("spoor_dust_total", float64(s.Watching.Dust))
	for _, k := range s.Outbox.Sinks {
		put("spoor_outbox_queued", float64(k.Queued), k.Name)
		put("spoor_outbox_oldest_seconds", k.Oldest.Seconds(), k.Name)
		put("spoor_outbox_dead", float64(k.Dead), k.Name)
		put("spoor_outbox_sent_total", float64(k.Sent), k.Name)
		put("spoor_outbox_retries_total", float64(k.Retried), k.Name)
	}
	put("spoor_disk_free_bytes", float64(s.Disk.Free))
	put("spoor_disk_low", truth(s.Disk.Low))
}

func (m *metrics) collectChain(put func(string, float64, ...string), c ChainState) {
	name := c.Chain.String()
	put("spoor_chain_tip_height", float64(c.Tip.Height), name)
	put("spoor_chain_final_height", float64(c.Final.Height), name)
	put("spoor_chain_tip_time_seconds", float64(c.Tip.Time), name)
	put("spoor_chain_lag_blocks", float64(c.LagBlocks), name)
	put("spoor_chain_lag_seconds", c.LagSeconds, name)
	put("spoor_chain_hole_blocks", float64(c.HoleBlocks), name)
	put("spoor_chain_filled_blocks_total", float64(c.Filled), name)
	put("spoor_chain_blocks_total", float64(c.Blocks), name)
	put("spoor_chain_movements_total", float64(c.Movements), name)
	put("spoor_chain_undone_blocks_total", float64(c.Undone), name)
	if c.Nodes == nil {
		return
	}
	put("spoor_chain_head_height", float64(c.Nodes.Head.Height), name)
	put("spoor_chain_deepest_fork_blocks", float64(c.Nodes.Deepest), name)
	put("spoor_chain_unconfirmed", truth(c.Nodes.Unconfirmed), name)
	for _, n := range c.Nodes.Nodes {
		put("spoor_node_up", truth(n.State == "well"), name, n.Name)
		put("spoor_node_behind_blocks", float64(n.Behind), name, n.Name)
		put("spoor_node_lies_total", float64(n.Lies), name, n.Name)
		put("spoor_node_errors_total", float64(n.Errors), name, n.Name)
		put("spoor_node_requests_total", float64(n.Requests), name, n.Name)
		put("spoor_node_answer_seconds", n.P50.Seconds(), name, n.Name)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
