package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/spoor-dev/spoor/alert"
	"github.com/spoor-dev/spoor/alert/outbox"
	"github.com/spoor-dev/spoor/alert/sink"
	"github.com/spoor-dev/spoor/api"
	"github.com/spoor-dev/spoor/config"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/engine/live"
	"github.com/spoor-dev/spoor/store"
	"github.com/spoor-dev/spoor/store/pebblestore"
)

type watchFlags struct {
	config, store  string
	labels, thefts []string
	lists          []string
	from           string
	listen         string
	silent         bool
}

func (p *program) watch() *cobra.Command {
	var f watchFlags
	c := &cobra.Command{
		Use:   "watch [evm-rpc:URL|bitcoin-rpc:URL ...]",
		Short: "Follow live chains, and tell people when stolen money moves",
		Long: `Follow chains on live nodes until it is stopped. Every block is proved by its roots before it is taken in; a node that
lies is named and switched. Open cases follow by themselves: where stolen money goes, its new holders are watched from the
same block on. What people must be told is kept until they were told it, once, and corrected when the chain changes its
mind. When it is stopped or crashes, the next start goes on where it was.

Alerts go to the sinks of the configuration, and to stdout: one line for people, with --json one object a line.
A page, metrics for Prometheus and the state of everything are on http://127.0.0.1:8421 (see --listen).

SIGHUP reads the configuration again: cases, lists, contacts, labels, sinks and routes change while blocks go on.`,
		Example: `  spoor watch --theft harvest.json evm-rpc:http://127.0.0.1:8545
  spoor watch --list treasury.txt --store ~/spoor bitcoin-rpc:http://user@127.0.0.1:8332
  spoor watch --config /etc/spoor/spoor.yaml
  spoor watch log --store ~/spoor`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return p.runWatch(cmd.Context(), f, args) },
	}
	fl := c.Flags()
	fl.StringVar(&f.config, "config", "", "configuration file; see \"spoor config explain\"")
	fl.StringVar(&f.store, "store", "", "folder of the store (default that of the configuration, else the user's)")
	fl.StringArrayVar(&f.labels, "labels", nil, "CSV with labels, repeatable; those in the store's folder are used by themselves")
	fl.StringArrayVar(&f.thefts, "theft", nil, "theft file, or a folder of them: cases to follow, repeatable")
	fl.StringArrayVar(&f.lists, "list", nil, "file with accounts to watch, one a line, repeatable")
	fl.StringVar(&f.from, "from", "", "height at which an empty store begins (default the head)")
	fl.StringVar(&f.listen, "listen", "", "address of the page and the metrics, or none")
	fl.BoolVar(&f.silent, "silent", false, "no alerts on stdout")
	c.AddCommand(p.watchLog(), p.watchDead(), p.watchTest())
	return c
}

// watchConfig is the configuration that flags and file say together.
func (p *program) watchConfig(ctx context.Context, f watchFlags, args []string) (c config.Config, err error) {
	if f.config != "" {
		if c, err = p.readConfig(f.config); err != nil {
			return c, err
		}
	} else if c, err = config.Parse(nil, "."); err != nil {
		return c, err
	}
	if f.store != "" {
		c.Store = f.store
	}
	if c.Store == "" {
		c.Store = defaultStore()
	}
	if f.listen != "" {
		c.Listen.Address = f.listen
	}
	c.Labels = append(c.Labels, f.labels...)
	for _, t := range f.thefts {
		c.Cases = append(c.Cases, config.Case{Theft: t})
	}
	for _, l := range f.lists {
		c.Lists = append(c.Lists, config.List{Name: strings.TrimSuffix(filepath.Base(l), filepath.Ext(l)), File: l})
	}
	for _, spec := range args {
		ch, err := engine.NodeChain(ctx, spec)
		if err != nil {
			return c, misuse(err, nodeHint(err))
		}
		c.AddNode(ch)
	}
	if f.from != "" {
		for i := range c.Chains {
			c.Chains[i].From = f.from
		}
	}
	if err := c.Complete(); err != nil {
		return c, misuse(err, "\"spoor config explain\" says what each key may be")
	}
	if len(c.Chains) == 0 {
		return c, misuse(errNoChains, "name a node, such as evm-rpc:http://127.0.0.1:8545, or a --config with chains")
	}
	return c, nil
}

