package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// profileSeconds is how long a lane runs under the profiler.
const profileSeconds = 8

// profile writes a CPU profile of Caddy under a lane's load, where the command line asks for one.
func (b *bench) profile(name string, load lane) error {
	if b.options.profile == "" {
		return nil
	}
	if err := os.MkdirAll(b.options.profile, 0o755); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(b.options.profile, name+".pprof"))
	if err != nil {
		return err
	}
	written := make(chan error, 1)
	go func() {
		err := b.server.save(b.ctx, "/debug/pprof/profile?seconds="+strconv.Itoa(profileSeconds), file)
		written <- errors.Join(err, file.Close())
	}()
	for end := time.Now().Add(profileSeconds * time.Second); time.Now().Before(end); {
		if _, _, err := load(0); err != nil {
			return errors.Join(err, <-written)
		}
	}
	return <-written
}
