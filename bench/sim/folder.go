package sim

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spoor-dev/spoor/flow"
)

// ErrExists is returned for a folder in which something is.
var ErrExists = errors.New("the folder is not empty")

// Summary is what Write made; params.json holds it.
type Summary struct {
	Generator  string         `json:"generator"` // and its version: another one may make another case of the same parameters
	Parameters Parameters     `json:"parameters"`
	Thefts     []TheftRow     `json:"thefts"`
	Tables     []Table        `json:"tables"`
	Transfers  int            `json:"transfers"` // of all tables, with poison
	Kinds      map[string]int `json:"transfers_by_kind"`
	Truth      int            `json:"truth_transfers"`
	ToFind     int            `json:"addresses_to_find"` // without sources and labelled services
	Labelled   int            `json:"labelled_services"`
	TruthUSD   string         `json:"truth_usd"`
	Prices     []Price        `json:"prices"`
	// Hash is that of the first table, before compression, under the name that the planted cases use.
	Hash string `json:"sha256_of_transfers_csv"`
}

// Parameters are a Config as params.json holds it, with its defaults filled in.
type Parameters struct {
	Case          string   `json:"case"`
	Seed          uint64   `json:"seed"`
	Program       []string `json:"program"`
	Accounts      int      `json:"accounts"`
	Transfers     int      `json:"transfers"`
	Days          int      `json:"days"`
	Slow          int      `json:"slow"`
	Commingle     int      `json:"commingle_percent"`
	Commingled    int      `json:"commingled_accounts_percent"`
	Ordinary      int      `json:"ordinary_accounts_percent"`
	Pays          Rule     `json:"pays"`
	Dust          int      `json:"dusted_innocents"`
	Decoys        int      `json:"decoys_per_deposit"`
	Duplicates    int      `json:"duplicate_amounts_percent"`
	Mule          int      `json:"mule_payments"`
	Unlabelled    int      `json:"unlabelled_exchanges_percent"`
	SmallHubs     bool     `json:"small_hubs"`
	FreshExchange bool     `json:"fresh_exchange"`
	Poison        int      `json:"poison"`
}

// A TheftRow is one theft of a case.
type TheftRow struct {
	Theft  int    `json:"theft"`
	Source string `json:"source"`
	Asset  string `json:"asset"`
	Amount string `json:"amount_base_units"`
	Cents  string `json:"usd_cents"`
	TxHash string `json:"tx_hash"`
	Block  uint64 `json:"block_number"`
	Time   int64  `json:"timestamp"`
}

// A Table is one file of transfers: a chain.
type Table struct {
	File       string `json:"file"`
	Chain      string `json:"chain"`
	Transfers  int    `json:"transfers"`
	FirstBlock uint64 `json:"first_block"`
	LastBlock  uint64 `json:"last_block"`
	SHA256     string `json:"sha256_uncompressed"`
}

// A Price is a line of the fixed price table.
type Price struct {
	Asset    string `json:"asset"`
	Decimals int    `json:"decimals"`
	Cents    uint64 `json:"usd_cents"` // of a whole unit
}

const (
	generator  = "spoor bench/sim 1"
	paramsFile = "params.json"
	header     = "chain,block_number,log_index,tx_hash,from,to,asset,amount_base_units,timestamp\n"
)

var tableFiles = [maxChains]string{"transfers.csv.gz", "transfers-eip155-10.csv.gz"}

// Write makes a case and writes it to a folder, in the form of docs/formats/case.md. The folder must be absent or empty
// (ErrExists), unless force is set: then the files of an earlier case are replaced and others are left alone. params.json is
// written last; a folder without it is not whole. What is kept in memory grows with the balances that accounts have ever
// had and with the laundering, and not with the rows: 100 to 200 bytes for each pair of an account and an asset.
func Write(ctx context.Context, dir string, c Config, force bool, tell Progress) (Summary, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return Summary{}, err
	}
	if err := prepare(dir, force); err != nil {
		return Summary{}, err
	}
	f := &folder{dir: dir, w: newWorld(c), texts: map[asset]string{}}
	sum, err := f.write(ctx, tell)
	if err = errors.Join(err, f.closeAll()); err != nil {
		return Summary{}, fmt.Errorf("case %s: %w", dir, err)
	}
	b, err := json.MarshalIndent(sum, "", "  ")
	if err != nil {
		return Summary{}, err
	}
	return sum, os.WriteFile(filepath.Join(dir, paramsFile), append(b, '\n'), 0o644)
}

// files are all that a case may consist of.
func files() []string {
	truth := []string{"truth_transfers.csv.gz", "truth_addresses.csv", "neutral_transfers.csv.gz", "services.csv", "holdings.csv", "sinks.csv",
		"patterns.csv", "crossings.csv.gz", "opening.csv.gz", "poison.csv.gz"}
	all := []string{paramsFile, "labels.csv", "sources.csv"}
	for _, t := range truth {
		all = append(all, filepath.Join("truth", t))
	}
	return append(all, tableFiles[:]...)
}

