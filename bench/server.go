package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is the Caddy that is measured.
type server struct {
	cmd    *exec.Cmd
	admin  string
	log    string
	exited chan struct{}
}

// startServer starts Caddy with a Caddyfile in folder, which also takes its data and its log, and waits for ready, a
// URL, to answer.
func startServer(ctx context.Context, caddy, folder, admin, ready string) (*server, error) {
	s := &server{admin: "http://" + admin, log: filepath.Join(folder, "caddy.log"), exited: make(chan struct{})}
	logFile, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = logFile.Close() }()
	s.cmd = exec.Command(caddy, "run", "--config", filepath.Join(folder, "Caddyfile"), "--adapter", "caddyfile")
	s.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder)
	s.cmd.Stdout, s.cmd.Stderr = logFile, logFile
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (./xcaddy.sh bench builds it)", err)
	}
	go func() {
		_ = s.cmd.Wait() // how it ended is in its log
		close(s.exited)
	}()
	if err := s.await(ctx, ready); err != nil {
		s.stop()
		return nil, fmt.Errorf("%w\n%s", err, s.lastWords())
	}
	return s, nil
}

func (s *server) await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if body, err := get(ctx, url); err == nil {
			_ = body.Close()
			return nil
		}
		select {
		case <-s.exited:
			return errors.New("caddy ended")
		case <-ctx.Done():
			return errors.New("caddy is not ready")
		case <-tick.C:
		}
	}
}

// stop ends Caddy, kindly first.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// lastWords is the end of Caddy's log.
func (s *server) lastWords() string {
	content, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	const enough = 2000
	return string(content[max(0, len(content)-enough):])
}

// cpu is the processor time that Caddy has used, in steps of 10 ms; 0 where the system has no /proc.
func (s *server) cpu() time.Duration {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "stat"))
	if err != nil {
		return 0
	}
	// The second field, the command in parentheses, may hold spaces; user and system time are fields 14 and 15.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory is what Caddy has on its heap, garbage left out, and how many objects it ever made.
type memory struct{ HeapAlloc, Mallocs int64 }

func (s *server) memory(ctx context.Context) (memory, error) {
	for range 2 { // the second collection also frees what waited for finalizers, and what the first made
		if err := s.save(ctx, "/debug/pprof/heap?gc=1", io.Discard); err != nil {
			return memory{}, err
		}
	}
	return s.vars(ctx)
}

// objects is how many objects Caddy ever made.
func (s *server) objects(ctx context.Context) (int64, error) {
	m, err := s.vars(ctx)
	return m.Mallocs, err
}

func (s *server) vars(ctx context.Context) (memory, error) {
	body, err := get(ctx, s.admin+"/debug/vars")
	if err != nil {
		return memory{}, err
	}
	defer func() { _ = body.Close() }()
	var vars struct{ Memstats memory }
	if err := json.NewDecoder(body).Decode(&vars); err != nil {
		return memory{}, fmt.Errorf("/debug/vars: %w", err)
	}
	return vars.Memstats, nil
}

// save copies what the admin endpoint answers.
func (s *server) save(ctx context.Context, path string, to io.Writer) error {
	body, err := get(ctx, s.admin+path)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	_, err = io.Copy(to, body)
	return err
}

// get asks for a document; anything but 200 is an error.
func get(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return resp.Body, nil
}
