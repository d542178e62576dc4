package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/pebblestore"
)

// Progress is told how far a workload has come, from one goroutine; it may be nil.
type Progress func(done, total int64, what string)

func (p Progress) tell(done, total int64, what string) {
	if p != nil {
		p(done, total, what)
	}
}

// batchMovements is how many movements go to the store in one Append.
const batchMovements = 20_000

// load puts a generated chain into a new store in dir and finishes it with the compaction. It returns the wall time up
// to the last Append made durable, and with the compaction.
func load(ctx context.Context, dir string, shape Shape, truth *Truth, tell Progress) (n int64, appended, compacted time.Duration, err error) {
	shape = shape.withDefaults()
	st, err := pebblestore.Open(dir, pebblestore.Options{Bulk: true})
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() {
		if cerr := st.Close(); err == nil {
			err = cerr
		}
	}()
	start := time.Now()
	batches := make(chan []flow.Block, 4)
	stop := make(chan struct{})
	defer close(stop)
	go func() { // the generator works beside the store, as a decoder would
		defer close(batches)
		var batch []flow.Block
		held := 0
		for b := range Generate(shape, truth) {
			batch = append(batch, b)
			held += len(b.Txs)
			if held >= batchMovements*2/3 {
				select {
				case batches <- batch:
				case <-stop:
					return
				}
				batch, held = nil, 0
			}
		}
		batches <- batch
	}()
	for batch := range batches {
		if len(batch) == 0 {
			continue
		}
		if _, err := st.Append(ctx, batch); err != nil {
			return n, 0, 0, err
		}
		for _, b := range batch {
			for _, tx := range b.Txs {
				n += int64(len(tx.Movements))
			}
		}
		if err := st.Final(ctx, batch[len(batch)-1].Point); err != nil {
			return n, 0, 0, err
		}
		tell.tell(n, int64(shape.Movements), "loading")
	}
	if err := st.Sync(ctx); err != nil {
		return n, 0, 0, err
	}
	appended = time.Since(start)
	tell.tell(n, int64(shape.Movements), "compacting")
	if err := st.Compact(ctx); err != nil {
		return n, 0, 0, err
	}
	return n, appended, time.Since(start), nil
}

// Load measures a bulk load of generated transfers through the store's own contract, including the compaction that
// makes look-ups fast. dir is where the store is made; it must be empty or absent.
func Load(ctx context.Context, dir string, shape Shape, tell Progress) (Figures, error) {
	shape = shape.withDefaults()
	ResetPeak()
	n, appended, all, err := load(ctx, dir, shape, nil, tell)
	if err != nil {
		return Figures{}, fmt.Errorf("load: %w", err)
	}
	f := Figures{Workload: "load", N: n, Seconds: round(all.Seconds(), 2), Rate: round(float64(n)/all.Seconds(), 0), RSS: PeakRSS()}
	st, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		return Figures{}, err
	}
	defer st.Close()
	size, err := st.Stats()
	if err != nil {
		return Figures{}, err
	}
	disk, err := diskUse(dir)
	if err != nil {
		return Figures{}, err
	}
	f.BytesPerItem = round(float64(disk-size.TxIDBytes)/float64(n), 1)
	f.IDsPerItem = round(float64(size.TxIDBytes)/float64(n), 1)
	f.Notes = fmt.Sprintf("seed %d, %d accounts, %d blocks, %d transactions; %.0f movements/s before the compaction; %.0f MB in all; B/movement: %s",
		shape.Seed, size.Accounts, size.Blocks, size.Transactions, float64(n)/appended.Seconds(), float64(disk)/1e6, size.ByKind(n))
	return f, nil
}

// diskUse is the size of all files below dir. A store may delete files meanwhile.
func diskUse(dir string) (uint64, error) {
	var sum uint64
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			sum += uint64(info.Size())
		}
		return err
	})
	return sum, err
}

// prepare opens the store in dir, loading the shape into it first if dir holds none.
func prepare(ctx context.Context, dir string, shape Shape, truth *Truth, o pebblestore.Options, tell Progress) (store.Store, error) {
	if _, err := os.Stat(dir); err != nil {
		if _, _, _, err := load(ctx, dir, shape, truth, tell); err != nil {
			return nil, fmt.Errorf("prepare: %w", err)
		}
	}
	return pebblestore.Open(dir, o)
}
