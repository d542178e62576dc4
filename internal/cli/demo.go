package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/demo"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/pebblestore"
	"github.com/spoor-dev/spoor/trace"
)

// A demoTrace is one of the questions of the demo.
type demoTrace struct {
	title string
	about string
	theft engine.TheftFile
}

// firstCoin is the first coin that was ever paid on, in block 170 of Bitcoin.
const firstCoin = "0437cd7f8525ceed2324359c2d0ba26006d92d856a9c20fa0241106ee5a597c9:0"

func demoTraces() ([]demoTrace, error) {
	text, err := demo.FS.ReadFile("harvest-theft.json")
	if err != nil {
		return nil, err
	}
	theft, err := engine.ReadTheft("harvest-theft.json", bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return []demoTrace{
		{"1. The stolen dollars", "Harvest Finance was robbed of 24 million dollars on 26 October 2020. Where did they go? Through ether and two kinds\n" +
			"of wrapped bitcoin, within 72 minutes. All amounts are in the stolen asset:", theft},
		{"2. The same on Bitcoin", "Not a theft: the first coin that was ever paid on, followed through the first 200 blocks:",
			engine.TheftFile{Name: "The coin of block 9", Transactions: []string{firstCoin}}},
	}, nil
}

func (p *program) demo() *cobra.Command {
	var check bool
	var keep string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Trace a real theft on data that ships inside, in seconds",
		Long: `Ingest the real transactions around the theft from Harvest Finance (26 October 2020) and the first blocks of Bitcoin, and
trace the money to its last holders. Nothing is fetched and nothing is kept, unless --keep names a folder for the store.

The data are bare chain facts; demo/PROVENANCE.md says where they come from, and demo/STORY.md what they show.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			dir := keep
			if dir == "" {
				if dir, err = os.MkdirTemp("", "spoor-demo-"); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			} else if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			return p.runDemo(cmd.Context(), dir, check, keep)
		},
	}
	c.Flags().BoolVar(&check, "check", false, "only check that every unit is accounted for; exit code 0 if so, 5 if not")
	c.Flags().StringVar(&keep, "keep", "", "keep the demo's store and labels in this folder, to go on with spoor trace")
	return c
}

func (p *program) runDemo(ctx context.Context, dir string, check bool, keep string) (err error) {
	began := time.Now()
	storeDir := filepath.Join(dir, "store")
	st, err := pebblestore.Open(storeDir, pebblestore.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	stats, err := p.ingestDemo(ctx, dir, st)
	if err != nil {
		return err
	}
	labels := &engine.Labels{}
	text, err := demo.FS.ReadFile("labels.csv")
	if err != nil {
		return err
	}
	if err := labels.ReadLabels("demo/labels.csv", bytes.NewReader(text)); err != nil {
		return err
	}
	s, err := st.Snapshot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	traces, err := demoTraces()
	if err != nil {
		return err
	}
	out := p.out
	if check || p.json {
		out = io.Discard
	}
	fmt.Fprintf(out, "Spoor follows stolen cryptocurrency. This is a real theft, read from its own transactions:\n")
	if stats.Blocks > 0 {
		fmt.Fprintf(out, "%d blocks, %d transactions, %d movements, ingested in %.1f s.\n", stats.Blocks, stats.Transactions, stats.Movements, stats.Seconds)
	}
	var broken int
	for _, t := range traces {
		theft, _, err := engine.Resolve(ctx, s, t.theft, flow.Chain{}, labels)
		if err != nil {
			return fmt.Errorf("demo: %s: %w", t.title, err)
		}
		answer, err := engine.Trace(ctx, s, theft, trace.Options{}, labels, nil)
		if err != nil {
			return fmt.Errorf("demo: %s: %w", t.title, err)
		}
		for _, l := range engine.Broken(answer.Report) {
			broken++
			fmt.Fprintf(p.err, "conservation is broken: %s\n", l)
		}
		if p.json && !check {
			if err := json.NewEncoder(p.out).Encode(answer); err != nil {
				return err
			}
		}
		fmt.Fprintf(out, "\n── %s ──\n%s\n\n", t.title, t.about)
		if err := writeTable(out, answer, 8); err != nil {
			return err
		}
	}
	if broken > 0 {
		p.code = 5
	}
	if check {
		if broken == 0 {
			_, err = fmt.Fprintf(p.out, "ok: %d traces, every unit accounted for, in %.1f s\n", len(traces), time.Since(began).Seconds())
		}
		return err
	}
	return nextSteps(out, keep, time.Since(began))
}

// ingestDemo unpacks the demo's data into dir and ingests it.
func (p *program) ingestDemo(ctx context.Context, dir string, st store.Store) (stats ingest.Stats, err error) {
	var inputs []engine.Input
	for _, data := range []struct{ kind, name string }{
		{"heist-csv", "harvest-2020-10.csv.zst"}, {"bitcoin-blocks", "bitcoin-blocks-0-199.dat.zst"},
	} {
		name := data.name
		text, err := demo.FS.ReadFile(name)
		if err != nil {
			return stats, err
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return stats, err
		}
		in, err := engine.Open(ctx, data.kind+":"+path, engine.InputConfig{})
		if err != nil {
			return stats, err
		}
		inputs = append(inputs, in)
	}
	for _, name := range []string{"labels.csv", "harvest-theft.json"} { // for those who go on by hand
		text, err := demo.FS.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			return stats, err
		}
	}
	return engine.Ingest(ctx, st, inputs, engine.Watcher{})
}

func nextSteps(w io.Writer, keep string, spent time.Duration) error {
	fmt.Fprintf(w, "\nAll of it in %.1f s. Go on:\n", spent.Seconds())
	if keep == "" {
		_, err := fmt.Fprintln(w, `  spoor demo --keep harvest               keep this store, and trace in it yourself
  spoor ingest --help                     read your own blocks
  spoor trace --help                      follow your own theft`)
		return err
	}
	_, err := fmt.Fprintf(w, `  spoor trace --store %[1]s/store --labels %[1]s/labels.csv --theft %[1]s/harvest-theft.json --out %[1]s/case
  spoor trace --store %[1]s/store --labels %[1]s/labels.csv --from 0x3811765a53c3188c24d412daec3f60faad5f119b --policy all
`, keep)
	return err
}
