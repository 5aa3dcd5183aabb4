package authz

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatewright/gatewright/authz/oauth"
)

// Why a client is refused, for the log: the client hears the same for all of them (A43).
var (
	errNoClient      = errors.New("unknown client")
	errClientOff     = errors.New("client is disabled")
	errWrongSecret   = errors.New("wrong secret")
	errAuthMethod    = errors.New("authentication method is not the registered one")
	errSecretMissing = errors.New("secret is missing")
)

// clientCredentials are how a request presents its client.
type clientCredentials struct {
	id, secret string
	method     string
	assertion  string // in the place of a secret (RFC 7521 §4.2)
}

// authenticateClient finds out which client sends a form (RFC 6749 §2.3).
func (s *Server) authenticateClient(r *http.Request, p oauth.Params) (*client, error) {
	presented, err := presentedClient(r, p)
	if err != nil {
		return nil, err
	}
	return s.checkClient(r.Context(), presented)
}

// presentedClient reads the one way in which a client authenticates; two at once are refused (A42).
func presentedClient(r *http.Request, p oauth.Params) (clientCredentials, error) {
	basic, err := basicCredentials(r)
	if err != nil {
		return clientCredentials{}, err
	}
	if basic != nil {
		if p.Has("client_secret") || p.Has("client_assertion") || p.Has("client_id") && p.Get("client_id") != basic.id {
			return clientCredentials{}, oauth.Errorf(oauth.InvalidRequest, "a client authenticates in one way only")
		}
		return *basic, nil
	}
	switch {
	case p.Has("client_assertion") && p.Has("client_secret"):
		return clientCredentials{}, oauth.Errorf(oauth.InvalidRequest, "a client authenticates in one way only")
	case p.Has("client_assertion"):
		return assertedClient(p)
	case !p.Has("client_id"):
		return clientCredentials{}, oauth.Errorf(oauth.InvalidClient, "the client is not named")
	case p.Has("client_secret"):
		return clientCredentials{id: p.Get("client_id"), secret: p.Get("client_secret"), method: AuthPost}, nil
	default:
		return clientCredentials{id: p.Get("client_id"), method: AuthNone}, nil
	}
}

// basicCredentials reads `Authorization: Basic`, whose parts are form-encoded (RFC 6749 §2.3.1); nil
// when the header is not there.
func basicCredentials(r *http.Request) (*clientCredentials, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return nil, nil
	}
	malformed := oauth.Errorf(oauth.InvalidClient, "the Authorization header is malformed")
	user, password, ok := r.BasicAuth()
	if len(headers) > 1 || !ok {
		return nil, malformed
	}
	id, errID := url.QueryUnescape(user)
	secret, errSecret := url.QueryUnescape(password)
	if errID != nil || errSecret != nil {
		return nil, malformed
	}
	return &clientCredentials{id: id, secret: secret, method: AuthBasic}, nil
}

// checkClient compares in constant time, and as much for an unknown client as for a known one.
func (s *Server) checkClient(ctx context.Context, presented clientCredentials) (*client, error) {
	refused := oauth.Errorf(oauth.InvalidClient, "client authentication failed")
	fingerprint := oauth.Fingerprint(presented.secret)
	c, err := s.findClient(ctx, presented.id)
	if err != nil {
		return nil, err
	}
	if c == nil || c == s.gate {
		oauth.SameSecret(fingerprint, unknownSecret)
		return nil, refused.Because(errNoClient)
	}
	jti := ""
	if presented.assertion != "" {
		jti, err = s.checkAssertion(ctx, c, presented.assertion)
		switch {
		case errors.Is(err, oauth.TemporarilyUnavailable):
			return nil, err
		case err != nil:
			return nil, refused.Because(err)
		}
		presented.method = c.AuthMethod
	}
	matches := presented.assertion != "" || c.knows(fingerprint, s.now())
	switch {
	case presented.method == AuthNone && !c.public():
		return nil, refused.Because(errSecretMissing)
	case presented.method != AuthNone && !matches:
		return nil, refused.Because(errWrongSecret)
	case c.AuthMethod != "" && c.AuthMethod != presented.method:
		return nil, refused.Because(errAuthMethod)
	case c.Disabled:
		return nil, refused.Because(errClientOff)
	}
	if presented.method == AuthNone {
		return c, s.admitNamed(c.ID)
	}
	if err := s.admitClient(c.ID); err != nil || jti == "" {
		return c, err
	}
	err = s.takeClientAssertion(ctx, c, jti) // after the count: whoever is told to wait has not used it
	if errors.Is(err, errAssertionReplay) {
		return nil, refused.Because(err)
	}
	return c, err
}

// unknownSecret stands in for the secret of a client that is not there.
var unknownSecret = oauth.Fingerprint(oauth.NewSecret())

// challengeClient adds what a 401 to a client needs (RFC 6749 §5.2).
func challengeClient(w http.ResponseWriter, e *oauth.Error) {
	if e.Code == oauth.InvalidClient {
		w.Header().Set("WWW-Authenticate", `Basic realm="client", charset="UTF-8"`)
	}
}

// bearerToken reads `Authorization: Bearer` (RFC 6750 §2.1), "" when there is none.
func bearerToken(r *http.Request) (string, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return "", nil
	}
	scheme, raw, found := strings.Cut(headers[0], " ")
	if len(headers) > 1 {
		return "", oauth.Errorf(oauth.InvalidRequest, "more than one Authorization header")
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	if raw = strings.TrimSpace(raw); !found || raw == "" {
		return "", oauth.Errorf(oauth.InvalidRequest, "the Authorization header is malformed")
	}
	return raw, nil
}