func (p *program) runWatch(ctx context.Context, f watchFlags, args []string) (err error) {
	c, err := p.watchConfig(ctx, f, args)
	if err != nil {
		return err
	}
	st, err := openLive(c.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return p.runLive(ctx, c, st, f, args)
}

// openLive opens a store to follow chains. Where the disk is too full for that it takes the room of the ballast.
func openLive(dir string) (*pebblestore.Store, error) {
	st, err := pebblestore.Open(dir, pebblestore.Options{})
	if errors.Is(err, store.ErrFull) && live.MakeRoom(dir) {
		return pebblestore.Open(dir, pebblestore.Options{})
	}
	return st, err
}

// runLive does what a configuration says with an open store, until ctx is done.
func (p *program) runLive(ctx context.Context, c config.Config, st store.Store, f watchFlags, args []string) (err error) {
	if err := live.Check(c); err != nil {
		return watchFault(err)
	}
	var keys *api.Keys
	if c.Listen.Keys != "" {
		if keys, err = readKeys(c.Listen.Keys); err != nil {
			return err
		}
	}
	certificate, err := readCertificate(c.Listen.Cert, c.Listen.Key)
	if err != nil {
		return err
	}
	var labels atomic.Pointer[[]string] // files with labels, as the configuration says by now
	labels.Store(&c.Labels)
	options := live.Options{Store: st, Log: slog.New(slog.NewJSONHandler(p.err, nil)),
		Labels:     func() (*engine.Labels, error) { return traceLabels(*labels.Load(), c.Store) },
		LabelFiles: func() []string { return append([]string{engine.LabelFolder(c.Store)}, *labels.Load()...) }}
	if p.quiet {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if !f.silent {
		stdout, err := sink.NewStream(sink.StreamConfig{Name: "stdout", Words: !p.json}, p.out)
		if err != nil {
			return err
		}
		options.Sinks = append(options.Sinks, stdout)
	}
	l, err := live.New(c, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	serving := make(chan error, 1)
	serve, stop := context.WithCancel(ctx)
	defer stop()
	if c.Listen.Address == "none" {
		serving <- nil
	} else {
		listener, err := api.Listen(c.Listen.Address, keys, certificate)
		if err != nil {
			return failed(err, "%s", listenHint(err))
		}
		p.say("page, state and metrics on %s", pageURL(listener.Addr(), certificate != nil))
		go func() { serving <- live.Serve(serve, listener, l.Handler(keys)) }()
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	reloading := make(chan struct{})
	go func() {
		defer close(reloading)
		for {
			select {
			case <-serve.Done():
				return
			case <-hangup:
				p.reload(serve, l, f, args, options.Log, &labels)
			}
		}
	}()
	p.sayWhat(c, f.silent)
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		firstLook(serve, c, options.Log)
	}()
	err = l.Run(ctx)
	stop()
	<-reloading
	<-looked
	return errors.Join(err, <-serving)
}

func pageURL(a net.Addr, secure bool) string {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return fmt.Sprintf("%s://%s/", scheme, a)
}

// reload brings a changed configuration into force.
func (p *program) reload(ctx context.Context, l *live.Live, f watchFlags, args []string, log *slog.Logger, labels *atomic.Pointer[[]string]) {
	c, err := p.watchConfig(ctx, f, args)
	before := labels.Load()
	if err == nil {
		labels.Store(&c.Labels)
		err = watchFault(l.Reload(ctx, c))
	}
	switch {
	case errors.Is(err, live.ErrRestart):
		log.Warn("the configuration was read again", "remark", err.Error())
	case err != nil:
		labels.Store(before)
		hint := hintFor(err)
		if f := (*failure)(nil); errors.As(err, &f) {
			hint = f.hint
		}
		log.Error("the configuration was not taken; the one before stays in force", "error", oneLine(err.Error()), "hint", hint)
	default:
		log.Info("the configuration was read again")
	}
}

// openOutbox opens the outbox of a store that no spoor watch uses at the moment.
func openOutbox(store string, c outbox.Config) (*outbox.Outbox, error) {
	dir := filepath.Join(live.Folder(store), "outbox")
	if _, err := os.Stat(dir); err != nil {
		return nil, failed(fmt.Errorf("no alerts are in %s: %w", store, err), "name the folder of a \"spoor watch\" with --store")
	}
	o, err := outbox.Open(dir, c)
	if errors.Is(err, outbox.ErrInUse) {
		return nil, failed(err, "a spoor watch runs there: its page and /v1/alerts show them; end it first to change them")
	}
	return o, err
}

func (p *program) watchLog() *cobra.Command {
	var store string
	var f outbox.Filter
	var state string
	c := &cobra.Command{
		Use:   "log",
		Short: "List what people were told, the newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if f.State = outbox.State(state); state != "" && !slices.Contains([]outbox.State{outbox.Standing, outbox.Doubtful, outbox.Withdrawn, outbox.Superseded}, f.State) {
				return misuse(fmt.Errorf("--state: %.40q is none", state), "it is standing, doubtful, withdrawn or superseded")
			}
			o, err := openOutbox(store, outbox.Config{})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.Close()) }()
			for e, err := range o.List(cmd.Context(), f) {
				if err != nil {
					return err
				}
				if err := p.writeEntry(e); err != nil {
					return err
				}
			}
			return nil
		},
	}
	fl := c.Flags()
	fl.StringVar(&store, "store", defaultStore(), "folder of the store")
	fl.StringVar(&f.Case, "case", "", "only of this case or list")
	fl.StringVar(&state, "state", "", "only alerts that are standing, doubtful, withdrawn or superseded")
	fl.BoolVar(&f.Messages, "all", false, "every message, not only the last of each alert")
	return c
}

