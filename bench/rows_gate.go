package main

import (
	"fmt"
	"time"
)

// seenBefore is the number of tokens that a gate is to remember all at once.
const seenBefore = 20_000

// timed is a lane that sends requests for one round, over connections that stay open.
func (b *bench) timed(port, workers int, requests next) (lane, func(), error) {
	c, err := dial(local(port), workers, "200")
	if err != nil {
		return nil, nil, err
	}
	run := func(int) (int64, time.Duration, error) { return c.runFor(b.options.round, requests) }
	return run, c.close, nil
}

// againstEachOther compares two sites under requests of their own.
func (b *bench) againstEachOther(name string, without, with int, requests func(port int) next) (result, error) {
	base, end, err := b.timed(without, connections, requests(without))
	if err != nil {
		return result{}, err
	}
	defer end()
	measured, end, err := b.timed(with, connections, requests(with))
	if err != nil {
		return result{}, err
	}
	defer end()
	compared, err := b.compare(b.options.rounds, base, measured)
	if err != nil {
		return result{}, err
	}
	if err := b.profile(name+"-without", base); err != nil {
		return result{}, err
	}
	return compared, b.profile(name, measured)
}

func oneToken(b *bench) (result, error) {
	token, err := b.mint.one("es256")
	if err != nil {
		return result{}, err
	}
	return b.againstEachOther("one-token", b.config.Ports.Bare, b.port("es256"), func(port int) next {
		return always(bearer(port, token))
	})
}

func sealedToken(b *bench) (result, error) {
	token, err := b.mint.one("sealed")
	if err != nil {
		return result{}, err
	}
	return b.againstEachOther("sealed", b.config.Ports.Bare, b.port("sealed"), func(port int) next {
		return always(bearer(port, token))
	})
}

func rules(b *bench) (result, error) {
	token, err := b.mint.one(ruled)
	if err != nil {
		return result{}, err
	}
	return b.againstEachOther("rules", b.port("unruled"), b.port("ruled"), func(port int) next {
		return always(bearer(port, token))
	})
}

func manyTokens(b *bench) (result, error) {
	tokens, err := b.mint.many("es256", seenBefore)
	if err != nil {
		return result{}, err
	}
	if err := b.sendOnce(b.port("many"), bearers(b.port("many"), tokens)); err != nil {
		return result{}, err
	}
	return b.againstEachOther("many-tokens", b.config.Ports.Bare, b.port("many"), func(port int) next {
		return inTurn(bearers(port, tokens))
	})
}

// sendOnce sends each request one time.
func (b *bench) sendOnce(port int, requests [][]byte) error {
	c, err := dial(local(port), connections, "200")
	if err != nil {
		return err
	}
	defer c.close()
	_, err = c.run(once(requests))
	return err
}

// memoryPerToken looks at the heap before and after a gate has seen its tokens. Half of them are sent before, so that
// what the gate has whole (shards, connections) is not counted as theirs.
func memoryPerToken(b *bench) (result, error) {
	port := b.port("memory")
	tokens, err := b.mint.many("es256", seenBefore)
	if err != nil {
		return result{}, err
	}
	half := len(tokens) / 2
	if err := b.sendOnce(port, bearers(port, tokens[:half])); err != nil {
		return result{}, err
	}
	before, err := b.server.memory(b.ctx)
	if err != nil {
		return result{}, err
	}
	if err := b.sendOnce(port, bearers(port, tokens[half:])); err != nil {
		return result{}, err
	}
	after, err := b.server.memory(b.ctx)
	if err != nil {
		return result{}, err
	}
	each := float64(after.HeapAlloc-before.HeapAlloc) / float64(len(tokens)-half)
	return summed([]float64{each}, fmt.Sprintf("tokens of %d B", len(tokens[0]))), nil
}

// newTokens sends tokens that nobody has seen, so many a round. They differ from round to round, since the issuer
// remembers good signatures beyond what one gate does.
func newTokens(resourceServer string, rounds, each int) func(*bench) (result, error) {
	return func(b *bench) (result, error) {
		tokens, err := b.mint.many(resourceServer, rounds*each+1)
		if err != nil {
			return result{}, err
		}
		known, fresh := tokens[0], tokens[1:]
		without, end, err := b.onceEach(b.config.Ports.Bare, known, fresh, each)
		if err != nil {
			return result{}, err
		}
		defer end()
		with, end, err := b.onceEach(b.port(resourceServer), known, fresh, each)
		if err != nil {
			return result{}, err
		}
		defer end()
		return b.compare(rounds, without, with)
	}
}

// onceEach is a lane that sends each of the fresh tokens one time, so many a round; the known one warms it up.
func (b *bench) onceEach(port int, known string, fresh []string, each int) (lane, func(), error) {
	c, err := dial(local(port), connections, "200")
	if err != nil {
		return nil, nil, err
	}
	run := func(round int) (int64, time.Duration, error) {
		if round < 0 {
			return c.runFor(b.options.round, always(bearer(port, known)))
		}
		requests := bearers(port, fresh[round*each:(round+1)*each])
		started := time.Now()
		n, err := c.run(once(requests))
		return n, time.Since(started), err
	}
	return run, c.close, nil
}

func session(b *bench) (result, error) {
	person, err := newBrowser(b, 0)
	if err != nil {
		return result{}, err
	}
	defer person.close()
	cookie, err := person.session()
	if err != nil {
		return result{}, err
	}
	return b.againstEachOther("session", b.config.Ports.Bare, b.config.Ports.Session, func(port int) next {
		return always(getWith(port, "Cookie", cookie))
	})
}

// objects counts what Caddy allocates for a request, with the gate and without.
func objects(b *bench) (result, error) {
	token, err := b.mint.one("es256")
	if err != nil {
		return result{}, err
	}
	bare, gate := b.config.Ports.Bare, b.port("es256")
	values := make([]float64, 0, 5)
	for range cap(values) {
		with, err := b.objectsEach(gate, bearer(gate, token))
		if err != nil {
			return result{}, err
		}
		without, err := b.objectsEach(bare, bearer(bare, token))
		if err != nil {
			return result{}, err
		}
		values = append(values, with-without)
	}
	return summed(values, ""), nil
}

func (b *bench) objectsEach(port int, request []byte) (float64, error) {
	const count = 5000
	requests := make([][]byte, count)
	for i := range requests {
		requests[i] = request
	}
	if err := b.sendOnce(port, requests[:count/10]); err != nil { // connections and pools are made
		return 0, err
	}
	before, err := b.server.memory(b.ctx)
	if err != nil {
		return 0, err
	}
	if err := b.sendOnce(port, requests); err != nil {
		return 0, err
	}
	after, err := b.server.objects(b.ctx)
	if err != nil {
		return 0, err
	}
	return float64(after-before.Mallocs) / count, nil
}
