package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait; nothing here takes a tenth of it on a machine that does nothing else.
const patience = 60 * time.Second

// process is a program that runs beside the test and ends before it.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
	output *bytes.Buffer // to be read only once it has ended
}

// launch starts a program and waits until it is ready.
func launch(t testing.TB, cmd *exec.Cmd, ready func() bool) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, exited: make(chan struct{}), output: new(bytes.Buffer)}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	require.NoError(t, cmd.Start())
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // the status is not ours to judge: tests kill it
	}()
	t.Cleanup(func() {
		p.end(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("%s:\n%s", cmd.Path, p.output)
		}
	})
	p.await(ready)
	return p
}

// await asks again and again whether the program is ready, until it is, or has ended.
func (p *process) await(ready func() bool) {
	p.t.Helper()
	again, late := time.NewTicker(20*time.Millisecond), time.After(patience)
	defer again.Stop()
	for {
		select {
		case <-p.exited:
			require.Fail(p.t, "the program ended")
		case <-late:
			require.Fail(p.t, "the program was not ready in time")
		case <-again.C:
			if ready() {
				return
			}
		}
	}
}

// end ends the program by a signal and waits until it is gone.
func (p *process) end(signal os.Signal) {
	_ = p.cmd.Process.Signal(signal) // it may have ended already
	<-p.exited
}
