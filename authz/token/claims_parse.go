package token

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxLifetime is how far in the future the exp of an access token may lie.
	MaxLifetime = 366 * 24 * time.Hour
	// maxDate is the last second of the year 9999, in Unix time.
	maxDate = 253402300799
)

// ParseAccessToken reads the payload of a verified access token and checks its
// times. It takes exactly one JSON object, as strictly as Claims, in which iss,
// exp, aud, sub, client_id, iat and jti are there and every claim with a field
// has the type of that field (RFC 9068 §2.2, §4); aud, amr and roles may be a
// string or an array, scope a space-separated string or an array. Issuer and audience
// are for the caller to compare.
//
// The leeway is for clocks that differ; it is added on both ends. ErrExpired
// from exp plus leeway on; ErrNotYetValid while nbf or iat is later than now
// plus leeway; ErrMalformed for the rest, an exp beyond MaxLifetime included.
func ParseAccessToken(payload []byte, now time.Time, leeway time.Duration) (*AccessToken, error) {
	p, err := newParser(payload)
	if err != nil {
		return nil, err
	}
	r := &claimReader{parser: p}
	if err := p.document(r.member); err != nil {
		return nil, err
	}
	if err := r.token.check(); err != nil {
		return nil, err
	}
	if err := r.token.checkTimes(now, leeway); err != nil {
		return nil, err
	}
	return &r.token, nil
}

func (a *AccessToken) checkTimes(now time.Time, leeway time.Duration) error {
	latest := now.Add(leeway)
	switch {
	case a.ExpiresAt.After(latest.Add(MaxLifetime)):
		return refuse(ErrMalformed, "exp is too far in the future")
	case !now.Before(a.ExpiresAt.Add(leeway)):
		return refuse(ErrExpired, "exp")
	case a.NotBefore.After(latest):
		return refuse(ErrNotYetValid, "nbf")
	case a.IssuedAt.After(latest):
		return refuse(ErrNotYetValid, "iat")
	}
	return nil
}

// claimReader fills an AccessToken in one pass over the payload.
type claimReader struct {
	*parser
	token AccessToken
}

func (r *claimReader) member(name string) (err error) {
	t := &r.token
	switch name {
	case "iss":
		t.Issuer, err = r.str()
	case "sub":
		t.Subject, err = r.str()
	case "aud":
		t.Audience, err = r.strings()
	case "client_id":
		t.ClientID, err = r.str()
	case "jti":
		t.ID, err = r.str()
	case "exp":
		t.ExpiresAt, err = r.date()
	case "iat":
		t.IssuedAt, err = r.date()
	case "nbf":
		t.NotBefore, err = r.date()
	case "auth_time":
		t.AuthTime, err = r.date()
	case "acr":
		t.ACR, err = r.str()
	case "amr":
		t.AMR, err = r.strings()
	case "sid":
		t.SessionID, err = r.str()
	case "grant_id":
		t.GrantID, err = r.str()
	case "scope":
		err = r.scope()
	case "act":
		err = r.actor()
	case "roles":
		t.Roles, err = r.strings()
	default:
		err = r.extra(name)
	}
	return err
}

func (r *claimReader) extra(name string) error {
	value, err := r.value()
	if r.token.Extra == nil {
		r.token.Extra = make(map[string]any)
	}
	r.token.Extra[name] = value
	return err
}

func (r *claimReader) scope() (err error) {
	if r.peek() == '[' {
		r.token.ScopeAsArray = true
		r.token.Scope, err = r.strings()
		return err
	}
	text, err := r.str()
	if text != "" {
		r.token.Scope = strings.Split(text, " ")
	}
	return err
}

// actor reads one act and, as it comes along, those inside it. An actor is
// named by its sub, or by its client_id if it has none.
func (r *claimReader) actor() error {
	t := &r.token
	at := len(t.Actors)
	t.Actors = append(t.Actors, "")
	var clientID string
	err := r.object(func(name string) (err error) {
		switch name {
		case "sub":
			t.Actors[at], err = r.str()
		case "client_id":
			clientID, err = r.str()
		case "act":
			err = r.actor()
		default:
			_, err = r.value()
		}
		return err
	})
	if err != nil {
		return err
	}
	if t.Actors[at] == "" {
		t.Actors[at] = clientID
	}
	if t.Actors[at] == "" {
		return refuse(ErrMalformed, "act names nobody")
	}
	return nil
}

func (r *claimReader) date() (time.Time, error) {
	number, err := r.number()
	if err != nil {
		return time.Time{}, err
	}
	return numericDate(number)
}

// numericDate reads a NumericDate (RFC 7519 §2): seconds since 1970, between
// there and the year 9999, a fraction dropped.
func numericDate(number json.Number) (time.Time, error) {
	seconds, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		// A fraction or an exponent, which are allowed though nobody sends them.
		float, err := strconv.ParseFloat(string(number), 64)
		if err != nil || float < 0 || float > maxDate {
			return time.Time{}, refuse(ErrMalformed, "date is out of range")
		}
		seconds = int64(float)
	}
	if seconds < 0 || seconds > maxDate {
		return time.Time{}, refuse(ErrMalformed, "date is out of range")
	}
	return time.Unix(seconds, 0).UTC(), nil
}
