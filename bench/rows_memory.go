package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	liveSessions = 4096
	badTokens    = 100_000
)

// memoryPerSession signs people in at a gate and looks at what of them stays on the heap: the live session with its
// claims and injected token, and what the issuer holds. What lies in the store is on disk.
func memoryPerSession(b *bench) (result, error) {
	const before = liveSessions / 2 // sessions that make the shards and pools, and what the store holds on to
	if err := b.signInMany(0, before); err != nil {
		return result{}, err
	}
	first, err := b.server.memory(b.ctx)
	if err != nil {
		return result{}, err
	}
	if err := b.signInMany(before, before+liveSessions); err != nil {
		return result{}, err
	}
	last, err := b.server.memory(b.ctx)
	if err != nil {
		return result{}, err
	}
	each := float64(last.HeapAlloc-first.HeapAlloc) / liveSessions
	return summed([]float64{each}, fmt.Sprintf("%d people signed in", liveSessions)), nil
}

// signInMany signs in the browsers from one number to another, some at a time.
func (b *bench) signInMany(from, to int) error {
	var group sync.WaitGroup
	var number atomic.Int64
	number.Store(int64(from))
	failures := make([]error, connections)
	for w := range failures {
		group.Go(func() {
			for failures[w] == nil {
				i := int(number.Add(1) - 1)
				if i >= to {
					return
				}
				failures[w] = b.signIn(i)
			}
		})
	}
	group.Wait()
	return errors.Join(failures...)
}

func (b *bench) signIn(number int) error {
	person, err := newBrowser(b, number)
	if err != nil {
		return err
	}
	defer person.close()
	_, err = person.session()
	return err
}

// flood sends tokens whose signature is wrong, each another one, while good requests go on. Memory is to stay flat,
// and no good request may fail.
func flood(b *bench) (result, error) {
	port := b.port("flood")
	good, err := b.mint.one("es256")
	if err != nil {
		return result{}, err
	}
	if _, err := b.flood(port, good, badTokens/100); err != nil { // connections and pools are made
		return result{}, err
	}
	before, err := b.server.memory(b.ctx)
	if err != nil {
		return result{}, err
	}
	note, err := b.flood(port, good, badTokens)
	if err != nil {
		return result{}, err
	}
	after, err := b.server.memory(b.ctx)
	if err != nil {
		return result{}, err
	}
	return summed([]float64{float64(after.HeapAlloc - before.HeapAlloc)}, note), nil
}

// flood sends n bad tokens over most connections and a good one over the rest, until the bad ones are through.
func (b *bench) flood(port int, good string, n int64) (note string, err error) {
	const goodConnections = 4
	flooding, err := dial(local(port), connections-goodConnections, "401")
	if err != nil {
		return "", err
	}
	defer flooding.close()
	serving, err := dial(local(port), goodConnections, "200")
	if err != nil {
		return "", err
	}
	defer serving.close()
	var over atomic.Bool
	var served int64
	var servedError error
	var group sync.WaitGroup
	started := time.Now()
	group.Go(func() {
		request := bearer(port, good)
		served, servedError = serving.run(func(int, []byte) []byte {
			if over.Load() {
				return nil
			}
			return request
		})
	})
	var sent atomic.Int64
	refused, err := flooding.run(func(int, []byte) []byte {
		i := sent.Add(1)
		if i > n {
			return nil
		}
		return bearer(port, forged(good, i))
	})
	over.Store(true)
	group.Wait()
	if err = errors.Join(err, servedError); err != nil {
		return "", err
	}
	seconds := time.Since(started).Seconds()
	return fmt.Sprintf("%.0f refused/s, %.0f good served/s", float64(refused)/seconds, float64(served)/seconds), nil
}

// forged is a token with another payload under the same signature: only the whole verification finds out.
func forged(good string, number int64) string {
	const digits = "ABCDEFGHIJKLMNOP" // of base64url, four bits each
	forgery := []byte(good)
	// In the middle of the payload, whole groups of four characters, so that the encoding stays canonical.
	at := strings.IndexByte(good, '.') + 1 + 200
	for i := range 12 {
		forgery[at+i] = digits[number>>(4*i)&15]
	}
	return string(forgery)
}
