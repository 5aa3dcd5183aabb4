package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lane is one side of a comparison: it does its work for one round and says how much that was.
type lane func(round int) (done int64, elapsed time.Duration, err error)

// repeated is a lane of this process: each of some workers does one thing again and again.
func (b *bench) repeated(workers int, once func(worker int) error) lane {
	return func(int) (int64, time.Duration, error) {
		var group sync.WaitGroup
		var done atomic.Int64
		failures := make([]error, workers)
		started := time.Now()
		for i := range workers {
			group.Go(func() {
				for failures[i] == nil && time.Since(started) < b.options.round {
					if failures[i] = once(i); failures[i] == nil {
						done.Add(1)
					}
				}
			})
		}
		group.Wait()
		return done.Load(), time.Since(started), errors.Join(failures...)
	}
}

// result is what a row came to. Higher is better for a ratio, lower for what counts bytes or objects.
type result struct {
	median, min, max float64
	note             string
}

// compare lets two lanes take turns and returns the ratios of their throughputs, pair by pair. Who begins a pair
// changes, so that a trend in the machine's other load cancels out.
func (b *bench) compare(rounds int, without, with lane) (result, error) {
	for _, warm := range []lane{without, with} {
		if _, _, err := warm(-1); err != nil {
			return result{}, err
		}
	}
	sides := [2]*side{{lane: without}, {lane: with}}
	ratios := make([]float64, rounds)
	for round := range ratios {
		for turn := range sides {
			if err := sides[(round+turn)%2].run(b, round); err != nil {
				return result{}, err
			}
		}
		ratios[round] = sides[1].rate / sides[0].rate
	}
	note := fmt.Sprintf("%.0f -> %.0f/s, CPU %.0f -> %.0f us",
		sides[0].perSecond(), sides[1].perSecond(), sides[0].cpuEach(), sides[1].cpuEach())
	return summed(ratios, note), nil
}

func summed(values []float64, note string) result {
	slices.Sort(values)
	return result{median: median(values), min: values[0], max: values[len(values)-1], note: note}
}

// median of sorted values.
func median(values []float64) float64 {
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// side sums up what one lane did.
type side struct {
	lane    lane
	rate    float64 // of the last round
	done    int64
	elapsed time.Duration
	cpu     time.Duration // that Caddy used meanwhile
}

func (s *side) run(b *bench, round int) error {
	before := b.server.cpu()
	done, elapsed, err := s.lane(round)
	if err != nil {
		return err
	}
	s.cpu += b.server.cpu() - before
	s.rate = float64(done) / elapsed.Seconds()
	s.done += done
	s.elapsed += elapsed
	return nil
}

func (s *side) perSecond() float64 { return float64(s.done) / s.elapsed.Seconds() }

func (s *side) cpuEach() float64 { return float64(s.cpu.Microseconds()) / float64(s.done) }
