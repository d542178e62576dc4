package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/finding"
	"github.com/spoor-dev/spoor/screen"
)

// writeVerdict prints a verdict for people.
func writeVerdict(w io.Writer, v screen.Verdict) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	unknown := ""
	if v.Unknown {
		unknown = ", unknown"
	}
	line("%s  %s%s", v.Subject, strings.ToUpper(v.Decision.String()), unknown)
	for _, r := range v.Reasons {
		line("  %-9s  %-22s  %s", r.Decision, r.Rule, finding.Clean(r.Sentence, 1000))
		if len(r.Path.Txs) > 0 {
			names := make([]string, len(r.Path.Accounts))
			for i, a := range r.Path.Accounts {
				names[i] = a.Address()
			}
			line("  %-9s  %-22s  by %s", "", "", strings.Join(names, " > "))
		}
		if r.Evidence != "" {
			line("  %-9s  %-22s  see %s", "", "", finding.Clean(r.Evidence, 300))
		}
	}
	for _, l := range v.Labels {
		line("  %-9s  %-22s  %s (%s), says %s, confidence %d", "label", l.Stance, finding.Clean(l.Name, 120), l.Category, finding.Clean(l.Source.ID, 80), l.Confidence.Level())
	}
	if c := v.Cluster; c != nil {
		line("  %-9s  %-22s  one of %s that are thought to have one owner; %s", "cluster", "", engine.Count(c.Size, "account"), engine.Count(len(c.Ties)+c.Omitted, "label")+" among the others")
	}
	for _, e := range v.Exposure {
		way := "direct"
		if !e.Direct {
			way = fmt.Sprintf("%d hops", e.Hops)
		}
		line("  %-9s  %-22s  %s, %s: %s, between %s and %s", "exposure", finding.Clean(e.Category, 60), e.Direction, way, engine.NameOf(e.Asset).Format(e.Value),
			engine.NameOf(e.Asset).Format(e.Interval.Low), engine.NameOf(e.Asset).Format(e.Interval.High))
	}
	for _, c := range v.Covered {
		line("  %-9s  %-22s  %s of %s %s is accounted for by labels", "covered", fmt.Sprintf("%d.%02d %%", c.Share/10_000_000, c.Share/100_000%100),
			engine.NameOf(c.Asset).Format(c.Named), engine.NameOf(c.Asset).Format(c.Total), c.Direction)
	}
	for _, s := range v.DoesNotKnow {
		line("  unknown    %s", finding.Clean(s, 300))
	}
	line("  as of %s; %s, the newest list %s; policy %s; verdict %s", stamp(v.AsOf), engine.Count(v.LabelCount, "label"), listAge(v.ListAge), v.PolicyID, v.ID)
	_, err := io.WriteString(w, b.String())
	return err
}

func stamp(t int64) string { return time.Unix(t, 0).UTC().Format("2006-01-02 15:04:05 UTC") }

func listAge(seconds int64) string {
	if seconds < 0 {
		return "undated"
	}
	return engine.Count(seconds/86_400, "day") + " old"
}