func prepare(dir string, force bool) error {
	there, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(there) > 0 && !force {
		return fmt.Errorf("%s: %w", dir, ErrExists)
	}
	if err := os.MkdirAll(filepath.Join(dir, "truth"), 0o755); err != nil {
		return err
	}
	for _, name := range files() {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// A folder is a case that is being written.
type folder struct {
	dir    string
	w      *world
	open   []*table
	tables [maxChains]*table
	cross  *table
	opened *table
	poison *table
	infos  [maxChains]Table
	texts  map[asset]string
	line   []byte
}

// A table is a CSV that is being written, compressed if its name says so.
type table struct {
	name string
	file *os.File
	pack *gzip.Writer // nil if plain
	buf  *bufio.Writer
	sum  hash.Hash // of what was written, before compression
}

func (f *folder) create(name, head string) (*table, error) {
	file, err := os.Create(filepath.Join(f.dir, name))
	if err != nil {
		return nil, err
	}
	t := &table{name: name, file: file, sum: sha256.New()}
	out := io.Writer(file)
	if strings.HasSuffix(name, ".gz") {
		if t.pack, err = gzip.NewWriterLevel(file, gzip.BestSpeed); err != nil {
			return nil, err
		}
		out = t.pack
	}
	t.buf = bufio.NewWriterSize(io.MultiWriter(out, t.sum), 1<<16)
	f.open = append(f.open, t)
	_, err = t.buf.WriteString(head)
	return t, err
}

func (f *folder) closeAll() error {
	var all error
	for _, t := range f.open {
		err := t.buf.Flush()
		if t.pack != nil {
			err = errors.Join(err, t.pack.Close())
		}
		all = errors.Join(all, err, t.file.Close())
	}
	f.open = nil
	return all
}

func (f *folder) write(ctx context.Context, tell Progress) (Summary, error) {
	w := f.w
	var err error
	begin := func(t **table, name, head string) {
		if err == nil {
			*t, err = f.create(name, head)
		}
	}
	for c := range w.chains {
		begin(&f.tables[c], tableFiles[c], header)
		f.infos[c] = Table{File: tableFiles[c], Chain: chainNames[c]}
	}
	begin(&f.cross, filepath.Join("truth", "crossings.csv.gz"), "kind,service,in_chain,in_tx_hash,in_log_index,out_chain,out_tx_hash,out_log_index,"+
		"in_timestamp,out_timestamp,from,to,asset,amount_in,amount_out,stolen\n")
	begin(&f.opened, filepath.Join("truth", "opening.csv.gz"), "chain,account,asset,amount_base_units\n")
	if w.cfg.Poison > 0 {
		begin(&f.poison, filepath.Join("truth", "poison.csv.gz"), "tx_hash,log_index,kind,holder,lookalike,imitates\n")
	}
	if err != nil {
		return Summary{}, err
	}
	w.opened = f.opening
	var waiting []crossing // until the rows of the slot have their numbers
	w.crossed = func(c crossing) { waiting = append(waiting, c) }
	p := newPoisoner(w)
	err = w.play(ctx, tell, func(chain int, rows []*row) error {
		for _, r := range rows {
			from, to := address(w.cfg.Seed, r.from), address(w.cfg.Seed, r.to)
			f.row(chain, r.index, r.tx.hash, &from, &to, f.text(r.asset), r.amount)
		}
		if chain == 0 {
			index := uint32(len(rows))
			p.slot(rows, func(r poisonRow) {
				f.row(0, index, r.hash, &r.from, &r.to, r.asset, r.amount)
				fmt.Fprintf(f.poison.buf, "0x%s,%d,%s,0x%x,0x%x,0x%x\n", r.hash, index, r.kind, r.holder, r.like, r.model)
				index++
				w.kinds["poison"]++
			})
		}
		if chain == w.chains-1 {
			for _, c := range waiting {
				f.crossing(c)
			}
			waiting = waiting[:0]
		}
		_, err := f.tables[chain].buf.Write(nil) // errors of a bufio.Writer stick
		return err
	})
	if err != nil {
		return Summary{}, err
	}
	f.openings()
	if err := errors.Join(f.labels(), f.truth()); err != nil {
		return Summary{}, err
	}
	if err := f.closeAll(); err != nil {
		return Summary{}, err
	}
	return f.summary(), nil
}

// row writes a line of a table of transfers.
func (f *folder) row(chain int, index uint32, id flow.Hash, from, to *[20]byte, asset string, v flow.Amount) {
	info := &f.infos[chain]
	height := firstHeight[chain] + uint64(f.w.slot)
	if info.Transfers == 0 {
		info.FirstBlock = height
	}
	info.LastBlock = height
	info.Transfers++
	b := append(f.line[:0], info.Chain...)
	b = strconv.AppendUint(append(b, ','), height, 10)
	b = strconv.AppendUint(append(b, ','), uint64(index), 10)
	b = hex.AppendEncode(append(b, ",0x"...), id[:])
	b = hex.AppendEncode(append(b, ",0x"...), from[:])
	b = hex.AppendEncode(append(b, ",0x"...), to[:])
	b = append(append(b, ','), asset...)
	b = append(append(b, ','), v.String()...)
	b = strconv.AppendInt(append(b, ','), timeOf(f.w.slot), 10)
	b = append(b, '\n')
	f.tables[chain].buf.Write(b) // errors stick, see Flush
	f.line = b
}

func timeOf(slot uint32) int64            { return firstSeconds + slotSeconds*int64(slot) }
func heightOf(c int, slot uint32) uint64  { return firstHeight[c] + uint64(slot) }
func (f *folder) addr(who account) string { return f.w.addressText(who) }

func (f *folder) text(a asset) string {
	s, ok := f.texts[a]
	if !ok {
		s = f.w.assetText(a)
		f.texts[a] = s
	}
	return s
}

func (f *folder) opening(h holding, v flow.Amount) {
	fmt.Fprintf(f.opened.buf, "%s,%s,%s,%s\n", chainNames[h.asset.chain()], f.addr(h.who), f.text(h.asset), v)
}

// openings writes what services, victims and the distributor of poison had before the case begins.
func (f *folder) openings() {
	for _, h := range sortedHoldings(f.w.opening) {
		f.opening(h, f.w.opening[h])
	}
	for _, h := range sortedHoldings(map[holding]flow.Amount{{distributor, ether}: {}, {distributor, usdt}: {}}) {
		f.opening(h, distributorHolds[h.asset])
	}
}

func sortedHoldings[V any](m map[holding]V) []holding {
	keys := make([]holding, 0, len(m))
	for h := range m {
		keys = append(keys, h)
	}
	slices.SortFunc(keys, func(a, b holding) int { return cmp.Or(cmp.Compare(a.who, b.who), cmp.Compare(a.asset, b.asset)) })
	return keys
}

func (f *folder) crossing(c crossing) {
	in, out := c.in, c.out
	fmt.Fprintf(f.cross.buf, "%s,%s,%s,0x%s,%d,%s,0x%s,%d,%d,%d,%s,%s,%s,%s,%s,%s\n", c.service.kind, f.addr(c.service.hot),
		chainNames[in.tx.chain], in.tx.hash, in.index, chainNames[out.tx.chain], out.tx.hash, out.index, timeOf(in.tx.slot), timeOf(out.tx.slot),
		f.addr(in.from), f.addr(out.to), f.text(in.asset), in.amount, out.amount, flag(c.stolen))
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func (f *folder) summary() Summary {
	c := f.w.cfg
	s := Summary{
		Generator: generator, Kinds: f.w.kinds, Truth: len(f.w.truth.rows), Hash: hexSum(f.tables[0].sum),
		Parameters: Parameters{c.Name, c.Seed, strings.Split(strings.TrimSpace(c.Program.String()), "\n"), c.Accounts, c.Transfers, c.Days, c.Slow,
			c.Commingle, c.Commingled, c.Ordinary, c.Pays, c.Dust, c.Decoys, c.Duplicates, c.Mule, c.Unlabelled, c.SmallHubs, c.FreshExchange, c.Poison},
	}
	for i, t := range f.w.truth.thefts {
		s.Thefts = append(s.Thefts, TheftRow{i, f.addr(t.source), f.text(t.asset), t.amount.String(), t.asset.cents(t.amount).String(),
			"0x" + t.row.tx.hash.String(), heightOf(0, t.row.tx.slot), timeOf(t.row.tx.slot)})
	}
	for i := range f.w.chains {
		f.infos[i].SHA256 = hexSum(f.tables[i].sum)
		s.Tables = append(s.Tables, f.infos[i])
		s.Transfers += f.infos[i].Transfers
	}
	var cents flow.Amount
	for _, r := range f.w.truth.rows {
		cents = plus(cents, r.row.asset.cents(r.units))
	}
	s.TruthUSD = cents.Decimal(2)
	for who, p := range f.w.truth.parties {
		if !p.source && !f.w.labelled(who) {
			s.ToFind++
		}
	}
	for _, sv := range f.w.services {
		if sv.labelled {
			s.Labelled++
		}
	}
	for a, name := range [...]string{ether: "ETH", usdt: "USDT", usdc: "USDC"} {
		s.Prices = append(s.Prices, Price{name, len(strconv.FormatUint(baseUnits[a], 10)) - 1, centsPerUnit[a]})
	}
	return s
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
