package caddymodule

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func (p *authzParser) rateLimit(d *caddyfile.Dispenser) error {
	limit := made(&p.config.RateLimit)
	return words{
		"total":   perSecond(&limit.Total),
		"client":  perSecond(&limit.Client),
		"address": perSecond(&limit.Address),
	}.only(d)
}

// perSecond takes one rate, once: a number of requests and "/s".
func perSecond(dst *int) parser {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		if *dst != 0 {
			return d.Errf("%s is set already", word)
		}
		if !d.NextArg() {
			return d.Errf("%s needs a rate", word)
		}
		value, err := now(d)
		if err != nil {
			return err
		}
		number, ok := strings.CutSuffix(value, "/s")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 1 {
			return d.Errf("%q is no rate above zero, such as 10/s", value)
		}
		*dst = n
		return lineEnds(d)
	}
}
