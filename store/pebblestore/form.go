package pebblestore

import (
	"fmt"
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// A form is a kind of movement together with an asset: what a lane gives a short number, from 1 on. The tokens of an NFT
// contract share one form; the token's id stands beside it, so that millions of them cost no memory.
type form struct {
	kind  flow.Kind
	nft   bool
	name  string     // CAIP-19 without the chain; of an NFT without the token; whole if the asset is of another chain
	asset flow.Asset // zero for an NFT
}

// A formUse is the form of one movement.
type formUse struct {
	form  uint32
	nft   bool
	token flow.Amount
}

type formKey struct {
	kind  flow.Kind
	asset flow.Asset
}

type nftKey struct {
	kind     flow.Kind
	contract string
}

// A formTable finds the number of a form.
type formTable struct {
	all    []form // all[n-1]
	plain  map[formKey]uint32
	nfts   map[nftKey]uint32
	last   formKey // what was looked up last
	lastID uint32
	uses   []int  // uses[n-1] of form n since the store was opened
	common uint32 // the form with the most uses
}

func newFormTable() formTable {
	return formTable{common: 1, plain: map[formKey]uint32{}, nfts: map[nftKey]uint32{}}
}

// use is the form of a movement on chain c, which gets a number if it has none yet.
func (t *formTable) use(c flow.Chain, kind flow.Kind, asset flow.Asset) (formUse, error) {
	f, err := t.find(c, kind, asset)
	if err == nil {
		n := &t.uses[f.form-1]
		if *n++; *n > t.uses[t.common-1] {
			t.common = f.form
		}
	}
	return f, err
}

func (t *formTable) find(c flow.Chain, kind flow.Kind, asset flow.Asset) (formUse, error) {
	key := formKey{kind, asset}
	if key == t.last && t.lastID != 0 {
		return formUse{form: t.lastID}, nil
	}
	if id, ok := t.plain[key]; ok {
		t.last, t.lastID = key, id
		return formUse{form: id}, nil
	}
	k := asset.Kind()
	if asset.Chain() == c && (k == "erc721" || k == "erc1155") {
		contract, token, _ := strings.Cut(asset.Name(), "/")
		n, err := flow.ParseAmount(token)
		if err != nil {
			return formUse{}, fmt.Errorf("token of %s: %w", asset, err)
		}
		id, ok := t.nfts[nftKey{kind, contract}]
		if !ok {
			id = t.add(form{kind: kind, nft: true, name: contract})
		}
		return formUse{form: id, nft: true, token: n}, nil
	}
	f := form{kind: kind, name: asset.Name(), asset: asset}
	if asset.Chain() != c {
		f.name = asset.String()
	}
	if _, err := parseForm(c, f.kind, f.name); err != nil { // an asset that could not be read back
		return formUse{}, err
	}
	return formUse{form: t.add(f)}, nil
}

// add gives a form the next number.
func (t *formTable) add(f form) uint32 {
	t.all = append(t.all, f)
	t.uses = append(t.uses, 0)
	id := uint32(len(t.all))
	if f.nft {
		t.nfts[nftKey{f.kind, f.name}] = id
	} else {
		t.plain[formKey{f.kind, f.asset}] = id
	}
	return id
}

// cut takes the newest forms back until n are left. Snapshots that show more keep them: the next form is not written
// over theirs.
func (t *formTable) cut(n int) {
	for _, f := range t.all[n:] {
		if f.nft {
			delete(t.nfts, nftKey{f.kind, f.name})
		} else {
			delete(t.plain, formKey{f.kind, f.asset})
		}
	}
	t.all, t.uses = t.all[:n:n], t.uses[:n]
	if t.common > uint32(n) {
		t.common = 1
	}
	t.lastID = 0
}

// parseForm reads a stored form.
func parseForm(c flow.Chain, kind flow.Kind, name string) (form, error) {
	f := form{kind: kind, name: name}
	var err error
	switch space, rest, _ := strings.Cut(name, ":"); {
	case name == "": // no asset
	case strings.Contains(space, "/") || strings.Contains(rest, ":"):
		f.asset, err = flow.ParseAsset(name)
	case space == "erc721" || space == "erc1155":
		f.nft = true
	default:
		f.asset, err = flow.ParseAssetOn(c, name)
	}
	if err != nil {
		return form{}, fmt.Errorf("form %q: %w", name, err)
	}
	return f, nil
}

// assetOf is the asset of a movement, given the class and bytes of its token if it is an NFT.
func (f *form) assetOf(c flow.Chain, token []byte) (flow.Asset, error) {
	if !f.nft {
		return f.asset, nil
	}
	r := cursor{b: token}
	n := r.amount(r.byte() & 15)
	if err := r.checkEnd(); err != nil {
		return flow.Asset{}, fmt.Errorf("token of %s: %w", f.name, err)
	}
	return flow.ParseAssetOn(c, f.name+"/"+n.String())
}

func appendForm(dst []byte, f form) []byte { return appendText(append(dst, byte(f.kind)), f.name) }

func readForm(r *cursor, c flow.Chain) (form, error) {
	kind := flow.Kind(r.byte())
	name := r.text()
	if err := r.check(); err != nil {
		return form{}, err
	}
	return parseForm(c, kind, name)
}
