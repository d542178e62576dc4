package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spoor-dev/spoor/api"
)

// batchLines is how many questions one request of http-batch holds.
const batchLines = 1000

// askBatches serves on loopback and asks n questions in batches, by so many clients at once. The times are of whole batches.
func askBatches(ctx context.Context, server *api.Server, addresses []string, n, clients int) (f Figures, err error) {
	l, err := api.Listen("127.0.0.1:0", nil, nil)
	if err != nil {
		return f, err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer func() {
		transport.CloseIdleConnections()
		stop()
		err = errors.Join(err, <-ended)
	}()
	each := max(n/clients/batchLines, 1)
	took, errs := make([][]time.Duration, clients), make([]error, clients)
	var group sync.WaitGroup
	start, worked := time.Now(), processorTime()
	for i := range clients {
		group.Go(func() {
			for k := range each {
				first := (i*each + k) * batchLines % len(addresses)
				lines := strings.Join(slices.Concat(addresses, addresses)[first:first+batchLines], "\n")
				began := time.Now()
				if err := postBatch(ctx, transport, "http://"+l.Addr().String()+"/v1/batch", lines); err != nil {
					errs[i] = err
					return
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	group.Wait()
	spent, processors := time.Since(start), processorTime()-worked
	if err := errors.Join(errs...); err != nil {
		return f, err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	asked := len(all) * batchLines
	millis := func(d time.Duration) float64 { return round(float64(d.Microseconds())/1000, 3) }
	return Figures{N: int64(asked), Seconds: round(spent.Seconds(), 2), Rate: round(float64(asked)/spent.Seconds(), 0), RSS: PeakRSS(),
		P50: millis(all[len(all)/2]), P99: millis(all[len(all)*99/100]),
		Notes: fmt.Sprintf("batches of %d, whose times these are; %d clients in the same process, %d processors, %.0f /s if they had done nothing else", batchLines, clients,
			runtime.GOMAXPROCS(0), float64(asked)*float64(runtime.GOMAXPROCS(0))/processors.Seconds())}, nil
}

// postBatch sends one batch, and reads the answer to its end.
func postBatch(ctx context.Context, by http.RoundTripper, url, lines string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(lines))
	if err != nil {
		return err
	}
	resp, err := by.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 1<<20)
	n, last := 0, []byte{}
	for in.Scan() {
		n++
		last = append(last[:0], in.Bytes()...)
	}
	if want := fmt.Sprintf(`{"done":{"lines":%d,"errors":0,`, batchLines); in.Err() == nil && n == batchLines+1 && bytes.HasPrefix(last, []byte(want)) {
		return nil
	}
	return errors.Join(fmt.Errorf("a batch of %d lines was answered by %d, the last %.200q", batchLines, n, last), in.Err())
}
