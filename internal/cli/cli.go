// Package cli is the commands of spoor: flags in, engine called, answers and errors out.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spoor-dev/spoor/finding"
)

// A program is what every command writes to and how it ends.
type program struct {
	out, err io.Writer
	code     int  // exit code of a command that ended without an error
	running  bool // the arguments were understood and a command has begun
	json     bool
	quiet    bool
}

// Main runs the command that args name and returns the exit code: 0 done or allow, 1 failed, 2 misused, 3 something was found
// that needs attention, or hold, 4 block, 5 verification failed, 6 partial. stdout gets data only; messages and progress go to stderr.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p := &program{out: stdout, err: stderr}
	root := p.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		return p.fail(err)
	}
	return p.code
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "spoor",
		Short: "Follow stolen cryptocurrency: who holds it now, and how sure is that",
		Long: `Spoor follows stolen cryptocurrency over real chains with exact arithmetic, and says what it does not know.

New here? Run "spoor demo": a real theft, traced in seconds on data that ships inside.
Then "spoor ingest" your own blocks and "spoor trace" a theft.

Exit codes: 0 done or allow, 1 failed, 2 misused, 3 needs attention or hold, 4 block, 5 verification failed, 6 partial answer.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.PersistentFlags().BoolVar(&p.json, "json", false, "print the answer as JSON")
	root.PersistentFlags().BoolVarP(&p.quiet, "quiet", "q", false, "no progress and no remarks on stderr")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return misuse(err, "run \"%s --help\" to see its flags", c.CommandPath())
	})
	root.AddCommand(p.demo(), p.ingest(), p.trace(), p.label(), p.cluster(), p.screen(), p.bench(), p.serve(), p.watch(), p.config(), p.version())
	p.noteRuns(root)
	return root
}

// noteRuns lets every command below c say that it has begun.
func (p *program) noteRuns(c *cobra.Command) {
	for _, c := range c.Commands() {
		if run := c.RunE; run != nil {
			c.RunE = func(cmd *cobra.Command, args []string) error {
				p.running = true
				return run(cmd, args)
			}
		}
		p.noteRuns(c)
	}
}

// A failure is an error with what to do next and the exit code it ends the program with.
type failure struct {
	err  error
	hint string
	code int
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// misuse is an error of the caller: exit code 2.
func misuse(err error, hint string, args ...any) error {
	if len(args) > 0 {
		hint = fmt.Sprintf(hint, args...)
	}
	return &failure{err, hint, 2}
}

// failed is an error with a hint: exit code 1.
func failed(err error, hint string, args ...any) error {
	return &failure{err, fmt.Sprintf(hint, args...), 1}
}

// fail prints the two lines of an error and returns the exit code. An error from before a command began is of the command
// line.
func (p *program) fail(err error) int {
	f := &failure{err: err, code: 1}
	if !errors.As(err, &f) && !p.running {
		f.code, f.hint = 2, `run it with --help for its commands, flags and examples`
	}
	if f.hint == "" {
		f.hint = hintFor(err)
	}
	what := err.Error()
	if errors.Is(err, context.Canceled) {
		what = "stopped"
	}
	fmt.Fprintf(p.err, "spoor: %s\nhint: %s\n", oneLine(what), oneLine(f.hint))
	return f.code
}

// oneLine joins the lines of a message, which may hold text from outside.
func oneLine(s string) string {
	return finding.Clean(strings.ReplaceAll(strings.TrimSpace(s), "\n", "; "), 2000)
}

// say prints a remark on stderr, unless quiet.
func (p *program) say(format string, args ...any) {
	if !p.quiet {
		fmt.Fprintf(p.err, format+"\n", args...)
	}
}

// defaultStore is where the store lies unless --store says otherwise: in the user's data folder (XDG).
func defaultStore() string {
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "spoor", "store")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(".spoor", "store")
	}
	return filepath.Join(home, ".local", "share", "spoor", "store")
}
