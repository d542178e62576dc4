package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/api"
	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/engine/verdicts"
	"github.com/spoor-dev/spoor/finding"
)

type serveFlags struct {
	store, policy, record       string
	labels                      []string
	listen, keys, newKey        string
	cert, key                   string
	refuseStale, direct, forget bool
	noClusters                  bool
	vendor, vendorKey           string
	vendorPrivate               bool
	watch                       string
	config                      api.Config
	reload                      time.Duration
}

func (p *program) serve() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Answer screening questions over HTTP, also to clients of other vendors",
		Long: `Answer questions for verdicts over HTTP until it is stopped; requests that run are finished first.

Our own wire is under /v1, described by /v1/openapi.json and docs/formats/api.md. Clients of Chainalysis (sanctions and
entities), TRM v2 and MistTrack v2, and dApps that ask the sanctions oracle by eth_call, only change their base address.

When the labels have changed, those on record whom the change can concern are asked about again, and each verdict that has
changed is printed as a finding, one JSON object a line (not with --forget). A --vendor is not asked again: what it had said
stands beside our own new answer, and the verdict says so.

With --watch the server follows chains as well, as spoor watch does with that configuration, into the same store: a running
spoor watch or spoor ingest keeps the store to itself.

Without --keys only this machine may ask. --new-key makes a key: the secret on stdout, the line for the key file on stderr.`,
		Example: `  spoor serve --store ~/spoor
  spoor serve --new-key backoffice 2>>keys.txt
  spoor serve --listen 0.0.0.0:8443 --keys keys.txt --tls-cert cert.pem --tls-key key.pem --refuse-stale`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runServe(cmd.Context(), f) },
	}
	fl := c.Flags()
	fl.StringVar(&f.store, "store", defaultStore(), "folder of the store; without one the labels alone are asked")
	fl.StringArrayVar(&f.labels, "labels", nil, "folder with labels, or CSV, repeatable (default the labels in the store's folder)")
	fl.StringVar(&f.record, "verdicts", "", "folder where verdicts are kept (default the one in the store's folder)")
	fl.StringVar(&f.policy, "policy", "default", "default, lists (what is on no list is allowed), or a file with a policy")
	fl.BoolVar(&f.direct, "direct", false, "ask the labels alone, and no chain")
	fl.BoolVar(&f.noClusters, "no-clusters", false, "do not look at labels through clusters (see spoor cluster)")
	fl.BoolVar(&f.forget, "forget", false, "keep no verdicts")
	fl.StringVar(&f.listen, "listen", "127.0.0.1:8420", "address to listen on")
	fl.StringVar(&f.keys, "keys", "", "file with the keys of those who may ask")
	fl.StringVar(&f.newKey, "new-key", "", "make a key of this NAME and end")
	fl.StringVar(&f.cert, "tls-cert", "", "file with the certificate, for HTTPS")
	fl.StringVar(&f.key, "tls-key", "", "file with the certificate's key")
	fl.Float64Var(&f.config.Rate, "rate", 0, "questions a second of one caller; 0 is no limit")
	fl.IntVar(&f.config.Burst, "burst", 0, "questions at once of one caller (default those of a second)")
	fl.DurationVar(&f.config.Timeout, "timeout", 10*time.Second, "time for one question")
	fl.DurationVar(&f.config.MaxListAge, "max-list-age", 7*24*time.Hour, "labels whose newest list is older are too old; 0 is never")
	fl.BoolVar(&f.refuseStale, "refuse-stale", false, "refuse to answer from labels that are too old, instead of saying \"degraded\"")
	fl.StringVar(&f.vendor, "vendor", "", "ask this vendor too, DIALECT=URL; the stricter answer is given")
	fl.StringVar(&f.vendorKey, "vendor-key", "", "file with the key for the vendor")
	fl.BoolVar(&f.vendorPrivate, "vendor-private", false, "the vendor may stand in a private network, and be reached by http")
	fl.BoolVar(&f.config.RealOnly, "real-only", false, "no test addresses")
	fl.BoolVar(&f.config.Extras, "extras", false, "put a field \"spoor\" into the answers of other vendors' wires")
	fl.BoolVar(&f.config.LogRequests, "log-requests", false, "log every request, not only those that failed")
	fl.StringVar(&f.watch, "watch", "", "configuration file of spoor watch: follow live chains into the same store")
	fl.DurationVar(&f.reload, "reload", 2*time.Second, "how often to look whether the labels have changed")
	return c
}

