package caddymodule

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// Level is how bad a Finding is.
type Level int

// The levels.
const (
	Fine    Level = iota
	Warning       // it works, and somebody should know
	Fault         // something doesn't work
)

// Finding is one thing that `caddy authz doctor` looked at.
type Finding struct {
	Part   string // where it belongs, such as "directory ldaps://ldap1.example.com"
	What   string // what was looked at
	Level  Level
	Detail string // what was found, without secrets
	Fix    string // the command or option that mends it
}

// Examined is a Storage or a UserStore that can be looked at without changing anything, and beside a
// running server.
type Examined interface {
	Examine(ctx context.Context) []Finding
}

// mark is how a level looks.
func (l Level) mark() string {
	switch l {
	case Warning:
		return "warn"
	case Fault:
		return "FAIL"
	default:
		return "ok"
	}
}

// write prints findings by part, one a line, each with what mends it below.
func write(out io.Writer, findings []Finding) error {
	var text strings.Builder
	width := 0
	for _, f := range findings {
		width = max(width, len(f.What))
	}
	part := ""
	for _, f := range findings {
		if f.Part != part {
			part = f.Part
			fmt.Fprintf(&text, "\n  %s\n", part)
		}
		fmt.Fprintf(&text, "    %-4s  %-*s  %s\n", f.Level.mark(), width, f.What, oneLine(f.Detail))
		if f.Fix != "" {
			fmt.Fprintf(&text, "          %-*s  -> %s\n", width, "", f.Fix)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// oneLine keeps what a server said from breaking the list, or a terminal.
func oneLine(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	return strings.TrimRight(strings.Join(strings.Fields(clean), " "), ":")
}

// verdict sums findings up.
func verdict(findings []Finding) (text string, faults int) {
	warnings := 0
	for _, f := range findings {
		switch f.Level {
		case Fault:
			faults++
		case Warning:
			warnings++
		}
	}
	if faults+warnings == 0 {
		return "All is well.", 0
	}
	return count(faults, "fault") + ", " + count(warnings, "warning") + ".", faults
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
