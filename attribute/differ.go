package attribute

// Differ lists, in order, the subjects of which two books do not say the same: another version of a label, or a label less.
// Either may be nil, which is empty.
func Differ(a, b *Book) []Subject {
	if a.Hash() == b.Hash() {
		return nil
	}
	var out []Subject
	i, j, n, m := uint32(0), uint32(0), a.len(), b.len()
	for i < n || j < m {
		var x, y Subject
		order := 0
		switch {
		case i == n:
			order, y = 1, b.subjectAtIndex(j)
		case j == m:
			order, x = -1, a.subjectAtIndex(i)
		default:
			x, y = a.subjectAtIndex(i), b.subjectAtIndex(j)
			order = x.Compare(y)
		}
		switch {
		case order < 0:
			out = append(out, x)
			i++
		case order > 0:
			out = append(out, y)
			j++
		default:
			if !a.saysAlike(i, b, j) {
				out = append(out, x)
			}
			i++
			j++
		}
	}
	return out
}

func (b *Book) len() uint32 {
	if b == nil {
		return 0
	}
	return b.subjects()
}

// saysAlike compares all versions of the labels of one subject in two books, which both keep them in order.
func (b *Book) saysAlike(i uint32, o *Book, j uint32) bool {
	r, s := b.firstRow(i), o.firstRow(j)
	n := b.firstRow(i+1) - r
	if n != o.firstRow(j+1)-s {
		return false
	}
	for k := range n {
		if b.label(Subject{}, r+k) != o.label(Subject{}, s+k) {
			return false
		}
	}
	return true
}

// Between lists, in order, the subjects with a label that began to hold, ended or came to be known after one moment and until
// another, both in seconds since 1970 UTC. A label that was not seen at any moment, since a user gave it, counts always.
func (b *Book) Between(after, until int64) []Subject {
	var out []Subject
	for i := range b.len() {
		for r := b.firstRow(i); r < b.firstRow(i+1); r++ {
			if b.time(r, atSeen) == 0 || within(b.time(r, atSeen), after, until) || within(b.time(r, atFrom), after, until) || within(b.time(r, atTo), after, until) {
				out = append(out, b.subjectAtIndex(i))
				break
			}
		}
	}
	return out
}

func within(t, after, until int64) bool { return t > after && t <= until }
