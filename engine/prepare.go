package engine

import (
	"context"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/trace"
)

// Prepare makes a theft and options ready to be traced: it ends the trace where labels say so, follows exchanges, sets the
// floors of the well-known assets, and takes of an account from which everything was stolen only the assets that are vouched
// for. doubted says which are not.
func Prepare(ctx context.Context, s store.Snapshot, theft trace.Theft, o trace.Options, labels *Labels) (t trace.Theft, _ trace.Options, doubted []string, err error) {
	if o.Stop == nil && labels != nil {
		o.Stop = labels.Stop
	}
	if o.Swaps.Of == nil {
		o.Swaps = NetSwaps()
	}
	if o.Dust, err = floors(o.Dust, chainsOf(theft)); err != nil {
		return t, o, nil, err
	}
	t, doubted, err = vouch(ctx, s, theft, o.Backward)
	return t, o, doubted, err
}

// IsVouched reports whether an asset is what it says: the coin of a chain, a well-known token, or one of an invented chain. Anybody can make any
// other, and call it what he likes.
func IsVouched(a flow.Asset) bool {
	_, known := contracts[a.String()]
	return known || a.IsNative() || a.Chain().Namespace() == "text"
}
