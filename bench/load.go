package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// maxAnswer bounds the body of an answer.
const maxAnswer = 1 << 20

// next gives a worker its next request, in the bytes of the wire, and nil once there is none. It is told the body of
// the answer before; that is overwritten by the next.
type next func(worker int, body []byte) []byte

// crowd is a set of connections that are kept open, each driven by a worker of its own that waits for one answer
// before it sends the next request.
type crowd struct {
	status  string // that every answer must have
	workers []*worker
}

type worker struct {
	conn net.Conn
	in   *bufio.Reader
	body []byte
}

// dial opens n connections; status is "200", or "" where any answer will do.
func dial(addr string, n int, status string) (*crowd, error) {
	c := &crowd{status: status}
	for range n {
		conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			c.close()
			return nil, err
		}
		c.workers = append(c.workers, &worker{conn: conn, in: bufio.NewReaderSize(conn, 8<<10)})
	}
	return c, nil
}

func (c *crowd) close() {
	for _, w := range c.workers {
		_ = w.conn.Close()
	}
}

// run lets all workers send until their requests run out, and returns how many were answered.
func (c *crowd) run(requests next) (answered int64, err error) {
	var group sync.WaitGroup
	var total atomic.Int64
	failures := make([]error, len(c.workers))
	for i, w := range c.workers {
		group.Go(func() {
			n, err := w.run(i, requests, c.status)
			total.Add(n)
			failures[i] = err
		})
	}
	group.Wait()
	return total.Load(), errors.Join(failures...)
}

// runFor lets all workers send for a while.
func (c *crowd) runFor(d time.Duration, requests next) (answered int64, elapsed time.Duration, err error) {
	var over atomic.Bool
	timer := time.AfterFunc(d, func() { over.Store(true) })
	defer timer.Stop()
	started := time.Now()
	answered, err = c.run(func(worker int, body []byte) []byte {
		request := requests(worker, body) // even when it is over: the answer before may matter to the source
		if over.Load() {
			return nil
		}
		return request
	})
	return answered, time.Since(started), err
}

func (w *worker) run(number int, requests next, status string) (n int64, err error) {
	w.body = w.body[:0]
	for {
		request := requests(number, w.body)
		if request == nil {
			return n, nil
		}
		if err := w.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			return n, err
		}
		if _, err := w.conn.Write(request); err != nil {
			return n, err
		}
		got, err := w.answer()
		if err != nil {
			return n, err
		}
		if status != "" && got != status {
			return n, fmt.Errorf("answered %s instead of %s: %s", got, status, w.body)
		}
		n++
	}
}

// answer reads one answer; it takes only those that say how long they are.
func (w *worker) answer() (status string, err error) {
	line, err := w.in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	if len(line) < len("HTTP/1.1 200") {
		return "", fmt.Errorf("no status line: %q", line)
	}
	status, length := statusText(line[9:12]), -1
	for {
		if line, err = w.in.ReadSlice('\n'); err != nil {
			return "", err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); len(name) == 14 && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return "", err
			}
		}
	}
	if length < 0 || length > maxAnswer {
		return "", errors.New("the answer doesn't say its length, or too much")
	}
	if cap(w.body) < length {
		w.body = make([]byte, length)
	}
	w.body = w.body[:length]
	_, err = io.ReadFull(w.in, w.body)
	return status, err
}

// statusText spares the usual status an allocation.
func statusText(code []byte) string {
	if string(code) == "200" {
		return "200"
	}
	return string(code)
}

// always repeats one request.
func always(request []byte) next {
	return func(int, []byte) []byte { return request }
}

// inTurn goes round a list of requests.
func inTurn(requests [][]byte) next {
	var at atomic.Int64
	return func(int, []byte) []byte { return requests[int(at.Add(1)-1)%len(requests)] }
}

// once sends each of a list of requests one time.
func once(requests [][]byte) next {
	var at atomic.Int64
	return func(int, []byte) []byte {
		if i := int(at.Add(1) - 1); i < len(requests) {
			return requests[i]
		}
		return nil
	}
}
