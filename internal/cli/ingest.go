package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/ingest"
	"github.com/spoor-dev/spoor/store/pebblestore"
)

func (p *program) ingest() *cobra.Command {
	var dir, chain string
	var height, to uint64
	var unproved bool
	var kinds strings.Builder
	for _, k := range engine.Kinds {
		fmt.Fprintf(&kinds, "  %-15s %s\n", k.Name, k.Reads)
	}
	c := &cobra.Command{
		Use:   "ingest KIND:PATH|URL ...",
		Short: "Read blocks into the store",
		Long: `Read blocks from files or a node into the store (to stay with a node: spoor watch). Every block is verified as far as its file allows: merkle and transactions roots,
receipts roots, blooms. A block that fails is not stored, and the error names it. Rows that cannot be trusted are
quarantined with a reason; what a block refers to and the store has never seen is counted as missing.

With --json every such note is a line of its own, before the last line with the totals:
blocks, duplicates, transactions, movements, quarantined, missing, undone, seconds.

An ingest that was stopped, by Ctrl-C or by a crash, goes on where it was when the same command is run again.

Kinds of inputs (files may be compressed: gz, bz2, xz, zst):
` + kinds.String(),
		Example: `  spoor ingest bitcoin-blocks:~/.bitcoin/blocks
  spoor ingest --store case42 transfers-csv:transfers.csv.gz
  spoor ingest --json ethereum-etl:tables/ | tail -1
  spoor ingest --height 19000000 --to 19010000 evm-rpc:http://127.0.0.1:8545`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			config := engine.InputConfig{Height: height, To: to, Unproved: unproved}
			if chain != "" {
				if config.Chain, err = flow.ParseChain(chain); err != nil {
					return misuse(err, "write a CAIP-2 identifier such as eip155:1, or a name such as ethereum")
				}
			}
			var inputs []engine.Input
			for _, spec := range args {
				in, err := engine.Open(cmd.Context(), expandHome(spec), config)
				if errors.Is(err, engine.ErrKind) {
					return misuse(err, "write KIND:PATH with one of the kinds %s", kindNames())
				}
				if err != nil {
					return err
				}
				inputs = append(inputs, in)
				if in.Close != nil {
					defer in.Close()
				}
			}
			st, err := pebblestore.Open(dir, pebblestore.Options{Bulk: true})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, st.Close()) }()
			b := p.newBar()
			defer b.clear()
			notes := noteWriter{program: p, bar: b}
			stats, err := engine.Ingest(cmd.Context(), st, inputs, engine.Watcher{
				Progress: func(in engine.Input, s ingest.Stats, read, total int64) {
					b.show(read, total, fmt.Sprintf("%d blocks, %d movements of %s", s.Blocks, s.Movements, filepath.Base(in.Name)))
				},
				Note: notes.write,
			})
			if err == nil {
				b.show(0, 0, "compacting")
				err = st.Compact(cmd.Context())
			}
			b.clear()
			if err == nil && stats.Blocks+stats.Duplicates+stats.Undone == 0 {
				p.say("no block was new: what lies at or below the newest block of a chain is not read again; a new --store takes older blocks")
			}
			if werr := errors.Join(notes.err, p.writeStats(stats)); err == nil {
				err = werr
			}
			return err
		},
	}
	c.Flags().StringVar(&dir, "store", defaultStore(), "folder of the store")
	c.Flags().StringVar(&chain, "chain", "", "chain of inputs that do not name theirs (CAIP-2 or a name; default ethereum)")
	c.Flags().Uint64Var(&height, "height", 0, "height of a single raw Bitcoin block that does not tell its own; where an empty store begins to read a node")
	c.Flags().Uint64Var(&to, "to", 0, "last height to read of a node (default its head)")
	c.Flags().BoolVar(&unproved, "unproved", false, "take blocks of a node whose roots cannot be recomputed, as on some layer 2 chains")
	return c
}

// expandHome replaces the "~/" of KIND:~/PATH, which a shell leaves alone behind the colon.
func expandHome(spec string) string {
	kind, rest, ok := strings.Cut(spec, ":~/")
	home, err := os.UserHomeDir()
	if !ok || err != nil || strings.Contains(kind, ":") {
		return spec
	}
	return kind + ":" + filepath.Join(home, rest)
}

func kindNames() string {
	names := make([]string, len(engine.Kinds))
	for i, k := range engine.Kinds {
		names[i] = k.Name
	}
	return strings.Join(names, ", ")
}

// writeStats prints what was read; with --json its line is the last of the output.
func (p *program) writeStats(s ingest.Stats) error {
	if p.json {
		return json.NewEncoder(p.out).Encode(s)
	}
	there := ""
	if s.Duplicates > 0 {
		there = fmt.Sprintf(" (%d more were there already)", s.Duplicates)
	}
	if s.Undone > 0 {
		there += fmt.Sprintf(" (%s taken off again)", engine.Count(s.Undone, "block"))
	}
	_, err := fmt.Fprintf(p.out, "%s%s, %s, %s in %.1f s\n", engine.Count(s.Blocks, "block"), there,
		engine.Count(s.Transactions, "transaction"), engine.Count(s.Movements, "movement"), s.Seconds)
	if err == nil && s.Quarantined > 0 {
		_, err = fmt.Fprintf(p.out, "%s quarantined, which moved nothing; the reasons are kept with the blocks\n", engine.Count(s.Quarantined, "row"))
	}
	if err == nil && s.Missing > 0 {
		_, err = fmt.Fprintf(p.out, "%s never seen by this store, owner and amount not known\n", engine.Count(s.Missing, "spent output"))
	}
	return err
}

// shownNotes is how many notes a person is shown; all of them are kept with their blocks.
const shownNotes = 10

// A noteWriter shows what was refused or is missing: every note as JSON, the first few for people.
type noteWriter struct {
	*program
	bar   *bar
	shown int
	err   error
}

func (w *noteWriter) write(in engine.Input, at flow.Point, n flow.Note) {
	if w.json {
		err := json.NewEncoder(w.out).Encode(struct {
			Note  flow.Note  `json:"note"`
			Chain flow.Chain `json:"chain"`
			Block uint64     `json:"block"`
		}{n, at.Chain, at.Height})
		w.err = errors.Join(w.err, err)
		return
	}
	w.shown++
	if w.shown > shownNotes+1 {
		return
	}
	w.bar.clear()
	if w.shown > shownNotes {
		w.say("… more notes follow; --json lists them all")
		return
	}
	w.say("%s in block %d, %s: %s", n.Kind, at.Height, clean(n.Where), clean(n.Reason))
}
