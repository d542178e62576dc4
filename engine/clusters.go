package engine

import (
	"bufio"

	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spoor-dev/spoor/attribute/cluster"
	"github.com/spoor-dev/spoor/flow"
)

var (
	// ErrClusters is returned for a file that holds no clusters of a store.
	ErrClusters = errors.New("not the clusters of a store")
	// ErrClusterFork is returned where the blocks that clusters were made from are gone, further back than is remembered.
	ErrClusterFork = errors.New("the chain has changed below all that the clusters remember")
)

// Clusters is which accounts of a store are thought to have one owner, and up to which blocks that was worked out. One
// goroutine may write; any number may read while nobody writes.
type Clusters struct {
	Forest *cluster.Forest
	places []clusterPlace
	hash   flow.Hash                      // of the forest as it was last read or written
	taken  map[claimed]cluster.Withdrawal // what people withdrew before the clusters were made anew
}

// A clusterPlace is the last blocks of a chain that were read, the newest first.
type clusterPlace struct {
	Chain  flow.Chain   `json:"chain"`
	Recent []flow.Point `json:"recent"`
}

// rememberedPoints is how many of the last blocks of a chain are remembered, to find where a fork begins.
const rememberedPoints = 256

// NewClusters knows nothing yet.
func NewClusters() *Clusters { return &Clusters{Forest: cluster.New(cluster.Guard{})} }

// A claimed is what a piece of evidence says, whichever ID it has.
type claimed struct {
	a, b      flow.Account
	heuristic cluster.Heuristic
	tx        flow.Hash
}

func whatIs(e cluster.Evidence) claimed { return claimed{e.A, e.B, e.Heuristic, e.Tx} }

// Anew are clusters to build again from the first block. What people have withdrawn of c is withdrawn again when it is found.
func (c *Clusters) Anew() *Clusters {
	anew := NewClusters()
	anew.taken = map[claimed]cluster.Withdrawal{}
	evidence, _, _ := c.Forest.Len()
	for id := cluster.ID(1); int(id) <= evidence; id++ {
		if w, ok := c.Forest.Withdrawn(id); ok && !strings.HasPrefix(w.Reason, forkReason) {
			e, _, _ := c.Forest.Evidence(id) // it is known
			anew.taken[whatIs(e)] = w
		}
	}
	return anew
}

// Hash names the state that was last read or written; zero if there is none. It may be asked of nil.
func (c *Clusters) Hash() flow.Hash {
	if c == nil {
		return flow.Hash{}
	}
	return c.hash
}

// Places are the newest blocks that were read, one for each chain.
func (c *Clusters) Places() []flow.Point {
	var all []flow.Point
	for _, p := range c.places {
		if len(p.Recent) > 0 {
			all = append(all, p.Recent[0])
		}
	}
	return all
}

// ClusterFile is where the clusters of a store lie.
func ClusterFile(storeDir string) string { return filepath.Join(storeDir, "clusters") }

// A file of clusters is, in lines: the mark, the places as JSON, their sha256; then the snapshot of the forest.
const (
	clusterMark   = "spoor clusters of a store 1\n"
	maxPlacesLine = 16 << 20
)

// ReadClusters reads a file of clusters. Errors: fs.ErrNotExist, ErrClusters, and cluster.ErrFormat.
func ReadClusters(path string) (c *Clusters, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if c, err = parseClusters(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func parseClusters(in io.Reader) (*Clusters, error) {
	r := bufio.NewReaderSize(in, 1<<16)
	mark := make([]byte, len(clusterMark))
	if _, err := io.ReadFull(r, mark); err != nil || string(mark) != clusterMark {
		return nil, fmt.Errorf("%w: it begins with %q", ErrClusters, mark)
	}
	places, err := readLine(r, maxPlacesLine)
	if err != nil {
		return nil, fmt.Errorf("%w: line 2: %w", ErrClusters, err)
	}
	sum, err := readLine(r, 2*sha256.Size)
	if want := sha256.Sum256(places); err != nil || string(sum) != hex.EncodeToString(want[:]) {
		return nil, fmt.Errorf("%w: line 3: the checksum of line 2 does not fit", ErrClusters)
	}
	c := &Clusters{}
	if err := json.Unmarshal(places, &c.places); err != nil {
		return nil, fmt.Errorf("%w: line 2: %w", ErrClusters, err)
	}
	for _, p := range c.places {
		if p.Chain.IsZero() || len(p.Recent) == 0 || len(p.Recent) > rememberedPoints {
			return nil, fmt.Errorf("%w: line 2: %d blocks of chain %q", ErrClusters, len(p.Recent), p.Chain)
		}
	}
	h := sha256.New()
	if c.Forest, err = cluster.Read(io.TeeReader(r, h)); err != nil {
		return nil, err
	}
	h.Sum(c.hash[:0])
	return c, nil
}

// readLine reads up to the next line feed, at most so many bytes.
func readLine(r *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > most+1 {
			return nil, fmt.Errorf("more than %d bytes", most)
		}
		line = append(line, part...)
		if err == nil {
			return line[:len(line)-1], nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// writeTo writes what parseClusters reads.
func (c *Clusters) writeTo(w io.Writer) error {
	places := c.places
	if places == nil {
		places = []clusterPlace{}
	}
	line, err := json.Marshal(places)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(line)
	if _, err := fmt.Fprintf(w, "%s%s\n%x\n", clusterMark, line, sum); err != nil {
		return err
	}
	h := sha256.New()
	if _, err := c.Forest.WriteTo(io.MultiWriter(w, h)); err != nil {
		return err
	}
	h.Sum(c.hash[:0])
	return nil
}

// Write replaces a file of clusters: after a crash there is the old one or the new one, whole.
func (c *Clusters) Write(path string) (err error) {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err = c.writeTo(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// place is what is remembered of a chain.
func (c *Clusters) place(of flow.Chain) *clusterPlace {
	for i := range c.places {
		if c.places[i].Chain == of {
			return &c.places[i]
		}
	}
	i, _ := slices.BinarySearchFunc(c.places, of, func(p clusterPlace, of flow.Chain) int { return p.Chain.Compare(of) })
	c.places = slices.Insert(c.places, i, clusterPlace{Chain: of})
	return &c.places[i]
}

// reached remembers a block that was read.
func (p *clusterPlace) reached(at flow.Point) {
	p.Recent = slices.Insert(p.Recent, 0, at)
	if len(p.Recent) > rememberedPoints {
		p.Recent = p.Recent[:rememberedPoints]
	}
}

// Withdraw takes evidence back for a reason. It stays known, and stays taken back when the clusters are made anew.
func (c *Clusters) Withdraw(at int64, reason string, ids ...cluster.ID) error {
	if reason == "" || strings.HasPrefix(reason, forkReason) {
		return fmt.Errorf("withdraw evidence: the reason %.40q is none", reason)
	}
	return c.Forest.Withdraw(cluster.Withdrawal{Seen: at, Reason: reason}, ids...)
}

// forkReason is why evidence of blocks that are gone is withdrawn.
const forkReason = "fork: "
