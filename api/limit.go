package api

import (
	"container/list"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits holds one token bucket for each caller: the name of its key, or its host where there are no keys. The buckets
// of callers that were not heard for longest are forgotten first, so that strangers cannot fill the memory.
type limits struct {
	rate  float64 // questions a second; 0 is no limit
	burst int
	max   int // buckets kept

	mu  sync.Mutex
	of  map[string]*list.Element // guarded by mu
	old *list.List               // of *bucket, the last heard in front; guarded by mu
}

type bucket struct {
	caller string
	*rate.Limiter
}

func newLimits(perSecond float64, burst, max int) *limits {
	return &limits{rate: perSecond, burst: burst, max: max, of: map[string]*list.Element{}, old: list.New()}
}

// bucketOf is the bucket of a caller, nil where no limit holds.
func (l *limits) bucketOf(caller string, own float64) *rate.Limiter {
	r := l.rate
	if own > 0 {
		r = own
	}
	if r <= 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.of[caller]; ok {
		l.old.MoveToFront(e)
		return e.Value.(*bucket).Limiter
	}
	if l.old.Len() >= l.max {
		last := l.old.Back()
		l.old.Remove(last)
		delete(l.of, last.Value.(*bucket).caller)
	}
	burst := l.burst
	if burst <= 0 {
		burst = int(math.Ceil(r))
	}
	b := &bucket{caller, rate.NewLimiter(rate.Limit(r), burst)}
	l.of[caller] = l.old.PushFront(b)
	return b.Limiter
}

// take takes n questions out of a bucket; else it says in how many seconds to come again.
func take(b *rate.Limiter, now time.Time, n int) (retry int, ok bool) {
	if b == nil || b.AllowN(now, n) {
		return 0, true
	}
	missing := float64(n) - b.TokensAt(now)
	return max(1, int(math.Ceil(missing/float64(b.Limit())))), false
}

func setRetry(h http.Header, seconds int) { h.Set("Retry-After", strconv.Itoa(seconds)) }
