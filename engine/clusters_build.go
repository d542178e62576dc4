package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/cluster"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
)

// ClusterConfig is how clusters are built. Its zero value is valid: without labels no services are known, and so no deposits.
type ClusterConfig struct {
	Labels    *attribute.Book                                      // who is a service, as it is known now
	Rule      cluster.DepositRule                                  // what a deposit is
	Now       func() time.Time                                     // the clock; time.Now if nil
	Save      func() error                                         // writes the clusters down; may be nil. Called now and then, and at the end, also of a build that fails
	SaveEvery time.Duration                                        // 5 minutes if 0
	Progress  func(c flow.Chain, done, total uint64, evidence int) // blocks of the chain; may be nil
}

// ClusterStats says what a build has done, and what there is now.
type ClusterStats struct {
	Blocks    int `json:"blocks"`    // that were new
	Added     int `json:"added"`     // pieces of evidence
	Withdrawn int `json:"withdrawn"` // because their blocks are gone
	Withheld  int `json:"withheld"`  // transactions that say nothing of owners: CoinJoins and what may be a PayJoin
	Evidence  int `json:"evidence"`
	Accounts  int `json:"accounts"`
	Clusters  int `json:"clusters"`
	Doubts    int `json:"doubts"` // pieces of evidence that the guard has refused
}

// Build reads the blocks of a store from where it stopped before, and adds what they say about owners. It can be stopped at
// any block and goes on there. Errors: ErrClusterFork.
func (c *Clusters) Build(ctx context.Context, s store.Snapshot, config ClusterConfig) (ClusterStats, error) {
	b := &clusterBuild{ClusterConfig: config, c: c, s: s, services: map[flow.Account]string{}}
	if b.Now == nil {
		b.Now = time.Now
	}
	b.SaveEvery = cmp.Or(b.SaveEvery, 5*time.Minute)
	b.saved = b.Now()
	b.mark()
	var err error
	for _, chain := range s.Chains() {
		if err = b.chain(ctx, chain); err != nil {
			err = fmt.Errorf("clusters of %s: %w", chain, err)
			break
		}
	}
	if b.Save != nil {
		err = errors.Join(err, b.Save())
	}
	b.stats.Evidence, b.stats.Accounts, b.stats.Clusters = c.Forest.Len()
	b.stats.Doubts = len(c.Forest.Doubts())
	return b.stats, err
}

// A clusterBuild is one run of Build.
type clusterBuild struct {
	ClusterConfig
	c        *Clusters
	s        store.Snapshot
	stats    ClusterStats
	saved    time.Time
	signer   flow.Account            // of the transaction that is read
	services map[flow.Account]string // the services of accounts that were met
	met      map[flow.Account]bool   // signers whose other chains were looked at
}

