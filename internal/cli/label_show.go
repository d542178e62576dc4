package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/attribute/feed"
	"github.com/spoor-dev/spoor/attribute/labelstore"
	"github.com/spoor-dev/spoor/engine"
)

// momentFlags say which moment a question is about.
type momentFlags struct {
	asOf, validAt string
}

func (f *momentFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.asOf, "as-of", "", "TIME: what was known then, of what held then (default now)")
	c.Flags().StringVar(&f.validAt, "valid-at", "", "TIME: what held then, by what is known now or at --as-of")
}

func (f *momentFlags) read() (validAt, knownAt int64, err error) {
	knownAt = time.Now().Unix()
	if f.asOf != "" {
		if knownAt, err = engine.ParseTime(f.asOf); err != nil {
			return 0, 0, misuse(err, "--as-of takes a day, RFC 3339, or seconds since 1970")
		}
	}
	validAt = knownAt
	if f.validAt != "" {
		if validAt, err = engine.ParseTime(f.validAt); err != nil {
			return 0, 0, misuse(err, "--valid-at takes a day, RFC 3339, or seconds since 1970")
		}
	}
	return validAt, knownAt, nil
}

// subjectsOf are what a question on the command line is about: an EVM address with a chain is also asked for as one of any.
func subjectsOf(text string) ([]attribute.Subject, error) {
	s, err := attribute.ParseSubject(text)
	if errors.Is(err, attribute.ErrSubject) {
		return nil, misuse(err, "write an address, eip155:any:0x…, domain:NAME, actor:NAME, code:0x… or pkg:ecosystem/name")
	}
	if err != nil {
		return nil, misuse(err, hintFor(err))
	}
	a, ok := s.Account()
	switch {
	case ok && s.Kind() == attribute.KindAccount && a.Chain().IsEVM():
		return []attribute.Subject{s, attribute.OfAnyEVM(a)}, nil
	case ok && s.Kind() == attribute.KindAnyEVM: // asked without a chain: on Ethereum too
		return []attribute.Subject{attribute.OfAccount(a), s}, nil
	}
	return []attribute.Subject{s}, nil
}

func (p *program) labelShow() *cobra.Command {
	var f labelFlags
	var m momentFlags
	c := &cobra.Command{
		Use:   "show SUBJECT ...",
		Short: "Show what is said of addresses, domains or actors",
		Long: `Show what is said of addresses, domains (domain:NAME) or actors (actor:NAME), and by whom. What is over is shown as such.
That nobody says anything means unknown, and never clean.`,
		Example: `  spoor label show 0x098B716B8Aaf21512996dC57EB0615e2383E2f96
  spoor label show --as-of 2022-11-01 0x905b63Fff465B9fFBF41DeA908CEb12478ec7601
  spoor label show --json XBT:3LU8wRu4ZnXP4UM8Yo6kkTiGHM9BubgyiG`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			validAt, knownAt, err := m.read()
			if err != nil {
				return err
			}
			return p.showLabels(f.dir(), args, func(b *attribute.Book, of []attribute.Subject) []attribute.Label { return b.Known(knownAt, of...) },
				func(l attribute.Label) string {
					switch {
					case l.ValidAt(validAt):
						return ""
					case l.ValidFrom > validAt:
						return "not yet: "
					}
					return "over: "
				})
		},
	}
	f.add(c)
	m.add(c)
	return c
}

func (p *program) labelHistory() *cobra.Command {
	var f labelFlags
	c := &cobra.Command{
		Use:   "history SUBJECT ...",
		Short: "Show every version of every label of addresses, domains or actors",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.showLabels(f.dir(), args, func(b *attribute.Book, of []attribute.Subject) []attribute.Label { return b.History(of...) },
				func(l attribute.Label) string { return "seen " + moment(l.Seen) + ": " })
		},
	}
	f.add(c)
	return c
}

func (p *program) showLabels(dir string, args []string, find func(*attribute.Book, []attribute.Subject) []attribute.Label, mark func(attribute.Label) string) error {
	var asked [][]attribute.Subject
	for _, arg := range args {
		of, err := subjectsOf(arg)
		if err != nil {
			return err
		}
		asked = append(asked, of)
	}
	book, err := p.labelBook(dir)
	if err != nil {
		return err
	}
	for i, of := range asked {
		labels := find(book.Book, of)
		if p.json {
			err := json.NewEncoder(p.out).Encode(struct {
				Asked  string            `json:"asked"`
				Labels []attribute.Label `json:"labels"`
			}{args[i], nonNil(labels)})
			if err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(p.out, of[len(of)-1])
		for _, l := range labels {
			fmt.Fprintf(p.out, "  %s%s\n", mark(l), describeLabel(l))
		}
		if len(labels) == 0 {
			fmt.Fprintln(p.out, "  unknown: nobody says anything, which does not mean that it is clean")
		}
	}
	return nil
}

// describeLabel is a label in one line, without its subject.
func describeLabel(l attribute.Label) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s", l.Source.ID, l.Stance)
	if l.Category != "" {
		fmt.Fprintf(&s, " %s", l.Category)
	}
	if l.Name != "" {
		fmt.Fprintf(&s, " %q", l.Name)
	}
	if l.Service {
		s.WriteString(", a service")
	}
	fmt.Fprintf(&s, " (%s, %d of 100)", l.Confidence, l.Confidence.Level())
	if l.ValidFrom != 0 {
		fmt.Fprintf(&s, " from %s", moment(l.ValidFrom))
	}
	if l.ValidTo != 0 {
		fmt.Fprintf(&s, " to %s", moment(l.ValidTo))
	}
	if l.Source.Date != 0 {
		fmt.Fprintf(&s, ", list of %s", day(l.Source.Date))
	}
	if l.Evidence != "" {
		fmt.Fprintf(&s, ", %s", l.Evidence)
	}
	return clean(s.String())
}

