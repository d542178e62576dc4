package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spoor-dev/spoor/attribute/cluster"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/flow"
)

func (p *program) cluster() *cobra.Command {
	c := &cobra.Command{
		Use:   "cluster",
		Short: "Which accounts have one owner, on what evidence, and how to take it back",
		Long: `Clusters are accounts that are thought to have one owner: they signed one Bitcoin transaction together (a CoinJoin never
counts), one is the change of the other, one is the other's deposit address at a service, or one key signs for the address on
two chains. Every merge names its transaction and how sure it is, and can be taken back.

Once they are built, spoor screen and spoor serve see labels through them: weaker than a label of the account itself.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			const hint = "write spoor cluster build, show, explain or unmerge"
			if len(args) > 0 {
				return misuse(fmt.Errorf("unknown command %.40q for clusters", args[0]), hint)
			}
			return misuse(errors.New("no command for clusters given"), hint)
		},
	}
	c.AddCommand(p.clusterBuild(), p.clusterShow(), p.clusterExplain(), p.clusterUnmerge())
	for _, sub := range c.Commands() {
		run := sub.RunE
		sub.RunE = func(cmd *cobra.Command, args []string) error {
			p.running = true
			return run(cmd, args)
		}
	}
	return c
}

// readClusters reads the clusters of a store, or is nil where none were built.
func readClusters(store string) (*engine.Clusters, error) {
	c, err := engine.ReadClusters(engine.ClusterFile(store))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, failed(fmt.Errorf("clusters: %w", err), "make them anew with \"spoor cluster build --rebuild\", or ask without them: --no-clusters")
	}
	return c, nil
}

// needClusters is readClusters where there must be some.
func needClusters(store string) (*engine.Clusters, error) {
	c, err := readClusters(store)
	if err == nil && c == nil {
		return nil, failed(fmt.Errorf("no clusters of the store %s", store), "build them first: spoor cluster build --store %s", store)
	}
	return c, err
}

func (p *program) clusterBuild() *cobra.Command {
	var f labelFlags
	var rebuild bool
	c := &cobra.Command{
		Use:   "build",
		Short: "Read the blocks of the store for evidence of who owns what",
		Long: `Read the blocks of the store, from where the last build stopped, for evidence of accounts with one owner. Stopped by Ctrl-C it
goes on there the next time. Who is a service is told by the labels of now: deposits at a service that was labelled later are
found by --rebuild, which begins at the first block and keeps what was unmerged.`,
		Example: "  spoor cluster build\n  spoor cluster build --store case42 --rebuild",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			st, err := openStore(f.store)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, st.Close()) }()
			book, err := p.labelBook(f.dir())
			if err != nil {
				return err
			}
			path := engine.ClusterFile(f.store)
			clusters, err := readClusters(f.store)
			if err != nil && !rebuild {
				return err
			}
			config := engine.ClusterConfig{Labels: book.Book}
			switch {
			case clusters == nil:
				clusters = engine.NewClusters()
			case rebuild:
				clusters = clusters.Anew()
			}
			if !rebuild { // the old file stays until the new one is whole
				config.Save = func() error { return clusters.Write(path) }
			}
			snapshot, err := st.Snapshot()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, snapshot.Close()) }()
			b := p.newBar()
			config.Progress = func(c flow.Chain, done, total uint64, evidence int) {
				b.show(int64(done), int64(total), fmt.Sprintf("blocks of %s, %d pieces of evidence", c, evidence))
			}
			stats, err := clusters.Build(cmd.Context(), snapshot, config)
			b.clear()
			if err == nil && rebuild {
				err = clusters.Write(path)
			}
			if err != nil {
				return err
			}
			if p.json {
				return json.NewEncoder(p.out).Encode(stats)
			}
			_, err = fmt.Fprintf(p.out, "%s read, %s added, %d withdrawn, %s withheld as CoinJoin or PayJoin; now %s of %s in %s, %d in doubt\n",
				engine.Count(stats.Blocks, "block"), engine.Count(stats.Added, "piece")+" of evidence", stats.Withdrawn, engine.Count(stats.Withheld, "transaction"),
				engine.Count(stats.Evidence, "piece")+" of evidence", engine.Count(stats.Accounts, "account"), engine.Count(stats.Clusters, "cluster"), stats.Doubts)
			return err
		},
	}
	f.add(c)
	c.Flags().BoolVar(&rebuild, "rebuild", false, "begin at the first block again")
	return c
}

// A shownCluster is a cluster as it is printed.
type shownCluster struct {
	Account  flow.Account       `json:"account"`
	Name     flow.Account       `json:"name"` // the account that stands for the cluster
	Service  string             `json:"service,omitempty"`
	Size     int                `json:"size"`
	Members  []flow.Account     `json:"members"` // at most --members
	Evidence []cluster.Evidence `json:"evidence"`
	States   []cluster.State    `json:"states"` // of the evidence, in its order
	UpTo     []flow.Point       `json:"up_to"`
}

// shownEvidence is how many pieces of evidence about an account are shown.
const shownEvidence = 100

func (p *program) clusterShow() *cobra.Command {
	var store string
	var most, least int
	c := &cobra.Command{
		Use:     "show ACCOUNT",
		Short:   "Show the cluster of an account, and the evidence about the account",
		Example: "  spoor cluster show bc1q…\n  spoor cluster show --least 90 --json 0xabc…",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if most < 0 || least < 0 || least > 100 {
				return misuse(errors.New("a number that cannot be"), "--members is not negative, --least lies between 0 and 100")
			}
			a, err := flow.ParseAccount(args[0])
			if err != nil {
				return misuse(err, hintFor(err))
			}
			clusters, err := needClusters(store)
			if err != nil {
				return err
			}
			forest := clusters.Forest
			members := forest.MembersAt(a, least)
			s := shownCluster{Account: a, Name: forest.Name(a), Service: forest.Service(a), Size: len(members), Members: members[:min(len(members), most)],
				Evidence: []cluster.Evidence{}, States: []cluster.State{}, UpTo: clusters.Places()}
			all := forest.Of(a)
			for _, id := range all[:min(len(all), shownEvidence)] {
				e, state, err := forest.Evidence(id)
				if err != nil {
					return err
				}
				s.Evidence, s.States = append(s.Evidence, e), append(s.States, state)
			}
			if p.json {
				return json.NewEncoder(p.out).Encode(s)
			}
			service := ""
			if s.Service != "" {
				service = ", of the service " + clean(s.Service)
			}
			fmt.Fprintf(p.out, "%s is one of %s%s\n", a, engine.Count(s.Size, "account"), service)
			for _, m := range s.Members {
				fmt.Fprintf(p.out, "  %s\n", m)
			}
			if n := s.Size - len(s.Members); n > 0 {
				p.say("  … %d more; --members lists more", n)
			}
			for i, e := range s.Evidence {
				fmt.Fprintf(p.out, "  %-11s  %s\n", s.States[i], describeEvidence(e))
			}
			if n := len(all) - len(s.Evidence); n > 0 {
				p.say("  … %d more pieces of evidence", n)
			}
			for _, at := range s.UpTo {
				p.say("up to block %d of %s", at.Height, at.Chain)
			}
			return nil
		},
	}
	c.Flags().StringVar(&store, "store", defaultStore(), "folder of the store")
	c.Flags().IntVar(&most, "members", 50, "how many members are listed")
	c.Flags().IntVar(&least, "least", 0, "only members that evidence of at least this confidence ties to the account")
	return c
}

func describeEvidence(e cluster.Evidence) string {
	return fmt.Sprintf("evidence %d: %s %d, %s and %s, block %d, transaction %s", e.ID, e.Heuristic, e.Confidence, e.A.Address(), e.B.Address(), e.At.Height, e.B.Chain().FormatHash(e.Tx))
}

func (p *program) clusterExplain() *cobra.Command {
	var store string
	c := &cobra.Command{
		Use:   "explain A B",
		Short: "Say why two accounts are thought to have one owner: the surest way from the one to the other",
		Long:  "Say why two accounts are thought to have one owner: the surest way of evidence from the one to the other. Exit code 3 where nothing ties them.",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			var of [2]flow.Account
			for i, text := range args {
				var err error
				if of[i], err = flow.ParseAccount(text); err != nil {
					return misuse(err, hintFor(err))
				}
			}
			clusters, err := needClusters(store)
			if err != nil {
				return err
			}
			proof, same := clusters.Forest.Strongest(of[0], of[1])
			if !same {
				p.code = 3
			}
			if p.json {
				return json.NewEncoder(p.out).Encode(struct {
					Same bool `json:"same"`
					cluster.Proof
				}{same, proof})
			}
			if !same {
				_, err = fmt.Fprintln(p.out, "nothing that is known ties them together, which does not mean that they have two owners")
				return err
			}
			for _, e := range proof.Evidence {
				fmt.Fprintf(p.out, "%s\n", describeEvidence(e))
			}
			_, err = fmt.Fprintf(p.out, "one owner, no surer than the weakest link: %d\n", proof.Weakest)
			return err
		},
	}
	c.Flags().StringVar(&store, "store", defaultStore(), "folder of the store")
	return c
}

func (p *program) clusterUnmerge() *cobra.Command {
	var store, reason string
	c := &cobra.Command{
		Use:     "unmerge EVIDENCE ...",
		Short:   "Take evidence back: its clusters become what they would be had it never been there",
		Example: "  spoor cluster unmerge --reason \"the exchange paid for its customer\" 17",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if reason == "" {
				return misuse(errors.New("no reason"), "say with --reason why the evidence is wrong: it is kept beside it")
			}
			var ids []cluster.ID
			for _, text := range args {
				n, err := strconv.ParseUint(text, 10, 32)
				if err != nil {
					return misuse(fmt.Errorf("evidence %.40q: %w", text, err), "\"spoor cluster explain A B\" shows the numbers of the evidence")
				}
				ids = append(ids, cluster.ID(n))
			}
			st, err := openStore(store) // one writer at a time
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, st.Close()) }()
			clusters, err := needClusters(store)
			if err != nil {
				return err
			}
			if err := clusters.Withdraw(time.Now().Unix(), reason, ids...); err != nil {
				return failed(err, "\"spoor cluster explain A B\" shows the numbers of the evidence")
			}
			if err := clusters.Write(engine.ClusterFile(store)); err != nil {
				return err
			}
			_, _, n := clusters.Forest.Len()
			_, err = fmt.Fprintf(p.out, "%s withdrawn; %s now in %s\n", engine.Count(len(ids), "piece")+" of evidence", engine.Count(n, "cluster"), filepath.Base(engine.ClusterFile(store)))
			return err
		},
	}
	c.Flags().StringVar(&store, "store", defaultStore(), "folder of the store")
	c.Flags().StringVar(&reason, "reason", "", "why it is wrong; kept beside the evidence")
	return c
}
