package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spoor-dev/spoor/api"
	"github.com/spoor-dev/spoor/attribute/labelstore"
	"github.com/spoor-dev/spoor/engine"
	"github.com/spoor-dev/spoor/engine/verdicts"
)

// HTTPConfig sizes the workload of questions over HTTP. The zero value is valid.
type HTTPConfig struct {
	Seed     uint64
	Labels   int // in the label store; 1,000,000 if 0
	Requests int // of each line; 200,000 if 0
	Clients  int // connections that stay open, each with one request at a time; 8 if 0
}

// HTTP measures questions to a running server over loopback, with clients in the same process, so that they share its
// processors; they write and read raw HTTP/1.1, to take as little of them as they can. Half of the accounts are labelled.
// http-sanctions asks the wire of Chainalysis, http-own ours, both for direct questions whose verdicts are not kept; http-kept
// is http-own with every verdict durable before it is given, and http-batch the same in batches of 1,000. dir is where the stores are made; it must be empty or absent.
func HTTP(ctx context.Context, dir string, c HTTPConfig, tell Progress) (figures []Figures, err error) {
	for n, d := range map[*int]int{&c.Labels: 1_000_000, &c.Requests: 200_000, &c.Clients: 8} {
		if *n == 0 {
			*n = d
		}
	}
	labels := filepath.Join(dir, "labels")
	if err := writeLabels(labels, ScreenConfig{Seed: c.Seed, Labels: c.Labels}, tell); err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	book, err := labelstore.ReadBook(labels)
	if err != nil {
		return nil, err
	}
	record, err := verdicts.Open(filepath.Join(dir, "verdicts"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, record.Close()) }()
	addresses := make([]string, 1<<14)
	for _, line := range []struct {
		name, before, behind string
		config               engine.ScreenConfig
		part                 int // of the requests
	}{
		{"http-sanctions", "/api/v1/address/", "", engine.ScreenConfig{}, 1},
		{"http-own", "/v1/addresses/", "?direct=true", engine.ScreenConfig{}, 1},
		{"http-kept", "/v1/addresses/", "?direct=true", engine.ScreenConfig{Record: record}, 4},
		{"http-batch", "", "", engine.ScreenConfig{Record: record}, 1},
	} {
		tell.tell(0, 0, line.name)
		requests := make([][]byte, 1<<14)
		rng := rand.New(rand.NewPCG(c.Seed, 0x477))
		for i := range requests {
			n := uint64(rng.IntN(c.Labels)) | labelMark
			if i%2 == 1 {
				n |= 1 << 60 // nobody knows it
			}
			addresses[i] = account(c.Seed, n).Address()
			requests[i] = []byte("GET " + line.before + addresses[i] + line.behind + " HTTP/1.1\r\nHost: spoor\r\n\r\n")
		}
		debug.FreeOSMemory()
		ResetPeak()
		screener := engine.NewScreener(line.config, book)
		server := api.New(screener, engine.NewWorld(screener, nil), api.Config{Version: engine.Version})
		var f Figures
		if line.before == "" {
			f, err = askBatches(ctx, server, addresses, c.Requests/line.part, c.Clients)
		} else {
			f, err = askHTTP(ctx, server, requests, c.Requests/line.part, c.Clients)
		}
		if err != nil {
			return figures, fmt.Errorf("%s: %w", line.name, err)
		}
		f.Workload = line.name
		f.Notes += fmt.Sprintf("; %d labels, half of the accounts labelled", book.Len())
		figures = append(figures, f)
	}
	return figures, nil
}

// askHTTP serves on loopback and asks n of the requests by so many clients at once.
func askHTTP(ctx context.Context, server *api.Server, requests [][]byte, n, clients int) (f Figures, err error) {
	l, err := api.Listen("127.0.0.1:0", nil, nil)
	if err != nil {
		return f, err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	n = max(n, clients)
	took := make([][]time.Duration, clients)
	errs := make([]error, clients)
	var group sync.WaitGroup
	start, worked := time.Now(), processorTime()
	for i := range clients {
		group.Go(func() { took[i], errs[i] = askOften(l.Addr().String(), requests, i, clients, n/clients) })
	}
	group.Wait()
	spent, processors := time.Since(start), processorTime()-worked
	if err := errors.Join(errs...); err != nil {
		return f, err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	millis := func(d time.Duration) float64 { return round(float64(d.Microseconds())/1000, 3) }
	return Figures{N: int64(len(all)), Seconds: round(spent.Seconds(), 2), Rate: round(float64(len(all))/spent.Seconds(), 0), RSS: PeakRSS(),
		P50: millis(all[len(all)/2]), P99: millis(all[len(all)*99/100]),
		Notes: fmt.Sprintf("%d clients in the same process, %d processors, %.0f /s if they had done nothing else", clients, runtime.GOMAXPROCS(0),
			float64(len(all))*float64(runtime.GOMAXPROCS(0))/processors.Seconds())}, nil
}

// askOften sends n requests over one connection, each after the answer to the one before.
func askOften(address string, requests [][]byte, first, step, n int) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 16<<10)
	took := make([]time.Duration, 0, n)
	for i := range n {
		start := time.Now()
		if _, err := conn.Write(requests[(first+i*step)%len(requests)]); err != nil {
			return nil, err
		}
		if err := readAnswer(in); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

// readAnswer reads a whole answer, which must be a verdict.
func readAnswer(in *bufio.Reader) error {
	status, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200 ") {
		return fmt.Errorf("answer %q", status)
	}
	length := -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if v, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer of unknown length")
	}
	_, err = io.CopyN(io.Discard, in, int64(length))
	return err
}
