package main

import (
	"net/url"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/authz/store/bolt"
)

// clientCredentials compares the token endpoint with a site that answers the same request by 1 KB of text.
func clientCredentials(resourceServer string) func(*bench) (result, error) {
	return func(b *bench) (result, error) {
		form := url.Values{"grant_type": {"client_credentials"}}
		return b.againstEachOther("token-"+resourceServer, b.config.Ports.Respond, b.config.Ports.Issuer, func(port int) next {
			return always(b.post(port, "/token", "robot-"+resourceServer, form))
		})
	}
}

func introspection(b *bench) (result, error) {
	token, err := b.mint.one("es256")
	if err != nil {
		return result{}, err
	}
	return b.againstEachOther("introspection", b.config.Ports.Respond, b.config.Ports.Issuer, func(port int) next {
		return always(b.post(port, "/introspect", "robot-es256", url.Values{"token": {token}}))
	})
}

// refresh compares refreshing, by so many people at once, with as many writes at once to a store of this process, on
// the same disk. Alone, a refresh waits for the disk as a write does; where many share one commit, the processor that
// a request needs counts far more than the write does.
func refresh(people int) func(*bench) (result, error) {
	return func(b *bench) (result, error) {
		tokens, err := b.refreshTokens(people)
		if err != nil {
			return result{}, err
		}
		writes, end, err := b.writes(people)
		if err != nil {
			return result{}, err
		}
		defer end()
		port := b.config.Ports.Issuer
		var failure atomic.Pointer[error]
		refreshes, end, err := b.timed(port, people, func(worker int, body []byte) []byte {
			if len(body) > 0 {
				token, err := refreshTokenOf(body)
				if err != nil {
					failure.Store(&err)
					return nil
				}
				tokens[worker] = token
			}
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens[worker]}}
			return b.post(port, "/token", "shop", form)
		})
		if err != nil {
			return result{}, err
		}
		defer end()
		compared, err := b.compare(b.options.rounds, writes, refreshes)
		if failed := failure.Load(); failed != nil {
			return result{}, *failed
		}
		if err != nil {
			return result{}, err
		}
		return compared, b.profile("refresh-"+strconv.Itoa(people), refreshes)
	}
}

func (b *bench) refreshTokens(people int) ([]string, error) {
	tokens := make([]string, people)
	for i := range tokens {
		person, err := newBrowser(b, i)
		if err != nil {
			return nil, err
		}
		tokens[i], err = person.refreshToken()
		person.close()
		if err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// writes is a lane of the store's own atomic step, as a refresh needs one.
func (b *bench) writes(writers int) (lane, func(), error) {
	s, err := bolt.Open(b.ctx, filepath.Join(b.folder, "writes-"+strconv.Itoa(writers)+".db"), bolt.Options{})
	if err != nil {
		return nil, nil, err
	}
	value, expires := make([]byte, 120), time.Now().Add(time.Hour)
	run := b.repeated(writers, func(writer int) error {
		return s.Update(b.ctx, "family/"+strconv.Itoa(writer), func([]byte) ([]byte, time.Time, error) {
			return value, expires, nil
		})
	})
	return run, func() { _ = s.Close() }, nil
}
