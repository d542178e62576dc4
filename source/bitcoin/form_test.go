package bitcoin

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/spoor-dev/spoor/flow"
	"github.com/spoor-dev/spoor/source"
)

// Bitcoin Core obscures what it writes; the zeros that it sets aside behind are not written and stay zeros.
func TestObscured(t *testing.T) {
	chain := grow(t, genesis(t), 6, "a")
	key := [8]byte{0x5a, 1, 0xff, 0, 0x80, 7, 9, 0xc3}
	for _, tt := range []struct {
		name string
		key  []byte
		want error
	}{
		{"key", key[:], nil},
		{"no-key", nil, ErrForm},
		{"zero-key", make([]byte, 8), ErrForm},
		{"wrong-key", bytes.Repeat([]byte{1}, 8), ErrForm},
		{"short-key", key[:5], ErrDamaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for n, part := range [][]made{chain[4:], chain[:4]} {
				raw := frame(part...)
				reveal(raw, key, 0)
				write(t, dir, "blk0000"+string(rune('0'+n))+".dat", append(raw, make([]byte, 100_003)...))
			}
			if tt.key != nil {
				write(t, dir, "xor.dat", tt.key)
			}
			s, err := Open([]string{dir}, Config{Chain: flow.BitcoinRegtest})
			var r reader
			if err == nil {
				err = r.follow(t, s)
			}
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v; want %v", err, tt.want)
			}
			if tt.want == nil {
				r.holds(t, chain)
			}
		})
	}
	t.Run("plain-files-beside-a-key", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "blk00000.dat", frame(chain...))
		write(t, dir, "xor.dat", key[:])
		var r reader
		if err := r.follow(t, mustOpen(t, Config{}, dir)); err != nil {
			t.Fatal(err)
		}
		r.holds(t, chain)
	})
}

func packGzip(t *testing.T, b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func packZstd(t *testing.T, b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

func packXZ(t *testing.T, b []byte) []byte {
	var out bytes.Buffer
	w, err := xz.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(b)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCompressed(t *testing.T) {
	chain := grow(t, genesis(t), 30, "a")
	mixed := slices.Clone(chain)
	slices.Reverse(mixed)
	for _, tt := range []struct {
		name string
		pack func(*testing.T, []byte) []byte
	}{{"gz", packGzip}, {"zst", packZstd}, {"xz", packXZ}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			whole := tt.pack(t, frame(mixed...))
			path := write(t, dir, "blk00000.dat."+tt.name, whole)
			var r reader
			if err := r.follow(t, mustOpen(t, Config{}, dir)); err != nil {
				t.Fatal(err)
			}
			r.holds(t, chain)

			for cut := len(whole) - 1; cut > 0; cut -= 97 {
				write(t, dir, "blk00000.dat."+tt.name, whole[:cut])
				var r reader
				err := r.follow(t, mustOpen(t, Config{Chain: flow.BitcoinRegtest}, path))
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForm) {
					t.Fatalf("cut at %d: %v; want ErrDamaged", cut, err)
				}
			}

			write(t, dir, "blk00000.dat."+tt.name, tt.pack(t, append(frame(chain[:5]...), make([]byte, 17<<20)...)))
			s := mustOpen(t, Config{MaxUnpacked: 12 << 20}, path)
			if err := new(reader).follow(t, s); !errors.Is(err, ErrForm) || !strings.Contains(err.Error(), "12582912") {
				t.Errorf("17 MiB where 12 are allowed: %v", err)
			}
			before, _ := filepath.Glob(filepath.Join(os.TempDir(), "spoor-blocks-*"))
			r = reader{}
			if err := r.follow(t, mustOpen(t, Config{}, path)); err != nil { // goes through a temporary file
				t.Fatal(err)
			}
			r.holds(t, chain[:5])
			if after, _ := filepath.Glob(filepath.Join(os.TempDir(), "spoor-blocks-*")); len(after) > len(before) {
				t.Errorf("left behind: %v", after)
			}
		})
	}
}

func TestSingleBlocks(t *testing.T) {
	chain := grow(t, genesis(t), 6, "a")
	dir := t.TempDir()
	paths := []string{write(t, dir, "x", chain[3].raw), write(t, dir, "y", chain[5].raw), write(t, dir, "z", chain[4].raw)}
	var r reader
	if err := r.follow(t, mustOpen(t, Config{Chain: flow.BitcoinRegtest}, paths...)); err != nil {
		t.Fatal(err)
	}
	r.holds(t, chain[3:6])
	if _, err := Open([]string{dir + "/*"}, Config{}); err != nil {
		t.Error(err)
	}
	if err := new(reader).follow(t, mustOpen(t, Config{}, paths...)); !errors.Is(err, ErrForm) {
		t.Errorf("regtest blocks taken for the main network's: %v; want ErrForm", err)
	}
	for name, raw := range map[string][]byte{
		"cut":      chain[3].raw[:len(chain[3].raw)-1],
		"too-long": append(slices.Clone(chain[3].raw), 0),
		"two":      slices.Concat(chain[3].raw, chain[4].raw),
	} {
		path := write(t, t.TempDir(), name, raw)
		err := new(reader).follow(t, mustOpen(t, Config{Chain: flow.BitcoinRegtest}, path))
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v; want ErrDamaged", name, err)
		}
	}
}

