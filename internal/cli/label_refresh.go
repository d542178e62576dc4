package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/labelstore"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/internal/fetch"
)

// refreshFlags are the flags of label refresh.
type refreshFlags struct {
	labelFlags
	offline, private, accept bool
	churn                    int
}

func (p *program) labelRefresh() *cobra.Command {
	var f refreshFlags
	c := &cobra.Command{
		Use:   "refresh",
		Short: "Read again what issuers say on the chains of the store, and the lists that have an address",
		Long: `Read from the blocks of the store which accounts issuers have frozen (USDT, USDC) and which the Chainalysis oracle lists,
with the block time as the moment since when it holds. Only events of the contracts that are known are believed.

Then fetch every list that was imported with --uri http… again, read as it was then, unless its server says that it has not
changed. What is fetched is checked as by import: bad rows go into quarantine, and a list that changes much at once waits.
A list that cannot be fetched leaves its labels as they are, and is an error. --offline asks nobody.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.churn < 0 {
				return misuse(errors.New("--max-churn is negative"), "it is a number of percent")
			}
			feeds, err := engine.ReadLabelFeeds(f.dir())
			if err != nil {
				return failed(fmt.Errorf("lists: %w", err), "remove the file, and import the lists once more with --uri")
			}
			if err := p.refreshChains(cmd.Context(), f.labelFlags, len(feeds) > 0); err != nil || f.offline {
				return err
			}
			return p.refreshLists(cmd.Context(), f, feeds)
		},
	}
	f.add(c)
	fl := c.Flags()
	fl.BoolVar(&f.offline, "offline", false, "read the blocks of the store alone, and ask nobody")
	fl.BoolVar(&f.private, "private", false, "lists may lie in a private network")
	fl.BoolVar(&f.accept, "accept", false, "a human has looked: take lists in that change much at once")
	fl.IntVar(&f.churn, "max-churn", 0, fmt.Sprintf("percent of a source's labels that may change at once (default %d)", labelstore.DefaultMaxChurn))
	return c
}

// refreshChains reads the blocks of the store; where there are lists there need be no store.
func (p *program) refreshChains(ctx context.Context, f labelFlags, optional bool) (err error) {
	st, err := openStore(f.store)
	if err != nil && optional {
		p.say("no blocks were read: %s", oneLine(err.Error()))
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	snapshot, err := st.Snapshot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	b := p.newBar()
	lists, err := engine.ChainLabels(ctx, snapshot, func(blocks int) { b.show(0, 0, fmt.Sprintf("%d blocks read", blocks)) })
	b.clear()
	if err != nil {
		return err
	}
	if len(lists) == 0 {
		p.say("no issuer and no oracle has said anything in the blocks of this store")
	}
	return p.importLists(f.dir(), lists, labelstore.Options{Seen: time.Now().Unix(), Accept: true}, false)
}

// refreshLists fetches lists one after the other; one that fails does not keep the others from being read.
func (p *program) refreshLists(ctx context.Context, f refreshFlags, feeds engine.LabelFeeds) error {
	client := fetch.New(fetch.Config{Timeout: 2 * time.Minute, Private: f.private})
	defer client.Close()
	var all error
	for _, id := range slices.Sorted(maps.Keys(feeds)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		l, fresh, err := engine.FetchLabels(ctx, client, feeds[id])
		if err == nil && l == nil {
			p.say("%s has not changed", clean(id))
			continue
		}
		if err == nil {
			err = p.importLists(f.dir(), []*attribute.Listing{l}, labelstore.Options{Seen: time.Now().Unix(), Accept: f.accept, MaxChurn: f.churn}, false)
		}
		if err == nil {
			feeds[id] = fresh
			err = feeds.Write(f.dir())
		}
		if err != nil {
			all = errors.Join(all, fmt.Errorf("list %s: %w", clean(id), err))
		}
	}
	if all != nil {
		return failed(all, "%s", hintOr(all, "the labels of these lists are as they were; the other lists were read"))
	}
	return nil
}
