package pebblestore

import (
	"encoding/binary"
	"hash/maphash"
)

// A nameTable finds the ids of account keys that were met lately. Keys stand one behind the other in pages, so that the
// collector sees few pointers; slots hold a part of the hash and the place of the key.
type nameTable struct {
	slots []nameSlot // a power of two of them, at most three quarters taken
	taken int        // slots that are or were in use
	pages [][]byte
	bytes int
}

type nameSlot struct {
	tag uint32 // of the hash
	ref uint32 // place of the record + 1; 0: never used; refGone: removed
}

const (
	namePage = 1 << 20
	refGone  = 1<<32 - 1
)

func newNameTable() *nameTable { return &nameTable{slots: make([]nameSlot, 1<<10)} }

// size is the memory that the table takes.
func (t *nameTable) size() int { return t.bytes + 8*len(t.slots) }

// record is the key and the id at ref.
func (t *nameTable) record(ref uint32) (key []byte, id uint32) {
	p := t.pages[(ref-1)/namePage]
	b := p[(ref-1)%namePage:]
	n := int(b[4])
	return b[5 : 5+n], binary.LittleEndian.Uint32(b)
}

// find is the slot of a key; ok is false where it is not there.
func (t *nameTable) find(key string, hash uint64) (slot int, ok bool) {
	mask := len(t.slots) - 1
	tag := uint32(hash >> 32)
	for i := int(hash) & mask; ; i = (i + 1) & mask {
		s := t.slots[i]
		if s.ref == 0 {
			return i, false
		}
		if s.tag == tag && s.ref != refGone {
			if k, _ := t.record(s.ref); string(k) == key {
				return i, true
			}
		}
	}
}

// id is the id of a key, 0 if it is not there.
func (t *nameTable) id(key string, hash uint64) uint32 {
	i, ok := t.find(key, hash)
	if !ok {
		return 0
	}
	_, id := t.record(t.slots[i].ref)
	return id
}

// put adds a key that is not there.
func (t *nameTable) put(key string, hash uint64, id uint32) {
	if 4*t.taken >= 3*len(t.slots) {
		t.grow()
	}
	need := 5 + len(key)
	if n := len(t.pages); n == 0 || len(t.pages[n-1])+need > namePage {
		t.pages = append(t.pages, make([]byte, 0, namePage))
		t.bytes += namePage
	}
	n := len(t.pages) - 1
	p := t.pages[n]
	ref := uint32(n*namePage+len(p)) + 1
	p = binary.LittleEndian.AppendUint32(p, id)
	t.pages[n] = append(append(p, byte(len(key))), key...)
	i, _ := t.find(key, hash)
	t.slots[i] = nameSlot{uint32(hash >> 32), ref}
	t.taken++
}

// remove takes a key out.
func (t *nameTable) remove(key string, hash uint64) {
	if i, ok := t.find(key, hash); ok {
		t.slots[i].ref = refGone
	}
}

// grow doubles the slots. The records know their keys, and so the places.
func (t *nameTable) grow() {
	old := t.slots
	t.slots = make([]nameSlot, 2*len(old))
	t.taken = 0
	mask := len(t.slots) - 1
	for _, s := range old {
		if s.ref == 0 || s.ref == refGone {
			continue
		}
		key, _ := t.record(s.ref)
		i := int(maphash.Bytes(nameSeed, key)) & mask
		for t.slots[i].ref != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = s
		t.taken++
	}
}

// nameSeed makes it impossible to choose account keys whose hashes are equal.
var nameSeed = maphash.MakeSeed()

func nameHash(key string) uint64 { return maphash.String(nameSeed, key) }

// guess looks for the records of many hashes at once; refs[i] is where the record of hashes[i] may be, 0 where none is
// found at once.
func (t *nameTable) guess(hashes []uint64, refs []uint32) {
	mask := len(t.slots) - 1
	for i, h := range hashes {
		tag := uint32(h >> 32)
		refs[i] = 0
		at := int(h) & mask
		for range 8 {
			s := t.slots[at]
			if s.tag == tag && s.ref != refGone {
				refs[i] = s.ref
				break
			}
			if s.ref == 0 {
				break
			}
			at = (at + 1) & mask
		}
	}
}