// Versions below 2 do not say their height: then the name of the file does, and at last the configuration.
func TestHeights(t *testing.T) {
	chain := grow(t, genesis(t), 6, "a")
	old := func(parent made) made { return onVersion(t, parent, "old", 1) }
	lone := old(chain[4])
	next := old(lone)
	for _, tt := range []struct {
		name  string
		files map[string][]byte
		cfg   Config
		want  []uint64
		err   error
	}{
		{"genesis", map[string][]byte{"f": frame(chain...)}, Config{}, []uint64{0, 1, 2, 3, 4, 5, 6}, nil},
		{"above-genesis", map[string][]byte{"f": frame(chain[1:3]...)}, Config{}, []uint64{1, 2}, nil},
		{"coinbase", map[string][]byte{"f": frame(chain[3:]...)}, Config{}, []uint64{3, 4, 5, 6}, nil},
		{"coinbase-of-the-child", map[string][]byte{"f": frame(lone, on(t, lone, "b"))}, Config{}, []uint64{5, 6}, nil},
		{"name", map[string][]byte{"block5.dat": lone.raw}, Config{}, []uint64{5}, nil},
		{"name-of-framed", map[string][]byte{"v2_block-5.dat.bz2": frame(lone)}, Config{}, []uint64{5}, nil},
		{"name-of-the-child", map[string][]byte{"6.dat": next.raw, "x": frame(lone)}, Config{}, []uint64{5, 6}, nil},
		{"coinbase-against-name", map[string][]byte{"block77.dat": chain[4].raw}, Config{}, []uint64{4}, nil},
		{"core-name-counts-files", map[string][]byte{"blk00005.dat": frame(lone)}, Config{}, nil, ErrHeight},
		{"configured", map[string][]byte{"f": frame(lone, next)}, Config{Height: 5}, []uint64{5, 6}, nil},
		{"nothing", map[string][]byte{"f": frame(lone, next)}, Config{}, nil, ErrHeight},
		{"two-unknown", map[string][]byte{"f": frame(lone, old(on(t, chain[6], "gone")))}, Config{Height: 5}, nil, ErrHeight},
		{"good-before-unknown", map[string][]byte{"f": frame(append(chain[:4:4], next)...)}, Config{}, []uint64{0, 1, 2, 3}, ErrHeight},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, raw := range tt.files {
				write(t, dir, name, raw)
			}
			tt.cfg.Chain = flow.BitcoinRegtest
			var r reader
			err := r.follow(t, mustOpen(t, tt.cfg, dir+"/*"))
			var got []uint64
			for _, p := range r.points {
				got = append(got, p.Height)
			}
			if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
				t.Errorf("heights %v, %v; want %v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestNetworks(t *testing.T) {
	for magic, want := range map[string]flow.Chain{
		"\xf9\xbe\xb4\xd9": flow.Bitcoin,
		"\x0b\x11\x09\x07": flow.BitcoinTestnet3,
		"\x1c\x16\x3f\x28": flow.BitcoinTestnet4,
		"\x0a\x03\xcf\x40": flow.BitcoinSignet,
		"\xfa\xbf\xb5\xda": flow.BitcoinRegtest,
	} {
		s := mustOpen(t, Config{}, write(t, t.TempDir(), "b.dat", []byte(magic+"....")))
		if s.Chain() != want {
			t.Errorf("magic %x is of %s; want %s", magic, s.Chain(), want)
		}
	}
	for _, n := range networks() { // CAIP-2 names a network by its genesis block
		if got := n.genesis.String()[:32]; got != n.chain.Reference() {
			t.Errorf("%s has the genesis block %s", n.chain, n.genesis)
		}
	}
	if _, err := Open([]string{"x"}, Config{Chain: flow.Ethereum}); !errors.Is(err, ErrChain) {
		t.Errorf("Ethereum: %v; want ErrChain", err)
	}
	chain := grow(t, genesis(t), 2, "a")
	path := write(t, t.TempDir(), "b.dat", frame(chain...))
	if err := new(reader).follow(t, mustOpen(t, Config{Chain: flow.Bitcoin}, path)); !errors.Is(err, ErrChain) {
		t.Errorf("regtest files as Bitcoin: %v; want ErrChain", err)
	}
	other := bytes.ReplaceAll(frame(chain...), regtestMagic, []byte("\x0a\x03\xcf\x40"))
	mixed := write(t, t.TempDir(), "c.dat", other)
	if err := new(reader).follow(t, mustOpen(t, Config{}, path, mixed)); !errors.Is(err, ErrChain) {
		t.Errorf("two networks: %v; want ErrChain", err)
	}
	for _, err := range mustOpen(t, Config{}, path).Steps(t.Context(), []flow.Point{{Chain: flow.Bitcoin, Height: 1}}) {
		if !errors.Is(err, ErrChain) {
			t.Errorf("go on from another network: %v; want ErrChain", err)
		}
	}
	// A magic of one's own needs the chain named.
	own := bytes.ReplaceAll(frame(chain...), regtestMagic, []byte("\x12\x34\x56\x78"))
	path = write(t, t.TempDir(), "own.dat", own)
	var r reader
	if err := r.follow(t, mustOpen(t, Config{Chain: flow.BitcoinRegtest}, path)); err != nil {
		t.Fatal(err)
	}
	r.holds(t, chain)
	if err := new(reader).follow(t, mustOpen(t, Config{}, path)); !errors.Is(err, ErrForm) {
		t.Errorf("unknown magic: %v; want ErrForm", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "README.md", []byte("nothing to see"))
	for path, want := range map[string]error{
		dir:                 ErrForm,
		dir + "/absent.dat": os.ErrNotExist,
		dir + "/*.dat":      os.ErrNotExist,
	} {
		if _, err := Open([]string{path}, Config{}); !errors.Is(err, want) {
			t.Errorf("%s: %v; want %v", path, err, want)
		}
	}
	if _, err := Open(nil, Config{}); !errors.Is(err, ErrForm) {
		t.Errorf("no path: %v; want ErrForm", err)
	}
	if err := new(reader).follow(t, mustOpen(t, Config{}, dir+"/README.md")); !errors.Is(err, ErrForm) {
		t.Errorf("no block file: %v; want ErrForm", err)
	}
}

func TestTargets(t *testing.T) {
	for _, tt := range []struct {
		bits uint32
		want string // hexadecimal digits, empty where there is no target
		work uint64
	}{
		{0x1d00ffff, "00000000ffff" + strings.Repeat("0", 52), 0x100010001},
		{0x207fffff, "7fffff" + strings.Repeat("0", 58), 2},
		{0x1a02816e, "00000000000002816e" + strings.Repeat("0", 46), 28758793727815336}, // block 227835
		{0x03000001, strings.Repeat("0", 63) + "1", 1<<64 - 1},
		{0x01010000, strings.Repeat("0", 63) + "1", 1<<64 - 1},
		{0x01000100, "", 0},
		{0x1d800001, "", 0},
		{0x00000000, "", 0},
		{0x2100ffff, "ffff" + strings.Repeat("0", 60), 1},
		{0x2200ffff, "", 0},
		{0x21010000, "", 0},
		{0xff7fffff, "", 0},
	} {
		target, ok := targetOf(tt.bits)
		if !ok {
			if tt.want != "" {
				t.Errorf("%#08x stands for no target; want %s", tt.bits, tt.want)
			}
			continue
		}
		if got := flow.Hash(target).String(); got != tt.want {
			t.Errorf("%#08x stands for %s; want %s", tt.bits, got, tt.want)
			continue
		}
		if w := workOf(target); tt.work > 0 && w[1] != tt.work {
			t.Errorf("%#08x is work %x; want %x", tt.bits, w, tt.work)
		}
	}
}

func FuzzFile(f *testing.F) {
	chain := grow(f, genesis(f), 2, "a")
	f.Add(frame(chain...), uint64(0))
	f.Add(chain[1].raw, uint64(0))
	f.Add(append(frame(chain[1]), make([]byte, 20)...), uint64(0))
	hiddenFile := frame(chain...)
	reveal(hiddenFile, [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, 0)
	f.Add(hiddenFile, uint64(0x0807060504030201))
	f.Add([]byte{0x1f, 0x8b, 8, 0, 0}, uint64(0))
	f.Add([]byte("BZh91AY&SY"), uint64(0))
	f.Add([]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4F"), uint64(0))
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00"), uint64(0))
	f.Fuzz(func(t *testing.T, raw []byte, key uint64) {
		dir := t.TempDir()
		path := write(t, dir, "b7.dat", raw)
		if key != 0 {
			var k [8]byte
			for i := range k {
				k[i] = byte(key >> (8 * i))
			}
			write(t, dir, "xor.dat", k[:])
		}
		s, err := Open([]string{path}, Config{Chain: flow.BitcoinRegtest, MaxUnpacked: 1 << 22})
		if err != nil {
			t.Fatal(err)
		}
		var r reader
		for step, err := range s.Steps(t.Context(), nil) {
			if err != nil {
				return
			}
			r.take(t, step)
			if step.Op == source.Add && len(step.Block.Raw) < minBlock {
				t.Fatalf("a block of %d bytes", len(step.Block.Raw))
			}
		}
	})
}
