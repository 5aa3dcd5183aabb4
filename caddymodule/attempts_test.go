package caddymodule

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"syscall"

	"github.com/gatewright/gatewright/authz/oauth"
)

// attempts is a client's transport that opens a connection for every request, and sends a request
// again whose connection ended before an answer began.
//
// That happens in a reload of any Caddy: the kernel resets connections that wait for a listener which
// closes, and net/http closes connections whose request it has not read when its shutdown begins. No
// handler has seen those requests, and clients and proxies send them again. What a handler has seen
// must be answered; attempts knows which ones arrived.
type attempts struct {
	mu      sync.Mutex
	dropped []string
	begun   map[string]bool
}

const attemptHeader = "X-Attempt"

var onceEach = &http.Transport{DisableKeepAlives: true}

// RoundTrip implements http.RoundTripper.
func (a *attempts) RoundTrip(r *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		attempt := r.Clone(r.Context())
		id := oauth.NewSecret()
		attempt.Header.Set(attemptHeader, id)
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			attempt.Body = body
		}
		resp, err := onceEach.RoundTrip(attempt)
		if err == nil || try == 10 || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			return resp, err
		}
		a.mu.Lock()
		a.dropped = append(a.dropped, id)
		a.mu.Unlock()
	}
}

// arrived notes that a request has come all the way to the upstream.
func (a *attempts) arrived(r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun == nil {
		a.begun = make(map[string]bool)
	}
	a.begun[r.Header.Get(attemptHeader)] = true
}

// hasArrived tells whether an attempt has come all the way to the upstream.
func (a *attempts) hasArrived(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.begun[id]
}

// cutOff are the attempts that arrived and got no answer all the same.
func (a *attempts) cutOff() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var cut []string
	for _, id := range a.dropped {
		if a.begun[id] {
			cut = append(cut, id)
		}
	}
	return cut
}
