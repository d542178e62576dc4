package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/bench/quality"
	"golang.org/x/term"
)

func (p *program) benchQuality() *cobra.Command {
	var dirs, only []string
	var golden string
	var update bool
	c := &cobra.Command{
		Use:   "quality",
		Short: "Measure how well thefts are traced whose outcome is known",
		Long: `Run every method of tracing on every case, and score what it finds against what is known: which transfers carried the loot,
through whose hands it went, where it ended. docs/quality.md says what the figures mean and how they can mislead.

Some cases are simulated anew each time. --data adds those that lie in a folder or below: planted cases (transfers.csv, labels.csv,
sources.csv, truth/) and heists (all-tx.csv, all-address.csv), compressed or not.`,
		Example: "  spoor bench quality\n  spoor bench quality --data cases/ --case atomic --json\n  spoor bench quality --data cases/ --golden quality.golden",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.running = true
			if update && golden == "" {
				return misuse(errors.New("nothing to update"), "name the file with --golden")
			}
			results, err := p.measureQuality(cmd.Context(), dirs, only)
			if err != nil || golden == "" {
				return err
			}
			return p.compareQuality(golden, update, results)
		},
	}
	c.Flags().StringArrayVar(&dirs, "data", nil, "folder with cases, repeatable")
	c.Flags().StringArrayVar(&only, "case", nil, "only cases with this in their name, repeatable")
	c.Flags().StringVar(&golden, "golden", "", "compare with this file: the table without times and memory; exit code 5 where it differs")
	c.Flags().BoolVar(&update, "update", false, "with --golden: write the file instead; cases that were not measured stay in it")
	return c
}

// measureQuality measures the generated cases and those of the folders, if only is empty or has a part of their names, and
// prints each as soon as it is known.
func (p *program) measureQuality(ctx context.Context, dirs, only []string) ([]quality.Result, error) {
	folders, err := quality.Find(dirs)
	if err != nil {
		return nil, failed(err, "--data names a folder with cases, or one above them")
	}
	if len(dirs) > 0 && len(folders) == 0 {
		return nil, failed(errors.New("no case in these folders"), "\"spoor bench quality --help\" says which files a case has")
	}
	type loader struct {
		name string
		load func(context.Context) (*quality.Case, error)
	}
	var cases []loader
	add := func(name string, load func(context.Context) (*quality.Case, error)) {
		if len(only) == 0 || slices.ContainsFunc(only, func(part string) bool { return strings.Contains(name, part) }) {
			cases = append(cases, loader{name, load})
		}
	}
	for _, g := range quality.SimulatedCases() {
		add(g.Name, g.Load)
	}
	for _, f := range folders {
		add(f.Name, f.Load)
	}
	if len(cases) == 0 {
		return nil, misuse(errors.New("no case has that in its name"), "run it without --case to see them all")
	}
	methods := quality.Methods()
	b := p.newBar()
	defer b.clear()
	var results []quality.Result
	for i, one := range cases {
		done, total := int64(i*(len(methods)+1)), int64(len(cases)*(len(methods)+1))
		b.show(done, total, "reading "+one.name)
		c, err := one.load(ctx)
		if err != nil {
			return nil, failed(err, "repair the case or move it out of the folder; docs/quality.md describes its files")
		}
		from := len(results)
		for r, err := range quality.Run(ctx, c, methods) {
			if err != nil {
				return nil, err
			}
			results = append(results, r)
			b.show(done+int64(len(results)-from), total, "tracing "+one.name)
			if p.json {
				b.clear()
				if err := json.NewEncoder(p.out).Encode(r); err != nil {
					return nil, err
				}
			}
		}
		b.clear()
		if !p.json {
			if err := quality.WriteTable(p.out, results[from:], widthOf(p.out), true); err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}

// widthOf is how many characters a line of a terminal has, 0 where w is none.
func widthOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// compareQuality compares the results with a golden file, or writes them into it.
func (p *program) compareQuality(path string, update bool, results []quality.Result) error {
	now, err := quality.Golden(results)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil && !(update && errors.Is(err, fs.ErrNotExist)) {
		return failed(err, "make it with --update")
	}
	different, absent := quality.Differences(string(old), now)
	if update {
		if err := writeFile(path, func(w io.Writer) error {
			_, err := io.WriteString(w, quality.Merge(string(old), now))
			return err
		}); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	for _, name := range absent {
		p.say("not measured: %s", clean(name))
	}
	if len(different) == 0 {
		p.say("as in %s", path)
		return nil
	}
	for _, line := range different {
		p.say("%s", clean(line))
	}
	if update {
		return nil
	}
	return &failure{fmt.Errorf("the results are not those of %s", path), "read the differences; if they are meant, --update writes them", 5}
}
