package cluster

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spoor-dev/spoor/flow"
)

// A Guard keeps one wrong piece of evidence from joining half of the world. The zero value is valid. Evidence that it
// refuses is quarantined with the reason: what would join two different services, and what would join two large clusters
// on a weak ground.
type Guard struct {
	Large  int // a cluster with more accounts than this is large; 10,000 if 0
	Strong int // evidence of at least this confidence may join two large clusters; 90 if 0
}

func (g Guard) filled() Guard {
	if g.Large == 0 {
		g.Large = 10_000
	}
	if g.Strong == 0 {
		g.Strong = 90
	}
	return g
}

// refuses says why evidence of that confidence may not join two clusters; "" if it may.
func (f *Forest) refuses(confidence uint8, a, b *place) string {
	if a.service != b.service && a.service != 0 && b.service != 0 {
		s, t := f.services[a.service-1], f.services[b.service-1]
		return fmt.Sprintf("would join the services %q and %q", min(s, t), max(s, t))
	}
	if n := min(a.size, b.size); int(n) > f.guard.Large && int(confidence) < f.guard.Strong {
		return fmt.Sprintf("would join clusters of %d and %d accounts on a confidence of %d", n, max(a.size, b.size), confidence)
	}
	return ""
}

// Mark says which accounts belong to which service; no name takes a mark off. All evidence around these accounts is judged
// again as if the marks had always been there, so marks may split clusters. Many marks at once cost one judgement.
func (f *Forest) Mark(marks map[flow.Account]string) {
	var changed []node
	for _, a := range slices.SortedFunc(maps.Keys(marks), flow.Account.Compare) {
		service := marks[a]
		if a.IsZero() {
			continue
		}
		n := f.node(a)
		if f.marks[n] == service {
			continue
		}
		changed = append(changed, n)
		if service == "" {
			delete(f.marks, n)
			continue
		}
		f.marks[n] = service
		if f.service[service] == 0 {
			f.services = append(f.services, service)
			f.service[service] = uint32(len(f.services))
		}
	}
	f.rebuild(changed)
}

// Service is the name of the service that the cluster of an account is marked as, "" if none. Where people accepted
// evidence between two services it is that of the cluster that was larger then.
func (f *Forest) Service(a flow.Account) string {
	n := f.lookup(a)
	if n == 0 {
		return ""
	}
	if s := f.at(f.root(n)).service; s != 0 {
		return f.services[s-1]
	}
	return ""
}

// Marked is the name of the service that an account itself is marked as, "" if none.
func (f *Forest) Marked(a flow.Account) string { return f.marks[f.lookup(a)] }
