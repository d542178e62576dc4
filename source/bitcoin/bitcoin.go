// Package bitcoin reads blocks from the block files of Bitcoin nodes and from files of single blocks.
package bitcoin

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/spoor-dev/spoor/flow"
)

var (
	// ErrForm is returned for a file which holds neither framed blocks nor one single block, and where there are no
	// blocks at all.
	ErrForm = errors.New("not a Bitcoin block file")
	// ErrDamaged is returned, after the steps that are still good, for a file which is cut short or corrupt from some
	// byte on.
	ErrDamaged = errors.New("the file is damaged")
	// ErrHeight is returned for blocks whose height nothing tells: they link neither to the genesis block nor, by BIP 34,
	// name it themselves, nor does the file's name. Config.Height settles it.
	ErrHeight = errors.New("the height is not known")
	// ErrChain is returned for files of different networks, of another one than was named, or of none that is known.
	ErrChain = errors.New("not one Bitcoin network")
)

// Config is the configuration of a Source. The zero value is valid.
type Config struct {
	// Chain is the network. If zero it is found from the magic of the files; single blocks have none and are taken to be
	// of Bitcoin's main network. Named, it also admits files whose magic is not known (a custom signet).
	Chain flow.Chain
	// Height is that of the lowest block, where nothing else tells; 0 if something does.
	Height uint64
	// Confirmations is how many blocks, itself included, must stand from a block to the top for it to be final; 100 if 0.
	Confirmations uint64
	// Settled says that the files are all that there will ever be of this branch: their last block is final, too.
	Settled bool
	// MaxUnpacked is how many bytes one compressed file may unpack to; 8 GiB if 0.
	MaxUnpacked int64
}

// A Source is the best branch of the blocks in some files. It is read by one goroutine at a time; it holds files open
// only while Steps runs.
type Source struct {
	cfg   Config
	paths []string
	net   network
	known bool // the network is known, not assumed
	files []file

	read, total atomic.Int64
}

// A file is one file of blocks.
type file struct {
	path string
	size int64   // on disk
	key  [8]byte // of the obfuscation; zero where there is none
	form form    // found when it is read
	mark [4]byte // the magic of its frames
	lone bool    // holds exactly one block
}

// Open finds the files and their network. Each path is a block file, a folder of them (Bitcoin Core's blocks folder, or
// its parent), or a glob; files may be compressed with gzip, bzip2, xz or zstd. The files are listed and read when
// Steps runs, each time anew, so that a folder which grows is followed.
func Open(paths []string, cfg Config) (*Source, error) {
	if cfg.Confirmations == 0 {
		cfg.Confirmations = 100
	}
	if cfg.MaxUnpacked == 0 {
		cfg.MaxUnpacked = 8 << 30
	}
	if !cfg.Chain.IsZero() && !cfg.Chain.IsUTXO() {
		return nil, fmt.Errorf("open blocks of %s: %w", cfg.Chain, ErrChain)
	}
	files, err := find(paths)
	if err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, paths: slices.Clone(paths), files: files, net: networkOf(cfg.Chain), known: !cfg.Chain.IsZero()}
	for i := range s.files {
		s.total.Add(s.files[i].size)
	}
	for i := 0; i < len(s.files) && !s.known; i++ {
		head, err := readHead(s.files[i].path)
		if err != nil {
			return nil, err
		}
		if _, n, ok := magicOf(head, s.files[i].key); ok {
			s.net, s.known = n, true
		}
	}
	if !s.known {
		s.net = networkOf(flow.Bitcoin)
	}
	return s, nil
}

// Chain is the network of the files.
func (s *Source) Chain() flow.Chain { return s.net.chain }

// Size is how many bytes of blocks there are on the best branch and how many were yielded or passed over; until the
// headers are read, total is the size of the files on disk.
func (s *Source) Size() (read, total int64) { return s.read.Load(), s.total.Load() }
