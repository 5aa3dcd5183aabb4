package caddymodule

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// grantsProbe asks at the start of a config whether the grants of people can be written where they are kept,
// rather than letting the first person who signs in find out (U6).
type grantsProbe struct {
	keeper   GrantStore
	required bool // a definite no is an error: tokens that can be revoked can't be issued
	log      *zap.Logger
}

// How long a probe waits for a directory that could not be asked: ever longer.
const (
	probeSoon   = time.Second
	probeSeldom = 15 * time.Second
)

// start asks once. A directory that can't be asked is asked again until stop.
func (p *grantsProbe) start(ctx context.Context) (stop func(), err error) {
	stop = func() {}
	err = p.keeper.ProbeGrants(ctx)
	switch {
	case errors.Is(err, ErrGrantsRefused):
		if p.required {
			return nil, err
		}
		p.log.Warn(err.Error())
	case err != nil:
		p.log.Warn("the directory can't be asked now whether consents and refresh families can be written there", zap.Error(err))
		stop = p.retry()
	}
	return stop, nil
}

// retry asks until there is an answer. A no is no error any more: the config serves.
func (p *grantsProbe) retry() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for wait := probeSoon; ; wait = min(2*wait, probeSeldom) {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
			err := p.keeper.ProbeGrants(ctx)
			switch {
			case err == nil:
				p.log.Info("consents and refresh families can be written in the directory")
				return
			case errors.Is(err, ErrGrantsRefused):
				p.log.Error(err.Error())
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
