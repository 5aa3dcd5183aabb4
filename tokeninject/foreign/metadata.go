package foreign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// fetchMetadata asks at both well-known places: that of OpenID Connect behind the issuer's path, that of
// RFC 8414 §3 before it.
func (d *Documents) fetchMetadata(ctx context.Context) (*metadata, error) {
	u, err := url.Parse(d.url)
	if err != nil {
		return nil, err
	}
	path := strings.TrimSuffix(u.Path, "/")
	var failures []error
	for _, at := range []string{path + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server" + path} {
		u.Path, u.RawPath = at, ""
		body, err := d.get(ctx, u.String(), "")
		if err == nil {
			return d.readMetadata(body)
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// readMetadata takes metadata of the issuer itself only (RFC 8414 §3.3): whoever can put a document there
// under another name could send everybody anywhere.
func (d *Documents) readMetadata(body []byte) (*metadata, error) {
	m := new(metadata)
	if err := json.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if m.Issuer != d.url {
		return nil, fmt.Errorf("metadata: it is that of %q", oauth.Clip(m.Issuer))
	}
	for name, endpoint := range map[string]string{
		"authorization_endpoint": m.Authorization, "token_endpoint": m.Token, "userinfo_endpoint": m.UserInfo,
		"introspection_endpoint": m.Introspection, "revocation_endpoint": m.Revocation,
		"end_session_endpoint": m.EndSession, "jwks_uri": m.JWKS,
	} {
		if endpoint == "" {
			continue
		}
		if err := d.checkEndpoint(endpoint); err != nil {
			return nil, fmt.Errorf("metadata: %s: %w", name, err)
		}
	}
	return m, nil
}

// checkEndpoint takes what is on this machine only of an issuer that is: others would have us speak to what
// nobody else can reach, such as Caddy's admin endpoint.
func (d *Documents) checkEndpoint(address string) error {
	if err := checkURL(address); err != nil {
		return err
	}
	if onLoopback(address) && !onLoopback(d.url) {
		return errors.New("it is on this machine, and the issuer is not")
	}
	return nil
}

func onLoopback(address string) bool {
	u, err := url.Parse(address)
	return err != nil || oauth.IsLoopback(u.Hostname())
}

// fetchKeys gets the issuer's JWKS.
func (d *Documents) fetchKeys(ctx context.Context) (*keySet, error) {
	began := d.now()
	m, err := d.metadata.get(ctx)
	if err != nil {
		return nil, err
	}
	if m.JWKS == "" {
		return nil, errors.New("metadata: there is no jwks_uri")
	}
	body, err := d.get(ctx, m.JWKS, "")
	if err != nil {
		return nil, err
	}
	keys, err := token.NewVerifier(body)
	return &keySet{keys, began}, err
}

// verify checks a signature by the issuer's keys; for one that is not at hand, newer ones are looked for. There
// are issuers that call a new key by the name of the old one. until is how long the keys count.
func (d *Documents) verify(ctx context.Context, raw string, typ ...string) (payload []byte, until time.Time, err error) {
	keys, err := d.keys.get(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	payload, err = keys.Verify(raw, typ...)
	if errors.Is(err, token.ErrUnknownKey) || errors.Is(err, token.ErrSignature) {
		newer, away := d.keys.newer(ctx)
		switch {
		case away != nil && errors.Is(err, token.ErrUnknownKey): // it may be a new one, and nobody can tell
			return nil, time.Time{}, away
		case away != nil || newer == keys:
			return nil, time.Time{}, err
		}
		keys = newer
		payload, err = keys.Verify(raw, typ...)
	}
	return payload, keys.counts(d.now()), err
}
