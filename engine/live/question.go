package live

import (
	"crypto/sha256"
	"fmt"

	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/watch"
)

// digests tell whether what is asked is still the same. They are made when labels and lists are taken and not again:
// with a million accounts that takes a second, for which no block would be seen.
type digests struct {
	labels flow.Hash
	lists  map[string]string // by name
}

func digestsOf(labels *engine.Labels, lists []watch.List) digests {
	d := digests{labels: labels.Hash(), lists: map[string]string{}}
	for _, list := range lists {
		h := sha256.New()
		for _, a := range list.Accounts {
			fmt.Fprintln(h, a)
		}
		fmt.Fprintln(h, list.Dormant, list.Severity, config.Text(list.Least))
		d.lists[list.Name] = fmt.Sprintf("%x", h.Sum(nil))
	}
	return d
}

// questions are the digests of what is asked under each name: where one changes, what was said under it is not said again
// although the chain is the same. l.mu is held.
func (l *Live) questions() map[string]string {
	all := map[string]string{}
	for _, oc := range l.cases {
		if oc.open {
			all[oc.id] = fmt.Sprintf("%d %s %s %d", engine.TraceVersion, oc.sum, l.digests.labels, oc.budget)
		}
	}
	for name, digest := range l.digests.lists {
		all[name] = fmt.Sprintf("%d %s", engine.TraceVersion, digest)
	}
	return all
}
