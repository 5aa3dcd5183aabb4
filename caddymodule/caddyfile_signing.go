package caddymodule

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// signing parses which keys a server has. Syntax:
//
//	signing {
//		algorithm <alg...>
//		id_token <alg>
//		access_token <alg>
//		key <file> [<alg>] [password <password>]
//		rotate <duration>
//		overlap <duration>
//	}
//
// Each key has a line of its own; of those for one algorithm the last one signs.
func (p *authzParser) signing(d *caddyfile.Dispenser) error {
	signing := made(&p.config.Signing)
	return words{
		"algorithm":    list(&signing.Algorithms),
		"id_token":     text(&signing.IDToken),
		"access_token": text(&signing.AccessToken),
		"key":          signing.parseKey,
		"rotate":       span(&signing.Rotate),
		"overlap":      span(&signing.Overlap),
	}.only(d)
}

func (s *Signing) parseKey(d *caddyfile.Dispenser) error {
	if !d.NextArg() || d.Val() == "" {
		return d.Err("key needs a file")
	}
	key := SigningKey{File: d.Val()}
	for _, other := range s.Keys {
		if other.File == key.File {
			return d.Errf("key %s is given already", key.File)
		}
	}
	more := d.NextArg()
	if more && d.Val() != "password" {
		key.Algorithm = d.Val()
		more = d.NextArg()
	}
	if more {
		if d.Val() != "password" {
			return d.Errf("after key <file> <alg> comes password, not %s", d.Val())
		}
		if !d.NextArg() || d.Val() == "" {
			return d.Err("password needs a value")
		}
		key.Password = d.Val()
	}
	s.Keys = append(s.Keys, key)
	return lineEnds(d)
}
