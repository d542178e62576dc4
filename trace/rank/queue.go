package rank

// A queue is a heap of numbers by what waits at each, most first, the lower number first among equals. The zero value is
// empty.
type queue struct {
	heap  []int
	place []int // of a number in the heap, from 1; 0 if it is not there
	value []float64
}

func (q *queue) len() int { return len(q.heap) }

// top is the number that most waits at.
func (q *queue) top() int { return q.heap[0] }

// set says what waits at a number; with nothing it leaves the queue.
func (q *queue) set(n int, value float64) {
	for len(q.place) <= n {
		q.place, q.value = append(q.place, 0), append(q.value, 0)
	}
	q.value[n] = value
	i := q.place[n] - 1
	switch {
	case i < 0 && value > 0:
		q.heap = append(q.heap, n)
		i = len(q.heap) - 1
		q.place[n] = i + 1
	case i < 0:
		return
	case value <= 0:
		last := len(q.heap) - 1
		q.swap(i, last)
		q.heap, q.place[n] = q.heap[:last], 0
		if i == last {
			return
		}
	}
	q.down(q.up(i))
}

func (q *queue) less(i, j int) bool {
	a, b := q.heap[i], q.heap[j]
	return q.value[a] > q.value[b] || q.value[a] == q.value[b] && a < b
}

func (q *queue) swap(i, j int) {
	q.heap[i], q.heap[j] = q.heap[j], q.heap[i]
	q.place[q.heap[i]], q.place[q.heap[j]] = i+1, j+1
}

func (q *queue) up(i int) int {
	for i > 0 && q.less(i, (i-1)/2) {
		q.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	return i
}

func (q *queue) down(i int) {
	for {
		least := i
		for _, kid := range [2]int{2*i + 1, 2*i + 2} {
			if kid < len(q.heap) && q.less(kid, least) {
				least = kid
			}
		}
		if least == i {
			return
		}
		q.swap(i, least)
		i = least
	}
}
