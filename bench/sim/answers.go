package sim

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// namedUsers is how many users the labels of a case name at most; they are no services.
const namedUsers = 300

// labelled reports whether the labels of the case name an account as a service.
func (w *world) labelled(who account) bool {
	p, ok := w.truth.parties[who]
	return ok && p.labelled()
}

// labels writes what a tracer is given beside the transfers: labels.csv and sources.csv.
func (f *folder) labels() error {
	w := f.w
	labels, err := f.create("labels.csv", "address,label,category,is_service\n")
	if err != nil {
		return err
	}
	var lines []string
	for _, s := range w.services {
		if s.labelled {
			lines = append(lines, fmt.Sprintf("%s,%s,%s,1\n", f.addr(s.hot), s.name(), s.kind))
		}
	}
	for i := range min(namedUsers, w.cfg.Accounts/100) {
		who := account(1 + mix64(uint64(i)^w.cfg.Seed)%uint64(w.cfg.Accounts))
		lines = append(lines, fmt.Sprintf("%s,named account %d,user,0\n", f.addr(who), who))
	}
	slices.Sort(lines)
	for _, l := range slices.Compact(lines) {
		labels.buf.WriteString(l)
	}
	sources, err := f.create("sources.csv", "address,start_block,start_timestamp\n")
	if err != nil {
		return err
	}
	for _, t := range w.truth.thefts {
		fmt.Fprintf(sources.buf, "%s,%d,%d\n", f.addr(t.source), heightOf(0, t.row.tx.slot), timeOf(t.row.tx.slot))
	}
	return nil
}

// truth writes the answers.
func (f *folder) truth() error {
	w := f.w
	t := w.truth
	var err error
	open := func(name, head string) *table {
		var t *table
		if err == nil {
			t, err = f.create(filepath.Join("truth", name), head)
		}
		return t
	}
	rows := open("truth_transfers.csv.gz", "tx_hash,log_index,block_number,timestamp,from,to,asset,amount_base_units,usd_cents,into_terminal,reachable,"+
		"chain,stolen_units,claim,behind,step\n")
	addresses := open("truth_addresses.csv", "address,role,is_service,reachable\n")
	neutral := open("neutral_transfers.csv.gz", "tx_hash,log_index,reason\n")
	services := open("services.csv", "address\n")
	holdings := open("holdings.csv", "theft,chain,account,asset,stolen_units,claim\n")
	sinks := open("sinks.csv", "theft,kind,service,via,chain,asset,stolen_units,claim,labelled,swept\n")
	patterns := open("patterns.csv", "pattern,instance,accounts,transactions\n")
	if err != nil {
		return err
	}
	for _, c := range t.rows {
		r := c.row
		fmt.Fprintf(rows.buf, "0x%s,%d,%d,%d,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s\n", r.tx.hash, r.index, heightOf(r.tx.chain, r.tx.slot), timeOf(r.tx.slot),
			f.addr(r.from), f.addr(r.to), f.text(r.asset), r.amount, r.asset.cents(c.units), flag(t.parties[r.to].role() == "terminal"),
			flag(c.reachable), chainNames[r.tx.chain], c.units, c.claim, c.behind, c.step)
	}
	for _, who := range t.order {
		p := t.parties[who]
		reachable := false
		for c := range w.chains {
			reachable = reachable || t.reached[place{who, c}]
		}
		fmt.Fprintf(addresses.buf, "%s,%s,%s,%s\n", f.addr(who), p.role(), flag(p.labelled()), flag(reachable))
	}
	for _, n := range t.neutrals {
		fmt.Fprintf(neutral.buf, "0x%s,%d,%s\n", n.row.tx.hash, n.row.index, n.reason)
	}
	var names []string
	for _, s := range w.services {
		if s.labelled {
			names = append(names, f.addr(s.hot)+"\n")
		}
	}
	slices.Sort(names)
	services.buf.WriteString(strings.Join(names, ""))
	f.endings(holdings, sinks)
	for i, in := range t.instances {
		accounts := make([]string, len(in.accounts))
		for k, who := range in.accounts {
			accounts[k] = f.addr(who)
		}
		txs := make([]string, len(in.txs))
		for k, x := range in.txs {
			txs[k] = "0x" + x.hash.String()
		}
		fmt.Fprintf(patterns.buf, "%s,%d,%s,%s\n", in.name, i+1, strings.Join(accounts, " "), strings.Join(txs, " "))
	}
	return nil
}

// endings writes where the stolen units are at the end. What lies at a deposit address and was not forwarded yet is in a
// sink, not held.
func (f *folder) endings(holdings, sinks *table) {
	w := f.w
	for _, h := range sortedHoldings(w.lots) {
		if h.who&markMask == depositMark {
			if s := w.keepers[h.who]; s != nil {
				w.sinkLots(sink{service: s, via: h.who, asset: h.asset}, w.lots[h])
			}
			continue
		}
		sums := map[int]lot{}
		for _, l := range w.lots[h] {
			s := sums[l.theft]
			sums[l.theft] = lot{l.theft, plus(s.units, l.units), plus(s.claim, l.claim)}
		}
		for i := range w.truth.thefts {
			if l, ok := sums[i]; ok {
				fmt.Fprintf(holdings.buf, "%d,%s,%s,%s,%s,%s\n", i, chainNames[h.asset.chain()], f.addr(h.who), f.text(h.asset), l.units, l.claim)
			}
		}
	}
	keys := make([]sink, 0, len(w.sinks))
	for k := range w.sinks {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b sink) int {
		return cmp.Or(cmp.Compare(a.theft, b.theft), cmp.Compare(a.service.number, b.service.number), cmp.Compare(a.via, b.via),
			cmp.Compare(a.asset, b.asset), cmp.Compare(flag(a.swept), flag(b.swept)))
	})
	for _, k := range keys {
		via := ""
		if k.via != 0 {
			via = f.addr(k.via)
		}
		l := w.sinks[k]
		fmt.Fprintf(sinks.buf, "%d,%s,%s,%s,%s,%s,%s,%s,%s,%s\n", k.theft, k.service.kind, f.addr(k.service.hot), via, chainNames[k.asset.chain()],
			f.text(k.asset), l.units, l.claim, flag(k.service.labelled), flag(k.swept))
	}
}