func (p *program) writeEntry(e outbox.Entry) error {
	if p.json {
		return json.NewEncoder(p.out).Encode(e)
	}
	title, lines := sink.Render(e.Alert)
	_, err := fmt.Fprintf(p.out, "%s  %s  %s\n", e.At.UTC().Format("2006-01-02 15:04:05"), e.State, title)
	for _, line := range lines {
		if err == nil {
			_, err = fmt.Fprintf(p.out, "    %s\n", line)
		}
	}
	for what, sinks := range map[string][]string{"waits for": e.Queued, "given up for": e.Dead} {
		if err == nil && len(sinks) > 0 {
			_, err = fmt.Fprintf(p.out, "    %s %s\n", what, strings.Join(sinks, ", "))
		}
	}
	return err
}

func (p *program) watchDead() *cobra.Command {
	var store, from string
	var again, forget bool
	c := &cobra.Command{
		Use:   "dead",
		Short: "List messages that were given up, send them again, or forget a sink",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if (again || forget) && from == "" {
				return misuse(errors.New("of which sink?"), "name it with --sink")
			}
			o, err := openOutbox(store, outbox.Config{})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.Close()) }()
			switch {
			case again:
				n, err := o.Redeliver(cmd.Context(), from)
				p.say("%s will be sent again by the next spoor watch", engine.Count(n, "message"))
				return err
			case forget:
				return o.Forget(cmd.Context(), from)
			}
			for letter, err := range o.Dead(cmd.Context(), from) {
				if err != nil {
					return err
				}
				if p.json {
					err = json.NewEncoder(p.out).Encode(letter)
				} else {
					_, err = fmt.Fprintf(p.out, "%s  %s  %s\n    %s\n", letter.At.UTC().Format("2006-01-02 15:04:05"), letter.Sink, letter.Alert.Title, letter.Reason)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	fl := c.Flags()
	fl.StringVar(&store, "store", defaultStore(), "folder of the store")
	fl.StringVar(&from, "sink", "", "only of this sink")
	fl.BoolVar(&again, "again", false, "queue them once more")
	fl.BoolVar(&forget, "forget", false, "drop everything that waits for a sink which is in no configuration any more")
	return c
}

func (p *program) watchTest() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "test --config FILE [SINK ...]",
		Short: "Send a test message to sinks of a configuration",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if path == "" {
				return misuse(errors.New("of which configuration?"), "name it with --config")
			}
			c, err := p.readConfig(path)
			if err != nil {
				return err
			}
			var all []error
			tried := 0
			for _, s := range c.Alerts.Sinks {
				if len(args) > 0 && !slices.Contains(args, s.Name) {
					continue
				}
				tried++
				one, err := s.Open()
				if err == nil {
					ctx, cancel := context.WithTimeout(cmd.Context(), 30*time.Second)
					err = one.Send(ctx, []alert.Alert{sink.Trial(time.Now())})
					cancel()
				}
				if err != nil {
					all = append(all, err)
					continue
				}
				p.say("%s took the test message", s.Name)
			}
			if tried == 0 {
				return misuse(fmt.Errorf("%s has no such sink", path), "those under alerts.sinks are: %s", cmp.Or(strings.Join(sinkNames(c), ", "), "none"))
			}
			return errors.Join(all...)
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration file")
	return c
}
