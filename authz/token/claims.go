package token

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// TypeAccessToken is the typ of a JWT access token (RFC 9068 §2.1).
const TypeAccessToken = "at+jwt"

// maxActors is the longest chain of actors that a token may carry.
const maxActors = 8

// AccessToken is the claim set of a JWT access token (RFC 9068 §2.2). Times
// have a resolution of a second; zero ones and empty strings are left out.
// What ParseAccessToken returns shares memory with the whole payload.
type AccessToken struct {
	Issuer   string // iss
	Subject  string // sub
	ClientID string // client_id
	ID       string // jti
	// GrantID names the grant family that revocation speaks of (grant_id).
	GrantID string
	// SessionID is the sid that logout tokens use, not the session's secret.
	SessionID string
	Audience  []string // aud: a string for one, an array for several
	// Scope is a list of scope tokens (RFC 6749 §3.3).
	Scope []string
	// ScopeAsArray writes scope as an array, as consumers from before RFC 9068
	// want it.
	ScopeAsArray bool

	IssuedAt  time.Time // iat
	NotBefore time.Time // nbf
	ExpiresAt time.Time // exp
	AuthTime  time.Time // auth_time

	ACR string   // acr
	AMR []string // amr (RFC 8176)
	// Actors are who acts for the subject, the current one first, then those
	// before it (act, RFC 8693 §4.1); at most 8.
	Actors []string
	Roles  []string // roles
	// Extra has every other claim, numbers as json.Number when parsed. A name
	// that Reserved knows is never written.
	Extra map[string]any
}

var reserved = map[string]bool{
	"iss": true, "sub": true, "aud": true, "exp": true, "nbf": true, "iat": true, "jti": true,
	"client_id": true, "scope": true, "auth_time": true, "acr": true, "amr": true, "sid": true, "grant_id": true,
	"act": true, "roles": true,
}

// Reserved reports whether a claim is one that AccessToken has a field for, so
// that configuration can refuse to map an attribute to it.
func Reserved(name string) bool { return reserved[name] }

// Marshal writes the payload of the token, members in a fixed order. ErrMalformed
// when a required claim is missing (RFC 9068 §2.2), a scope is no scope token, or
// a string is not valid UTF-8.
func (a *AccessToken) Marshal() ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	w := &claimWriter{out: make([]byte, 0, 768)}
	w.str("iss", a.Issuer)
	w.date("exp", a.ExpiresAt)
	if len(a.Audience) == 1 {
		w.str("aud", a.Audience[0])
	} else {
		w.list("aud", a.Audience)
	}
	w.str("sub", a.Subject)
	w.str("client_id", a.ClientID)
	w.date("iat", a.IssuedAt)
	w.str("jti", a.ID)
	if a.ScopeAsArray {
		w.list("scope", a.Scope)
	} else {
		w.str("scope", strings.Join(a.Scope, " "))
	}
	w.date("nbf", a.NotBefore)
	w.date("auth_time", a.AuthTime)
	w.str("acr", a.ACR)
	w.list("amr", a.AMR)
	w.str("sid", a.SessionID)
	w.str("grant_id", a.GrantID)
	w.actors(a.Actors)
	w.list("roles", a.Roles)
	w.extra(a.Extra)
	if w.err != nil {
		return nil, w.err
	}
	return append(w.out, '}'), nil
}

// check is what holds for every access token, written or read.
func (a *AccessToken) check() error {
	switch {
	case a.Issuer == "" || a.Subject == "" || a.ClientID == "" || a.ID == "":
		return refuse(ErrMalformed, "iss, sub, client_id or jti is missing")
	case len(a.Audience) == 0 || slices.Contains(a.Audience, ""):
		return refuse(ErrMalformed, "aud is missing")
	case a.ExpiresAt.IsZero() || a.IssuedAt.IsZero():
		return refuse(ErrMalformed, "exp or iat is missing")
	case !a.ExpiresAt.After(a.IssuedAt):
		return refuse(ErrMalformed, "exp is not after iat")
	case len(a.Actors) > maxActors:
		return refuse(ErrMalformed, "act is too long a chain")
	}
	for _, scope := range a.Scope {
		if !scopeToken(scope) {
			return refuse(ErrMalformed, "scope has a value that is no scope token")
		}
	}
	return nil
}

// scopeToken: printable ASCII without space, quote and backslash (RFC 6749
// §3.3). One with a space in it, from an array, would be two once joined.
func scopeToken(scope string) bool {
	for _, c := range []byte(scope) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return scope != ""
}

// claimWriter writes a JSON object member by member, without reflection.
type claimWriter struct {
	out []byte
	err error
}

func (w *claimWriter) name(name string) {
	if len(w.out) == 0 {
		w.out = append(w.out, '{')
	} else {
		w.out = append(w.out, ',')
	}
	w.quote(name)
	w.out = append(w.out, ':')
}

func (w *claimWriter) str(name, value string) {
	if value != "" {
		w.name(name)
		w.quote(value)
	}
}

func (w *claimWriter) date(name string, value time.Time) {
	if !value.IsZero() {
		w.name(name)
		w.out = strconv.AppendInt(w.out, value.Unix(), 10)
	}
}

func (w *claimWriter) list(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.name(name)
	for i, value := range values {
		if i == 0 {
			w.out = append(w.out, '[')
		} else {
			w.out = append(w.out, ',')
		}
		w.quote(value)
	}
	w.out = append(w.out, ']')
}

// actors nests each actor into the one after it (RFC 8693 §4.1).
func (w *claimWriter) actors(actors []string) {
	if len(actors) == 0 {
		return
	}
	w.name("act")
	for i, actor := range actors {
		if i > 0 {
			w.out = append(w.out, `,"act":`...)
		}
		w.out = append(w.out, `{"sub":`...)
		w.quote(actor)
	}
	w.out = append(w.out, strings.Repeat("}", len(actors))...)
}

func (w *claimWriter) extra(claims map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if Reserved(name) {
			continue
		}
		value, err := json.Marshal(claims[name])
		if err != nil {
			w.err = fmt.Errorf("%w: claim %q: %w", ErrMalformed, name, err)
			return
		}
		w.name(name)
		w.out = append(w.out, value...)
	}
}

// quote writes a JSON string (RFC 8259 §7).
func (w *claimWriter) quote(s string) {
	if !utf8.ValidString(s) {
		w.err = refuse(ErrMalformed, "a claim is not valid UTF-8")
		return
	}
	const hexDigits = "0123456789abcdef"
	w.out = append(w.out, '"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			w.out = append(w.out, '\\', c)
		case c < ' ':
			w.out = append(w.out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		default:
			w.out = append(w.out, c)
		}
	}
	w.out = append(w.out, '"')
}