// chain reads the blocks of one chain.
func (b *clusterBuild) chain(ctx context.Context, of flow.Chain) error {
	if !of.IsEVM() && !of.IsUTXO() {
		return nil
	}
	tip, ok := b.s.Tip(of)
	if !ok {
		return nil
	}
	first, err := b.s.FirstAt(ctx, of, math.MinInt64)
	if err != nil {
		return fmt.Errorf("first block: %w", err)
	}
	place := b.c.place(of)
	if err := b.undo(ctx, place); err != nil {
		return err
	}
	fresh, from := first.Height, first.Height // what comes before fresh was read already
	if len(place.Recent) > 0 {
		fresh = place.Recent[0].Height + 1
		from = fresh
	}
	read := b.readBitcoin
	if of.IsEVM() {
		deposits := cluster.NewDeposits(b.Rule, b)
		window := cmp.Or(b.Rule.Blocks, 3200)
		from = max(first.Height, fresh-min(fresh, window)) // what was paid shortly before may be passed on now
		read = func(ctx context.Context, tx flow.Tx, isNew bool) error { return b.readEVM(ctx, deposits, tx, isNew) }
	}
	holes, err := b.s.Holes(ctx, of)
	if err != nil {
		return err
	}
	b.met = map[flow.Account]bool{}
	for h := from; h <= tip.Height; h++ {
		if i := slices.IndexFunc(holes, func(o store.Hole) bool { return o.From <= h && h <= o.To }); i >= 0 {
			h = holes[i].To
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		block, err := b.s.Block(ctx, of, h)
		if err != nil {
			return fmt.Errorf("block %d: %w", h, err)
		}
		for _, tx := range block.Txs {
			if err := read(ctx, tx, h >= fresh); err != nil {
				return fmt.Errorf("block %d: transaction %d: %w", h, tx.Index, err)
			}
		}
		if h < fresh {
			continue
		}
		place.reached(block.Point)
		b.stats.Blocks++
		if b.Progress != nil {
			b.Progress(of, h-fresh+1, tip.Height-fresh+1, b.stats.Added)
		}
		if now := b.Now(); b.Save != nil && now.Sub(b.saved) >= b.SaveEvery {
			if err := b.Save(); err != nil {
				return err
			}
			b.saved = now
		}
	}
	return nil
}

// undo withdraws what blocks said that the store does not hold any more.
func (b *clusterBuild) undo(ctx context.Context, place *clusterPlace) error {
	if len(place.Recent) == 0 {
		return nil
	}
	for i, p := range place.Recent {
		here, err := b.s.Point(ctx, place.Chain, p.Height)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err != nil || here != p {
			continue
		}
		if i > 0 {
			gone := b.c.Forest.Since(place.Chain, flow.Pos{Height: p.Height + 1})
			w := cluster.Withdrawal{Seen: b.Now().Unix(), Reason: fmt.Sprintf("%sthe blocks above %d are gone", forkReason, p.Height)}
			if err := b.c.Forest.Withdraw(w, gone...); err != nil {
				return err
			}
			b.stats.Withdrawn += len(gone)
			place.Recent = slices.Clone(place.Recent[i:])
		}
		return nil
	}
	return fmt.Errorf("%w: block %d", ErrClusterFork, place.Recent[len(place.Recent)-1].Height)
}

// add puts evidence into the forest, with the marks of its accounts.
func (b *clusterBuild) add(all ...cluster.Evidence) error {
	for _, e := range all {
		marks := map[flow.Account]string{}
		for _, a := range []flow.Account{e.A, e.B} {
			if service := b.service(a); service != "" {
				marks[a] = service
			}
		}
		if len(marks) > 0 {
			b.c.Forest.Mark(marks)
		}
		id, _, err := b.c.Forest.Add(e)
		if err != nil {
			return err
		}
		b.stats.Added++
		if w, ok := b.c.taken[whatIs(e)]; ok {
			if err := b.c.Forest.Withdraw(w, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// mark lets the labels of now say which accounts of the forest are services.
func (b *clusterBuild) mark() {
	marks := map[flow.Account]string{}
	for a := range b.c.Forest.All() {
		if service := serviceOf(b.labels(a)); service != b.c.Forest.Marked(a) {
			marks[a] = service
		}
	}
	b.c.Forest.Mark(marks)
}

func (b *clusterBuild) labels(a flow.Account) []attribute.Label {
	now := b.Now().Unix()
	return b.Labels.LabelsOf(a, now, now)
}

// rememberedServices bounds clusterBuild.services.
const rememberedServices = 1 << 20

// service is the name of the service that an account belongs to, "" if none.
func (b *clusterBuild) service(a flow.Account) string {
	name, ok := b.services[a]
	if !ok {
		name = serviceOf(b.labels(a))
		if len(b.services) >= rememberedServices {
			clear(b.services)
		}
		b.services[a] = name
	}
	return name
}

// serviceOf is whose service labels say that an account is, "" if none. Lists number the accounts of one service, so what
// follows a colon, and digits at the end, are left out.
func serviceOf(labels []attribute.Label) string {
	for _, l := range labels {
		if !l.Service || l.Stance != attribute.Asserts {
			continue
		}
		name, _, _ := strings.Cut(cmp.Or(l.Actor, l.Name, string(l.Category)), ":")
		name = strings.ToLower(strings.TrimRight(name, " 0123456789#_-"))
		return cmp.Or(name, string(l.Category), l.Source.ID)
	}
	return ""
}

// custodians are the categories of services that give each customer a deposit address and sweep it.
var custodians = []attribute.Category{attribute.Exchange, "payment_processor", "gambling", "hot_wallet", "x:custodian", "x:otc", "x:institution"}

// Service implements cluster.Accounts: only who keeps money for customers has deposit addresses. Who pays a mixer or a bridge
// is its user, and nobody's deposit address.
func (b *clusterBuild) Service(a flow.Account) string {
	name := b.service(a)
	if name == "" || slices.ContainsFunc(b.labels(a), func(l attribute.Label) bool {
		return l.Service && l.Stance == attribute.Asserts && slices.Contains(custodians, l.Category)
	}) {
		return name
	}
	return ""
}

// IsContract implements cluster.Accounts: who signed the transaction is none. Nothing else that a store holds can tell.
func (b *clusterBuild) IsContract(a flow.Account) bool { return a != b.signer }

// signerOf is who signed a transaction of an EVM chain: who paid for it, or who gave the coin that it carries itself.
func signerOf(tx flow.Tx) flow.Account {
	var signer flow.Account
	for _, m := range tx.Movements {
		switch {
		case len(m.In) != 1:
		case m.Kind == flow.Fee:
			return m.In[0].Account
		case m.Kind == flow.Transfer && signer.IsZero():
			signer = m.In[0].Account
		}
	}
	return signer
}

func (b *clusterBuild) readEVM(ctx context.Context, deposits *cluster.Deposits, tx flow.Tx, isNew bool) error {
	if tx.ID == tx.Point.Hash { // what the block itself moved
		return nil
	}
	b.signer = signerOf(tx)
	found := deposits.Eat(tx, b.Now().Unix())
	if !isNew {
		return nil
	}
	if err := b.add(found...); err != nil {
		return err
	}
	return b.sameKey(ctx, tx)
}

func (b *clusterBuild) readBitcoin(ctx context.Context, tx flow.Tx, _ bool) error {
	past := &storePast{ctx: ctx, s: b.s, chain: tx.Point.Chain}
	r := cluster.ReadBitcoin(tx, past, b.Now().Unix())
	if past.err != nil {
		return past.err
	}
	if r.Withheld != "" && len(r.Evidence) == 0 && len(tx.Movements) > 0 && tx.Movements[0].IsComplete() && len(tx.Movements[0].In) > 0 {
		b.stats.Withheld++
	}
	return b.add(r.Evidence...)
}

// storePast asks a store about the past. It implements cluster.History; where the store cannot be read everything was seen
// before, and err says why.
type storePast struct {
	ctx   context.Context
	s     store.Snapshot
	chain flow.Chain
	err   error
}

// SeenBefore implements cluster.History.
func (p *storePast) SeenBefore(a flow.Account, at flow.Pos) bool {
	seen := false
	ids, err := p.s.IDs(p.ctx, p.chain, []flow.Account{a})
	if err == nil && ids[0] != 0 {
		err = p.s.Entries(p.ctx, p.chain, []store.Ask{{Holder: ids[0], Limit: 1}}, func(_ int, es []store.Entry) error {
			seen = len(es) > 0 && (flow.Pos{Height: es[0].Pos.Height, Tx: es[0].Pos.Tx}).Compare(flow.Pos{Height: at.Height, Tx: at.Tx}) < 0
			return nil
		})
	}
	if err != nil {
		p.err = errors.Join(p.err, fmt.Errorf("history of %s: %w", a, err))
		return true
	}
	return seen
}

// mostEntries is how far into the history of an account a signature is looked for.
const mostEntries = 4096

// sameKey says that the signer of a transaction is the owner of that address on the other chains where it has signed.
func (b *clusterBuild) sameKey(ctx context.Context, tx flow.Tx) error {
	a := b.signer
	if a.IsZero() || b.met[a] {
		return nil
	}
	if len(b.met) >= rememberedServices {
		clear(b.met)
	}
	b.met[a] = true
	var here cluster.Presence
	var now int64
	for _, chain := range b.s.Chains() {
		if chain == a.Chain() || !chain.IsEVM() {
			continue
		}
		other, err := a.On(chain)
		if err != nil {
			return err
		}
		there, then, err := b.signed(ctx, other)
		if err != nil {
			return err
		}
		if !there.Signed {
			continue
		}
		if !here.Signed {
			if here, now, err = b.signed(ctx, a); err != nil || !here.Signed {
				return err
			}
		}
		x, y := there, here
		if then > now { // it holds from the later one on
			x, y = here, there
		}
		if b.knows(x.Account, y.Account) {
			continue
		}
		e, ok, err := cluster.KeyOnTwoChains(x, y, b.Now().Unix())
		if err != nil {
			return err
		}
		if ok {
			if err := b.add(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// knows reports whether two accounts were tied by their key already.
func (b *clusterBuild) knows(x, y flow.Account) bool {
	return slices.ContainsFunc(b.c.Forest.Of(x), func(id cluster.ID) bool {
		e, state, err := b.c.Forest.Evidence(id)
		return err == nil && e.Heuristic == cluster.SameKey && (e.A == y || e.B == y) && (state != cluster.Withdrawn || !b.forked(id))
	})
}

// forked reports whether evidence was withdrawn because its block is gone.
func (b *clusterBuild) forked(id cluster.ID) bool {
	w, ok := b.c.Forest.Withdrawn(id)
	return ok && strings.HasPrefix(w.Reason, forkReason)
}

// signed is the first transaction that an account signed on its chain, and the time of its block; not Signed if none is found.
func (b *clusterBuild) signed(ctx context.Context, a flow.Account) (p cluster.Presence, time int64, err error) {
	p.Account = a
	ids, err := b.s.IDs(ctx, a.Chain(), []flow.Account{a})
	if err != nil || ids[0] == 0 {
		return p, 0, err
	}
	var places []flow.Pos
	err = b.s.Entries(ctx, a.Chain(), []store.Ask{{Holder: ids[0], Limit: mostEntries}}, func(_ int, es []store.Entry) error {
		for _, e := range es {
			if e.Gives && (e.Kind == flow.Fee || e.Kind == flow.Transfer) {
				places = append(places, flow.Pos{Height: e.Pos.Height, Tx: e.Pos.Tx})
				return nil
			}
		}
		return nil
	})
	if err != nil || len(places) == 0 {
		return p, 0, err
	}
	txs, err := b.s.TxAt(ctx, a.Chain(), places)
	if err != nil {
		return p, 0, err
	}
	if signerOf(txs[0]) != a {
		return p, 0, nil
	}
	p.Signed, p.Tx, p.At = true, txs[0].ID, txs[0].At()
	return p, txs[0].Point.Time, nil
}
