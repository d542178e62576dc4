package packed

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

const story = "a block, a block, a block\n"

// bzipped is story as bzip2 1.0.8 writes it; Go has no writer.
const bzipped = "425a6839314159265359a1c62e5f000005510000104004380ca00021b50d008326232932534e0e34d38f177245385090a1c62e5f"

func pack(t *testing.T) map[string][]byte {
	t.Helper()
	var gz, zs, x bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	w, err := xz.NewWriter(&x)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []io.WriteCloser{g, z, w} {
		if _, err := io.WriteString(c, story); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	bz, err := hex.DecodeString(bzipped)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"plain": []byte(story), "bz2": bz, "gz": gz.Bytes(), "zst": zs.Bytes(), "xz": x.Bytes()}
}

func TestReadsWhateverIsInside(t *testing.T) {
	for name, content := range pack(t) {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(path)
		if err != nil {
			t.Fatalf("Open(%s): %v", name, err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != story {
			t.Errorf("%s: read %q, %v; want %q", name, got, err, story)
		}
		if r.Taken() != int64(len(content)) {
			t.Errorf("%s: Taken() = %d; want %d", name, r.Taken(), len(content))
		}
		if r.IsPacked() != (name != "plain") {
			t.Errorf("%s: IsPacked() = %t", name, r.IsPacked())
		}
		if err := r.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
	}
}

func TestShortFilesAreErrors(t *testing.T) {
	for name, content := range pack(t) {
		if name == "plain" {
			continue
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content[:len(content)-6], 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(path)
		if err != nil {
			continue
		}
		if _, err := io.ReadAll(r); err == nil {
			t.Errorf("%s without its last bytes was read without an error", name)
		}
		r.Close()
	}
}

func TestHugeDictionaryIsRefused(t *testing.T) {
	content := pack(t)["xz"]
	content[12+4] = 39 // 3 GiB
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "dictionary") {
		t.Errorf("Open: %v; want an error about the dictionary", err)
	}
}

func TestListIsSortedAndSkipsHidden(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.json", ".hidden", "sub/a.json", ".git/x", "a.json"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := List([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		rel, _ := filepath.Rel(dir, f.Path)
		got = append(got, filepath.ToSlash(rel))
	}
	if s := strings.Join(got, " "); s != "a.json b.json sub/a.json" {
		t.Errorf("List: %s", s)
	}
	for _, none := range []string{"none", "*.txt", "["} {
		if _, err := List([]string{filepath.Join(dir, none)}); err == nil {
			t.Errorf("%s, which is not there, is no error", none)
		}
	}
	files, err = List([]string{filepath.Join(dir, "?.json"), filepath.Join(dir, "sub")})
	if err != nil || len(files) != 3 || !files[0].Named || !files[1].Named || files[2].Named {
		t.Errorf("List of a pattern and a folder: %+v, %v", files, err)
	}
}

func FuzzOpen(f *testing.F) {
	b, _ := hex.DecodeString("1f8b0800000000000003")
	f.Add(b)
	f.Add([]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16"))
	f.Add([]byte("BZh91AY&SY"))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(path)
		if err != nil {
			return
		}
		defer r.Close()
		if _, err := io.Copy(io.Discard, io.LimitReader(r, 1<<20)); err == nil && r.Taken() > int64(len(b)) {
			t.Errorf("Taken() = %d of %d", r.Taken(), len(b))
		}
	})
}

func TestHugeDictionaryBehindSizesIsRefused(t *testing.T) {
	begin := append(make([]byte, 12), 3, 0xc0, 0x85, 0x01, 0x90, 0x02, 0x21, 1, 39) // both sizes, then LZMA2 with 3 GiB
	if err := checkXZ(begin); err == nil || !strings.Contains(err.Error(), "dictionary") {
		t.Errorf("checkXZ: %v; want an error about the dictionary", err)
	}
	begin[len(begin)-1] = 22 // 8 MiB
	if err := checkXZ(begin); err != nil {
		t.Errorf("checkXZ: %v", err)
	}
}
