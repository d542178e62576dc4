package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/feed"
	"github.com/spoor-dev/spoor/attribute/labelstore"
	"github.com/spoor-dev/spoor/engine"
)

// labelFlags are what the commands about labels share.
type labelFlags struct {
	store, labels string
}

func (f *labelFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.store, "store", defaultStore(), "folder of the store, whose labels are in its folder \"labels\"")
	c.Flags().StringVar(&f.labels, "labels", "", "folder of the labels, if it is another one")
}

func (f *labelFlags) dir() string {
	if f.labels != "" {
		return f.labels
	}
	return engine.LabelFolder(f.store)
}

func (p *program) label() *cobra.Command {
	c := &cobra.Command{
		Use:   "label",
		Short: "Keep labels: who is behind an address, who says so, since when, and since when that is known",
		Long: `Labels are what sources say about addresses, domains and actors. Every version of each is kept: what was known at any
earlier moment can be asked for. Sources that contradict each other are shown side by side.

Nothing is dropped silently: rows that cannot be trusted are put in quarantine with a reason, and every import says how
many rows came in and what became of them.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			const hint = "write spoor label import, diff, refresh, show, history, export or sources"
			if len(args) > 0 {
				return misuse(fmt.Errorf("unknown command %.40q for labels", args[0]), hint)
			}
			return misuse(errors.New("no command for labels given"), hint)
		},
	}
	c.AddCommand(p.labelImport(), p.labelDiff(), p.labelRefresh(), p.labelShow(), p.labelHistory(), p.labelExport(), p.labelSources())
	for _, sub := range c.Commands() {
		run := sub.RunE
		sub.RunE = func(cmd *cobra.Command, args []string) error {
			p.running = true
			return run(cmd, args)
		}
	}
	return c
}

// listFlags say of a list what it does not say itself, and how it is taken in.
type listFlags struct {
	labelFlags
	config     feed.Config
	date, seen string
	accept     bool
	churn      int
	quarantine bool
	shipped    bool
}

func (f *listFlags) add(c *cobra.Command) {
	f.labelFlags.add(c)
	fl := c.Flags()
	fl.StringVar(&f.config.Format, "format", "", "format of the files (default told from name and beginning): "+strings.Join(formatNames(), ", "))
	fl.StringVar(&f.config.Source.ID, "source", "", "id of the source, which a later list of the same id replaces (default told from the list or the file's name)")
	fl.StringVar(&f.config.Source.URI, "uri", "", "where the list is from")
	fl.StringVar(&f.config.Source.Licence, "licence", "", "licence of the list")
	fl.StringVar(&f.date, "date", "", "day of the list, if it does not say")
	fl.StringVar(&f.config.Category, "category", "", "category of addresses of which the list says none, for example sanction, exchange, phishing")
	fl.StringVar(&f.config.Label, "name", "", "name of addresses of which the list says none")
	fl.StringVar(&f.config.Confidence, "confidence", "", "confidence of labels that have none, on the GraphSense scale, for example web_crawl")
	fl.StringVar(&f.seen, "seen", "", "TIME when the list came to be known, to load a history (default now)")
	fl.BoolVar(&f.accept, "accept", false, "a human has looked: take a list in that changes much at once")
	fl.IntVar(&f.churn, "max-churn", 0, fmt.Sprintf("percent of a source's labels that may change at once (default %d)", labelstore.DefaultMaxChurn))
	fl.BoolVar(&f.shipped, "shipped", false, "the lists that ship inside the program")
}

func formatNames() []string {
	var names []string
	for _, f := range feed.Formats {
		names = append(names, f.Name)
	}
	return names
}

// read reads the lists that were named.
func (p *program) readLists(cmd *cobra.Command, f *listFlags, args []string) ([]*attribute.Listing, labelstore.Options, error) {
	o := labelstore.Options{Seen: time.Now().Unix(), Accept: f.accept, MaxChurn: f.churn}
	if f.churn < 0 {
		return nil, o, misuse(errors.New("--max-churn is negative"), "it is a number of percent")
	}
	var err error
	if o.Replay = f.seen != ""; o.Replay {
		if o.Seen, err = engine.ParseTime(f.seen); err != nil {
			return nil, o, misuse(err, "--seen takes a day, RFC 3339, or seconds since 1970")
		}
		if o.Seen > time.Now().Unix() {
			return nil, o, misuse(errors.New("--seen is in the future"), "nothing can be known before its time")
		}
	}
	if f.date != "" {
		if f.config.Source.Date, err = engine.ParseTime(f.date); err != nil {
			return nil, o, misuse(err, "--date takes a day, RFC 3339, or seconds since 1970")
		}
	}
	if _, err := attribute.ParseConfidence(f.config.Confidence); err != nil {
		return nil, o, misuse(err, "the scale is unknown, heuristic, web_crawl, untrusted_transaction, forensic, service_data, trusted_provider, authority_data, forensic_investigation, service_api, manual_transaction, ledger_immanent, ownership, override")
	}
	var lists []*attribute.Listing
	if f.shipped {
		if lists, err = engine.ShippedLabels(); err != nil {
			return nil, o, err
		}
	}
	if len(args) == 0 && !f.shipped {
		return nil, o, misuse(errors.New("no list given"), "name files, - for standard input, or --shipped; \"spoor label import --help\" shows the formats")
	}
	for _, path := range args {
		l, err := engine.ReadLabelList(path, cmd.InOrStdin(), f.config)
		if errors.Is(err, feed.ErrFormat) {
			return nil, o, failed(err, "name it with --format: %s", strings.Join(formatNames(), ", "))
		}
		if err != nil {
			return nil, o, failed(err, "%s", hintOr(err, "the file is not what its format says: get it again, or name the format with --format; nothing of it was stored"))
		}
		lists = append(lists, l)
	}
	return lists, o, nil
}

func (p *program) labelImport() *cobra.Command {
	var f listFlags
	var kinds strings.Builder
	for _, k := range feed.Formats {
		fmt.Fprintf(&kinds, "  %-17s %s\n", k.Name, k.Reads)
	}
	c := &cobra.Command{
		Use:   "import FILE ...",
		Short: "Take in lists of labels",
		Long: `Take in lists of labels. Each is stored whole or not at all, also if the program is killed meanwhile. A list replaces the
earlier one of its source: what is on it no more ends, and stays in the history.

Lists are hostile until they are checked: the chain is told from the address and never from the ticker, an address whose
checksum is wrong goes into quarantine, and so does a row that calls an address bad which everybody uses. A list that
changes more than --max-churn percent of what its source said waits: look at it with "spoor label diff", then --accept.

Formats (files may be compressed: gz, bz2, xz, zst):
` + kinds.String(),
		Example: `  spoor label import sdn_advanced.xml
  spoor label import --shipped
  spoor label import --category x:drainer --source our-drainers --confidence forensic drainers.txt
  spoor label import --json --accept list.csv | jq .quarantined`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			lists, o, err := p.readLists(cmd, &f, args)
			if err != nil {
				return err
			}
			if err := p.importLists(f.dir(), lists, o, f.quarantine); err != nil || f.seen != "" {
				return err
			}
			return noteFeeds(f.dir(), lists, f.config)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&f.quarantine, "quarantine", false, "list every row in quarantine, not the first few")
	return c
}

// noteFeeds notes how lists that have an address on the web were read, for label refresh.
func noteFeeds(dir string, lists []*attribute.Listing, c feed.Config) error {
	all, err := engine.ReadLabelFeeds(dir)
	if err != nil {
		return err
	}
	noted := false
	for _, l := range lists {
		if f := engine.FeedOf(l, c); c.Source.URI != "" && f.OnTheWeb() {
			all[l.Source.ID], noted = f, true
		}
	}
	if !noted {
		return nil
	}
	return all.Write(dir)
}

func (p *program) importLists(dir string, lists []*attribute.Listing, o labelstore.Options, all bool) (err error) {
	s, err := labelstore.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var held error
	for _, l := range lists {
		r, err := s.Import(l, o)
		if err != nil && !errors.Is(err, labelstore.ErrChurn) {
			return failed(err, "%s", hintOr(err, "nothing of this list was stored; the lists before it are"))
		}
		if err != nil {
			held = failed(err, "see what changes with \"spoor label diff\"; if it is right, import it with --accept")
		}
		if err := p.writeReport(r, l, all); err != nil {
			return err
		}
	}
	return held
}

// shownRefusals is how many rows in quarantine a person is shown.
const shownRefusals = 5

// writeReport prints what became of the rows of a list.
func (p *program) writeReport(r labelstore.Report, l *attribute.Listing, all bool) error {
	if p.json {
		return json.NewEncoder(p.out).Encode(struct {
			labelstore.Report
			Refused []attribute.Refusal `json:"refused"`
			Filed   []attribute.Refusal `json:"filed_otherwise"`
		}{r, nonNil(l.Refused), nonNil(l.Refiled)})
	}
	held := ""
	if r.Held {
		held = ", NOT STORED"
	}
	_, err := fmt.Fprintf(p.out, "%s%s: %s in = %d taken + %d in quarantine + %d about other things; %s = %d new + %d changed + %d unchanged + %d repeated; %d ended\n",
		clean(r.Source.ID), held, engine.Count(r.Rows, "row"), r.Taken, r.Quarantined, r.Other, engine.Count(r.Labels, "label"), r.New, r.Changed, r.Unchanged, r.Repeated, r.Ended)
	show := func(rows []attribute.Refusal, what string) {
		for i, q := range rows {
			if !all && i == shownRefusals {
				p.say("  … %d more; --quarantine lists them all, --json too", len(rows)-i)
				break
			}
			p.say("  %s: %s", what, clean(q.String()))
		}
	}
	show(l.Refused, "quarantine")
	show(l.Refiled, "filed otherwise")
	return err
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (p *program) labelDiff() *cobra.Command {
	var f listFlags
	c := &cobra.Command{
		Use:   "diff FILE ...",
		Short: "Show what importing lists would change",
		Long:  "Show what importing lists would change, label by label: + new, ~ changed, - ended. Nothing is stored. Exit code 3 if something would change.",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			lists, o, err := p.readLists(cmd, &f, args)
			if err != nil {
				return err
			}
			s, err := labelstore.Open(f.dir())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			for _, l := range lists {
				plan, r, err := s.Diff(l, o)
				if err != nil {
					return err
				}
				if len(plan.New)+len(plan.Changed)+len(plan.Ended) > 0 {
					p.code = 3
				}
				for _, part := range []struct {
					sign   string
					labels []attribute.Label
				}{{"+", plan.New}, {"~", plan.Changed}, {"-", plan.Ended}} {
					for _, label := range part.labels {
						if p.json {
							err = json.NewEncoder(p.out).Encode(struct {
								Change string          `json:"change"`
								Label  attribute.Label `json:"label"`
							}{part.sign, label})
						} else {
							_, err = fmt.Fprintf(p.out, "%s %s  %s\n", part.sign, label.Subject, describeLabel(label))
						}
						if err != nil {
							return err
						}
					}
				}
				p.say("%s: %d new, %d changed, %d ended, %d unchanged; %d %% of %d that held", clean(r.Source.ID), r.New, r.Changed, r.Ended, r.Unchanged, r.Churn, r.Before)
			}
			return nil
		},
	}
	f.add(c)
	return c
}

// labelBook is the labels to ask, with a remark where they are only those that ship inside.
func (p *program) labelBook(dir string) (engine.LabelBook, error) {
	book, err := engine.ReadLabelBook(dir)
	if err == nil && book.Shipped {
		p.sayShipped(book)
	}
	return book, err
}

func (p *program) sayShipped(book engine.LabelBook) {
	p.say("no labels were imported: these ship inside, the list of sanctions is of %s, %d days old", day(book.Sanctions), (time.Now().Unix()-book.Sanctions)/86400)
}

func day(t int64) string { return time.Unix(t, 0).UTC().Format(time.DateOnly) }

// output is the file to write to, or standard output.
func (p *program) output(path string) (*os.File, error) {
	if path == "" || path == "-" {
		return nil, nil
	}
	return os.Create(path)
}
