package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// answers is a GrantStore that gives one answer after the other, the last again and again.
type answers struct {
	GrantStore
	errs []error
}

func (a *answers) ProbeGrants(context.Context) error {
	err := a.errs[0]
	if len(a.errs) > 1 {
		a.errs = a.errs[1:]
	}
	return err
}

func TestU6_ProbeAtStart(t *testing.T) {
	no, away := fmt.Errorf("%w: step", ErrGrantsRefused), errors.New("away")
	for name, test := range map[string]struct {
		answers  []error
		required bool
		refused  bool
		logged   []zapcore.Level
	}{
		"may write":                         {answers: []error{nil}, required: true},
		"may not, revocation on":            {answers: []error{no}, required: true, refused: true},
		"may not, revocation off":           {answers: []error{no}, logged: []zapcore.Level{zap.WarnLevel}},
		"away, then it may":                 {answers: []error{away, away, nil}, required: true, logged: []zapcore.Level{zap.WarnLevel, zap.InfoLevel}},
		"away, then it may not":             {answers: []error{away, no}, required: true, logged: []zapcore.Level{zap.WarnLevel, zap.ErrorLevel}},
		"away until the end":                {answers: []error{away}, required: true, logged: []zapcore.Level{zap.WarnLevel}},
		"away, revocation off, then it may": {answers: []error{away, nil}, logged: []zapcore.Level{zap.WarnLevel, zap.InfoLevel}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				core, logs := observer.New(zap.InfoLevel)
				probe := grantsProbe{keeper: &answers{errs: test.answers}, required: test.required, log: zap.New(core)}
				stop, err := probe.start(t.Context())
				if test.refused {
					require.ErrorIs(t, err, ErrGrantsRefused)
					require.ErrorContains(t, err, "step")
					return
				}
				require.NoError(t, err)
				synctest.Wait()
				timeout, cancel := context.WithTimeout(t.Context(), 3*probeSeldom)
				defer cancel()
				<-timeout.Done()
				synctest.Wait()
				stop()
				var levels []zapcore.Level
				for _, entry := range logs.All() {
					levels = append(levels, entry.Level)
				}
				require.Equal(t, test.logged, levels)
			})
		})
	}
}
