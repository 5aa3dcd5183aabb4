package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// row is one line of the table.
type row struct {
	name string
	goal float64
	// most tells that the goal is the most that it may be; else it is the least.
	most    bool
	format  string // of its figures; "": a ratio
	measure func(*bench) (result, error)
}

type table struct{ lines []string }

func (t *table) add(r row, got result) {
	format := r.format
	if format == "" {
		format = "%.2f"
	}
	word, reached := "at least ", got.median >= r.goal
	if r.most {
		word, reached = "at most ", got.median <= r.goal
	}
	verdict := "short"
	if reached {
		verdict = "ok"
	}
	t.lines = append(t.lines, fmt.Sprintf("%s\t%s"+format+"\t"+format+"\t"+format+" - "+format+"\t%s\t%s",
		r.name, word, r.goal, got.median, got.min, got.max, verdict, got.note))
}

func (t *table) print(w io.Writer, took time.Duration) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(out, "row\tgoal\tmedian\tmin - max\t\tcontext: without -> with, Caddy's CPU a request")
	for _, line := range t.lines {
		_, _ = fmt.Fprintln(out, line)
	}
	_ = out.Flush()
	_, _ = fmt.Fprintf(w, "measured in %s; ratios are of throughput, medians of pairs of rounds in one run\n", took.Round(time.Second))
}