func (p *program) runServe(ctx context.Context, f serveFlags) (err error) {
	if f.newKey != "" {
		secret, line, err := api.NewKey(f.newKey, api.ScopeScreen|api.ScopeMetrics)
		if err != nil {
			return misuse(err, "name the caller, for example --new-key backoffice")
		}
		fmt.Fprintln(p.err, line)
		_, err = fmt.Fprintln(p.out, secret)
		return err
	}
	if f.config.Rate < 0 || f.config.Burst < 0 || f.config.Timeout <= 0 || f.config.MaxListAge < 0 || f.reload <= 0 {
		return misuse(errors.New("a number that cannot be"), "rates and times are not negative; --timeout and --reload are not 0")
	}
	st, watching, err := p.storeToServe(ctx, &f)
	if err != nil {
		return err
	}
	if st != nil {
		defer func() { err = errors.Join(err, st.Close()) }()
	}
	keys, err := readKeys(f.keys)
	if err != nil {
		return err
	}
	certificate, err := readCertificate(f.cert, f.key)
	if err != nil {
		return err
	}
	policy, err := readPolicy(f.policy)
	if err != nil {
		return err
	}
	config := engine.ScreenConfig{Policy: policy}
	if st != nil { // else a store of nothing would be asked for exposure
		config.Store = st
	}
	if len(f.labels) == 0 {
		f.labels = []string{filepath.Join(f.store, "labels")}
	}
	var screener *engine.Screener // once it is there, clusters that are read again go to it
	var clusterStamp []engine.LabelStamp
	read := func() ([]*attribute.Book, error) {
		books, err := readBooks(f.labels, "")
		if err != nil || f.noClusters {
			return books, err
		}
		stamp := engine.StampLabels([]string{engine.ClusterFile(f.store)})
		if screener != nil && slices.Equal(stamp, clusterStamp) {
			return books, nil
		}
		clusters, err := readClusters(f.store)
		if err != nil {
			return nil, err
		}
		if clusterStamp = stamp; screener == nil {
			config.Clusters = clusters
		} else {
			screener.SetClusters(clusters)
		}
		return books, nil
	}
	from := f.labels
	if !f.noClusters {
		from = append(slices.Clone(from), engine.ClusterFile(f.store))
	}
	stamps := engine.StampLabels(from)
	books, err := read()
	if err != nil {
		return err
	}
	if !f.forget {
		if f.record == "" {
			f.record = filepath.Join(f.store, "verdicts")
		}
		if config.Record, err = verdicts.Open(f.record); err != nil {
			return failed(err, "name another folder with --verdicts, or keep none with --forget")
		}
		defer func() { err = errors.Join(err, config.Record.Close()) }()
	}
	screener = engine.NewScreener(config, books...)
	var asked api.Screener = screener
	if f.vendor != "" {
		forward, err := forwardTo(screener, f)
		if err != nil {
			return err
		}
		defer forward.Close()
		asked = forward
	}
	world := engine.NewWorld(screener, st)
	f.config.Version, f.config.Keys, f.config.ServeStale = engine.Version, keys, !f.refuseStale
	f.config.Log = slog.New(slog.NewJSONHandler(p.err, nil))
	l, err := api.Listen(f.listen, keys, certificate)
	if err != nil {
		return err
	}
	scheme := "http"
	if certificate != nil {
		scheme = "https"
	}
	p.say("answers on %s://%s, with %s", scheme, l.Addr(), engine.Count(screener.LabelState().Count, "label"))
	following := make(chan struct{})
	follow, stop := context.WithCancel(ctx)
	go func() {
		defer close(following)
		world.FollowLabels(follow, from, stamps, read, f.reload, func(err error) {
			if err != nil {
				f.config.Log.Error("labels cannot be read", "error", err.Error())
				return
			}
			f.config.Log.Info("labels read again", "labels", screener.LabelState().Count)
			p.rescreen(follow, f.config.Log, screener)
		})
	}()
	err = beside(ctx, watching, func(ctx context.Context) error { return api.New(asked, world, f.config).Serve(ctx, l) })
	stop()
	<-following
	return err
}

// rescreen asks again about those on record whom the change of the labels concerns, and prints what has changed, one finding a line.
func (p *program) rescreen(ctx context.Context, log *slog.Logger, s *engine.Screener) {
	out := json.NewEncoder(p.out)
	changes := 0
	for f, err := range s.RescreenChanged(ctx) {
		if err == nil {
			err = out.Encode(f)
		}
		if err != nil {
			if ctx.Err() == nil {
				log.Error("not all whom it concerns were asked about again: spoor screen --again does it", "error", err.Error(), "changes", changes)
			}
			return
		}
		changes++
		log.Warn("a verdict has changed", "finding", f.ID.String(), "what", finding.Clean(f.Sentence, 500))
	}
	log.Info("asked again about those on record whom it concerns", "changes", changes)
}

// forwardTo asks a vendor beside own.
func forwardTo(own api.Screener, f serveFlags) (*api.Forward, error) {
	dialect, base, ok := strings.Cut(f.vendor, "=")
	if !ok {
		return nil, misuse(errors.New("--vendor is DIALECT=URL"), "the dialects are %s", strings.Join(api.VendorDialects(), ", "))
	}
	c := api.VendorConfig{Dialect: dialect, Base: base, Private: f.vendorPrivate, Timeout: f.config.Timeout / 2}
	if f.vendorKey != "" {
		key, err := os.ReadFile(f.vendorKey)
		if err != nil {
			return nil, fmt.Errorf("--vendor-key: %w", err)
		}
		c.Key = strings.TrimSpace(string(key))
	}
	forward, err := api.NewForward(own, c)
	if err != nil {
		return nil, misuse(fmt.Errorf("--vendor: %w", err), "for example --vendor trm=https://api.trmlabs.com; the dialects are %s", strings.Join(api.VendorDialects(), ", "))
	}
	return forward, nil
}

// readKeys reads a key file; no name is no keys.
func readKeys(name string) (*api.Keys, error) {
	if name == "" {
		return nil, nil
	}
	in, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--keys: %w", err)
	}
	defer in.Close()
	if info, err := in.Stat(); err == nil && info.Mode().Perm()&fs.FileMode(0o022) != 0 {
		return nil, failed(fmt.Errorf("--keys: %s can be written by others", name), "run \"chmod go-w %s\": who writes there lets himself in", name)
	}
	keys, err := api.ParseKeys(in)
	if err != nil {
		return nil, fmt.Errorf("--keys: %s: %w", name, err)
	}
	return keys, nil
}

// readCertificate reads the two files of a certificate; no names are no certificate.
func readCertificate(cert, key string) (*tls.Certificate, error) {
	if cert == "" && key == "" {
		return nil, nil
	}
	if cert == "" || key == "" {
		return nil, misuse(errors.New("half a certificate"), "--tls-cert and --tls-key go together")
	}
	c, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &c, nil
}
