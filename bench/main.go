package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// wholeTime bounds the whole run, whatever hangs.
const wholeTime = 6 * time.Minute

// options are what the command line says.
type options struct {
	caddy   string
	row     *regexp.Regexp
	rounds  int
	round   time.Duration
	profile string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	o, err := parseOptions()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, wholeTime)
	defer cancel()
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	started := time.Now()
	for _, r := range rows() {
		if !o.row.MatchString(r.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", r.name)
		result, err := r.measure(b)
		if errors.Is(err, errLeftOut) {
			fmt.Fprintln(os.Stderr, "bench:", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", r.name, err, b.server.lastWords())
		}
		b.table.add(r, result)
	}
	b.table.print(os.Stdout, time.Since(started))
	return nil
}

func parseOptions() (options, error) {
	var o options
	row := flag.String("row", "", "measure only the rows whose name matches this regular expression")
	flag.StringVar(&o.caddy, "caddy", ".build/caddy", "the Caddy to measure, built with this plugin")
	flag.IntVar(&o.rounds, "rounds", 40, "pairs of rounds for each row")
	flag.DurationVar(&o.round, "round", 120*time.Millisecond, "length of one round")
	flag.StringVar(&o.profile, "profile", "", "also write a CPU profile of Caddy under each row's load into this folder")
	flag.Parse()
	var err error
	if o.row, err = regexp.Compile(*row); err != nil {
		return o, fmt.Errorf("-row: %w", err)
	}
	if o.rounds < 1 || o.round <= 0 {
		return o, fmt.Errorf("-rounds and -round must be more than 0")
	}
	return o, nil
}
