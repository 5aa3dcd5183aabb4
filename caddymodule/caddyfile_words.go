package caddymodule

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// A parser reads what follows one word of a block; the dispenser stands on the word.
type parser func(d *caddyfile.Dispenser) error

// words are what may stand in a block, each with its parser.
type words map[string]parser

// block parses the block that the dispenser is about to enter, if there is one. A word that is not
// in the table is an error: a spelling that silently does nothing would be a hole.
func (w words) block(d *caddyfile.Dispenser) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		parse, known := w[d.Val()]
		if !known {
			return d.Errf("unrecognized subdirective: %s", d.Val())
		}
		if err := parse(d); err != nil {
			return err
		}
	}
	return nil
}

// only parses a block after which the line must end.
func (w words) only(d *caddyfile.Dispenser) error {
	if err := lineEnds(d); err != nil {
		return err
	}
	return w.block(d)
}

// lineEnds refuses further arguments.
func lineEnds(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("unexpected argument: %s", d.Val())
	}
	return nil
}

// text takes one argument, once.
func text(dst *string) parser {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		if *dst != "" {
			return d.Errf("%s is set already", word)
		}
		if !d.NextArg() || d.Val() == "" {
			return d.Errf("%s needs a value", word)
		}
		*dst = d.Val()
		return lineEnds(d)
	}
}

// list takes one argument or more, and adds to what is there.
func list(dst *[]string) parser {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.Errf("%s needs a value", word)
		}
		*dst = append(*dst, args...)
		return nil
	}
}

// present takes no argument.
func present(dst *bool) parser {
	return func(d *caddyfile.Dispenser) error {
		*dst = true
		return lineEnds(d)
	}
}

// onOff takes on or off, once.
func onOff(dst **bool) parser {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		if *dst != nil {
			return d.Errf("%s is set already", word)
		}
		if !d.NextArg() {
			return d.Errf("%s needs on or off", word)
		}
		on, err := isOn(d)
		if err != nil {
			return err
		}
		*dst = &on
		return lineEnds(d)
	}
}

func isOn(d *caddyfile.Dispenser) (bool, error) {
	value, err := now(d)
	if err != nil {
		return false, err
	}
	if value != "on" && value != "off" {
		return false, d.Errf("on or off, not %s", value)
	}
	return value == "on", nil
}

// span takes one duration, once; Caddy's spelling, with d for days.
func span(dst *caddy.Duration) parser {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		if *dst != 0 {
			return d.Errf("%s is set already", word)
		}
		if !d.NextArg() {
			return d.Errf("%s needs a duration", word)
		}
		value, err := parseSpan(d)
		if err != nil {
			return err
		}
		*dst = value
		return lineEnds(d)
	}
}

// level takes one number, 0 included.
func level(dst *int) parser {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		if *dst != 0 {
			return d.Errf("%s is set already", word)
		}
		if !d.NextArg() {
			return d.Errf("%s needs a number", word)
		}
		value, err := now(d)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return d.Errf("%q is no level: 0, 1, 2, ...", value)
		}
		*dst = n
		return lineEnds(d)
	}
}

func parseSpan(d *caddyfile.Dispenser) (caddy.Duration, error) {
	value, err := now(d)
	if err != nil {
		return 0, err
	}
	parsed, err := caddy.ParseDuration(value)
	if err != nil || parsed <= 0 {
		return 0, d.Errf("%q is no duration above zero, such as 90s, 10m, 12h or 30d", value)
	}
	return caddy.Duration(parsed), nil
}

func parseCount(d *caddyfile.Dispenser) (int, error) {
	value, err := now(d)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, d.Errf("%q is no number above zero", value)
	}
	return n, nil
}

// now is the current argument with its placeholders replaced at once. That is for durations, numbers
// and on|off, which the JSON config keeps as what they are; every other value is kept as written and
// replaced when the config is loaded.
func now(d *caddyfile.Dispenser) (string, error) {
	value, err := caddy.NewReplacer().ReplaceOrErr(d.Val(), true, false)
	if err != nil {
		return "", d.WrapErr(err)
	}
	return value, nil
}

// name takes the argument that names a block, which no other block of its kind in taken has.
func name(d *caddyfile.Dispenser, taken map[string]bool) (string, error) {
	word := d.Val()
	if !d.NextArg() || d.Val() == "" {
		return "", d.Errf("%s needs a name", word)
	}
	given := d.Val()
	if taken[given] {
		return "", d.Errf("%s %s is defined already, or reserved", word, given)
	}
	taken[given] = true
	return given, lineEnds(d)
}

// made returns what a pointer points to, and makes it first where there is nothing.
func made[T any](dst **T) *T {
	if *dst == nil {
		*dst = new(T)
	}
	return *dst
}
