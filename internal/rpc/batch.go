package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Batch asks many questions, in as few requests as the endpoint bears, and fills the Err of each: one that fails does not
// fail the others. Where the endpoint refuses a request for its size, or is slow, the next ones are smaller; they
// grow back. Questions must be ones that may be asked twice. It returns an error where the endpoint could not be asked at all,
// which is also the Err of every question that was not answered.
func (c *Client) Batch(ctx context.Context, calls []Call) error {
	for i := range calls {
		calls[i].Err = nil
	}
	open := make([]*Call, len(calls))
	for i := range calls {
		open[i] = &calls[i]
	}
	for len(open) > 0 {
		n := min(c.batchSize(), len(open))
		again, err := c.ask(ctx, open[:n])
		if err != nil {
			for _, call := range open {
				call.Err = err
			}
			return err
		}
		open = append(again, open[n:]...)
	}
	return nil
}

// ask asks the questions of one request, and returns those that must be asked again in smaller ones.
func (c *Client) ask(ctx context.Context, calls []*Call) (again []*Call, err error) {
	if len(calls) == 1 {
		return nil, c.askOne(ctx, calls[0])
	}
	list := make([]message, len(calls))
	for i, call := range calls {
		list[i] = request(i, *call)
	}
	body, err := json.Marshal(list)
	if err != nil {
		return nil, c.at("batch", err)
	}
	start := time.Now()
	status, answer, err := c.post(ctx, body, c.config.MaxAnswer)
	took := time.Since(start)
	switch {
	case ctx.Err() != nil && err != nil:
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			c.shrink(len(calls)) // the caller's patience is over, which is shorter than ours; the next one is smaller
		}
		return nil, c.at("batch", err)
	case errors.Is(err, ErrTooLarge), isTimeout(err):
		c.shrink(len(calls))
		return calls, nil
	case err != nil:
		return nil, c.at("batch", err)
	}
	if !isBatch(answer) {
		return c.refused(calls, status, answer)
	}
	replies, err := parseBatch(answer, len(calls), c.config.MaxDepth)
	if err != nil {
		return nil, c.at("batch", failure(status, err))
	}
	for i, call := range calls {
		r := replies[i]
		switch {
		case r.err != nil && errors.Is(r.err, ErrTooLarge):
			again = append(again, call)
		case r.err == nil && r.result == nil:
			call.Err = c.at(call.Method, fmt.Errorf("%w: the batch holds no answer to it", ErrAnswer))
		default:
			call.Err = c.at(call.Method, c.take(call, answerStatus{code: http.StatusOK}, r))
		}
	}
	if len(again) > 0 || took > c.config.Slow {
		c.shrink(len(calls))
	} else {
		c.grow(len(calls))
	}
	return again, nil
}

// askOne asks one question alone. The endpoint's own errors are the question's; the others are returned as well.
func (c *Client) askOne(ctx context.Context, call *Call) error {
	start := time.Now()
	err := c.Call(ctx, call.Method, call.Params, call.Result)
	call.Err = err
	var said *Error
	switch {
	case err == nil:
		if time.Since(start) <= c.config.Slow {
			c.grow(1)
		}
		return nil
	case errors.As(err, &said), errors.Is(err, ErrTooLarge), errors.Is(err, ErrAnswer):
		return nil
	}
	return err
}

// refused is what follows from one object in the place of a list.
func (c *Client) refused(calls []*Call, status answerStatus, answer []byte) ([]*Call, error) {
	r, err := parse(answer, c.config.MaxDepth)
	switch {
	case status.code == http.StatusTooManyRequests, status.code == http.StatusUnauthorized, status.code == http.StatusForbidden:
		return nil, c.at("batch", status.failure())
	case err == nil && r.err != nil && errors.Is(r.err, ErrBusy):
		return nil, c.at("batch", c.clean(r.err))
	case err == nil && r.err != nil, status.code == http.StatusRequestEntityTooLarge, status.code == http.StatusBadRequest:
		c.shrink(len(calls))
		return calls, nil
	case err == nil:
		err = fmt.Errorf("%w: one result for %d questions", ErrAnswer, len(calls))
	}
	return nil, c.at("batch", failure(status, err))
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return err != nil && errors.As(err, &t) && t.Timeout()
}

// batchSize is how many calls the next request may hold.
func (c *Client) batchSize() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}

// shrink halves the size of the next batches, after one of n calls was too much.
func (c *Client) shrink(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size = max(1, min(c.size, n/2))
}

// grow makes the next batches larger by an eighth, after one of n calls that were as many as allowed went well.
func (c *Client) grow(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n >= c.size {
		c.size = min(c.config.MaxBatch, c.size+max(1, c.size/8))
	}
}