// moment is a time for people: the day alone where it is midnight.
func moment(t int64) string {
	if t%86400 == 0 {
		return day(t)
	}
	return time.Unix(t, 0).UTC().Format(time.RFC3339)
}

func (p *program) labelExport() *cobra.Command {
	var f labelFlags
	var m momentFlags
	var format, source, title, out string
	var versions bool
	var kinds strings.Builder
	for _, k := range feed.Exports {
		fmt.Fprintf(&kinds, "  %-8s %s\n", k.Name, k.Writes)
	}
	c := &cobra.Command{
		Use:   "export",
		Short: "Write labels in a format that others read",
		Long:  "Write the labels that hold, in one of the formats\n" + kinds.String() + "What a format cannot hold is counted on stderr.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			validAt, knownAt, err := m.read()
			if err != nil {
				return err
			}
			book, err := p.labelBook(f.dir())
			if err != nil {
				return err
			}
			labels := book.InForce(validAt, knownAt)
			if versions {
				labels = book.All()
			}
			var w io.Writer = p.out
			file, err := p.output(out)
			if err != nil {
				return err
			}
			if file != nil {
				defer func() { err = errors.Join(err, file.Close()) }()
				w = file
			}
			written, left, err := feed.Write(w, format, title, ofSource(labels, source))
			if errors.Is(err, feed.ErrFormat) {
				return misuse(err, "the formats are spoor, csv and tagpack")
			}
			if err == nil {
				p.say("%s written, %d left out that the format cannot hold", engine.Count(written, "label"), left)
			}
			return err
		},
	}
	f.add(c)
	m.add(c)
	fl := c.Flags()
	fl.StringVar(&format, "format", "spoor", "spoor, csv or tagpack")
	fl.StringVar(&source, "source", "", "only the labels of this source")
	fl.StringVar(&title, "title", "Labels exported from Spoor", "title of a TagPack")
	fl.StringVar(&out, "out", "", "file to write (default standard output)")
	fl.BoolVar(&versions, "versions", false, "every version of every label, not only what holds")
	return c
}

// ofSource are the labels of one source, of all if it is empty.
func ofSource(labels iter.Seq[attribute.Label], source string) iter.Seq[attribute.Label] {
	return func(yield func(attribute.Label) bool) {
		for l := range labels {
			if (source == "" || l.Source.ID == source) && !yield(l) {
				return
			}
		}
	}
}

func (p *program) labelSources() *cobra.Command {
	var f labelFlags
	var quarantine bool
	c := &cobra.Command{
		Use:   "sources",
		Short: "List the sources of the labels: how old each list is and what became of its rows",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if !labelstore.Exists(f.dir()) {
				return failed(fmt.Errorf("labels %s: %w", f.dir(), labelstore.ErrAbsent), "import some: spoor label import --shipped")
			}
			s, err := labelstore.Open(f.dir())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			feeds, err := s.Feeds()
			if err != nil {
				return err
			}
			now := time.Now().Unix()
			for _, r := range feeds {
				rows, err := s.Quarantine(r.Source.ID)
				if err != nil {
					return err
				}
				if p.json {
					if !quarantine {
						rows = nil
					}
					err = json.NewEncoder(p.out).Encode(struct {
						labelstore.Report
						Refused []attribute.Refusal `json:"refused,omitempty"`
					}{r, rows})
					if err != nil {
						return err
					}
					continue
				}
				age := "of no known day"
				if r.Source.Date > 0 {
					age = fmt.Sprintf("of %s, %d days old", day(r.Source.Date), (now-r.Source.Date)/86400)
				}
				fmt.Fprintf(p.out, "%s: list %s, seen %s, %s, %d in quarantine, licence %q, %s\n", clean(r.Source.ID), age, moment(r.Seen),
					engine.Count(r.Labels-r.Repeated, "label"), r.Quarantined, clean(r.Source.Licence), clean(r.Source.URI))
				if quarantine {
					for _, q := range rows {
						fmt.Fprintf(p.out, "  %s\n", clean(q.String()))
					}
				}
			}
			return nil
		},
	}
	f.add(c)
	c.Flags().BoolVar(&quarantine, "quarantine", false, "with the rows in quarantine")
	return c
}
