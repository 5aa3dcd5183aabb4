package caddymodule

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatewright/gatewright/authz"
)

// placeKey is how Places speaks of a part: its word, and its name where parts have one.
func placeKey(part, name string) string {
	if name == "" {
		return part
	}
	return part + " " + name
}

// here is where the dispenser stands.
func here(d *caddyfile.Dispenser) string { return fmt.Sprintf("%s:%d", d.File(), d.Line()) }

// placed remembers where each word of a block stands. Words in named are followed by a name.
func (w words) placed(places map[string]string, named ...string) words {
	wrapped := make(words, len(w))
	for word, parse := range w {
		wrapped[word] = func(d *caddyfile.Dispenser) error {
			key, place := word, here(d)
			for _, n := range named {
				if n == word && d.NextArg() {
					key = placeKey(word, d.Val())
					d.Prev()
				}
			}
			if places[key] == "" {
				places[key] = place
			}
			return parse(d)
		}
	}
	return wrapped
}

// locate names the place of every part that an error speaks of, as closely as it is known.
func (c *ServerConfig) locate(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var located []error
		for _, one := range joined.Unwrap() {
			located = append(located, c.locate(one))
		}
		return errors.Join(located...)
	}
	place := ""
	for inner := err; ; {
		var part *authz.ConfigError
		if !errors.As(inner, &part) {
			break
		}
		if known := c.Places[placeKey(part.Part, part.Name)]; known != "" {
			place = known
		} else if known := c.Places[part.Part]; known != "" && part.Name != "" {
			place = known
		}
		inner = part.Err
	}
	if place == "" {
		return err
	}
	return fmt.Errorf("%s: %w", place, err)
}
