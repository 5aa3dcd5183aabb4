package authz

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users"
)

// Grant is one way to ask for a token. The client is authenticated and registered for the type
// already; what the grant answers is minted by issue.go.
type Grant interface {
	// Type is the grant_type as the configuration spells it.
	Type() string
	Authorize(ctx context.Context, r *TokenRequest) (*Authorization, error)
}

// TokenRequest is a token request after client authentication.
type TokenRequest struct {
	Params oauth.Params
	client *client
	scope  []string  // of the scope parameter
	named  *resource // by resource or resourceServer; nil: none
	// address is where the request comes from, for counting guesses.
	address string
	device  string // the client's name for the person's device, "" for none
	now     time.Time
}

// Authorization is what any grant comes to: who may have which tokens.
type Authorization struct {
	client   *client
	user     *users.User // nil where the client acts for itself
	scope    []string
	resource *resource
	// named tells that a request named the resource server, so that a refresh keeps to it (R8).
	named   bool
	grantID string
	device  string
	asked   time.Time // when the request for these tokens came; a revocation since then wins (A78)
	format  TokenFormat
	sid     string // of the ID token
	// bound ties the access token to the session too: it ends with it. Tokens of applications outlive a
	// logout, unless that is configured to revoke them (G10).
	bound  bool
	nonce  string
	claims *requestedClaims
	authContext
	actors []string
	// until bounds the tokens: nothing outlives its parent; zero: no bound.
	until time.Time
	// commit writes down what the grant changes and returns the refresh token to hand out, nil for none.
	// It comes last: a grant whose tokens can't be made changes nothing.
	commit func(ctx context.Context) (*refreshToken, error)
}

// enabledGrants is the list of grants this server serves; metadata and client checks follow it.
func (s *Server) enabledGrants() []Grant {
	all := []Grant{
		codeGrant{s},
		refreshGrant{s},
		clientCredentialsGrant{s},
		passwordGrant{s},
	}
	if s.saml != nil {
		all = append(all, saml2Grant{s})
	}
	if len(s.jwtIssuers) > 0 {
		all = append(all, jwtBearerGrant{s})
	}
	return slices.DeleteFunc(all, func(g Grant) bool { return !slices.Contains(s.cfg.GrantTypes, g.Type()) })
}

func (s *Server) grantEnabled(grantType string) bool {
	return slices.ContainsFunc(s.grants, func(g Grant) bool { return g.Type() == grantType })
}

// token is the token endpoint (RFC 6749 §3.2).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	params, err := oauth.ParseForm(r)
	if err != nil {
		s.tokenError(w, r, Event{}, err)
		return
	}
	event := Event{Grant: knownGrant(params.Get("grant_type"))}
	c, err := s.authenticateClient(r, params)
	if err != nil {
		s.tokenError(w, r, event, err)
		return
	}
	event.ClientID = c.ID
	s.allowOrigin(w, r, c)
	authorization, err := s.redeem(r, c, params)
	if err == nil {
		err = s.keepSpender(r.Context(), c)
	}
	if err != nil {
		s.tokenError(w, r, event, err)
		return
	}
	response, err := s.issue(r.Context(), authorization)
	if err != nil {
		s.tokenError(w, r, event, err)
		return
	}
	event.Name, event.Subject = "token_issued", authorization.subject()
	s.observe(r, event)
	writeJSON(w, http.StatusOK, response)
}

// redeem runs the grant that the request names.
func (s *Server) redeem(r *http.Request, c *client, params oauth.Params) (*Authorization, error) {
	name := params.Get("grant_type")
	if name == "" {
		return nil, oauth.Errorf(oauth.InvalidRequest, "grant_type is missing")
	}
	i := slices.IndexFunc(s.grants, func(g Grant) bool { return wireName(g.Type()) == name })
	if i < 0 {
		return nil, oauth.Errorf(oauth.UnsupportedGrantType, "grant_type is not supported")
	}
	if !c.allowsGrant(s.grants[i].Type()) {
		return nil, oauth.Errorf(oauth.UnauthorizedClient, "the client may not use this grant_type")
	}
	scope, err := oauth.ParseScope(params.Get("scope"))
	if err != nil {
		return nil, err
	}
	named, err := s.requestedResource(params)
	if err != nil {
		return nil, err
	}
	device, err := deviceParam(params)
	if err != nil {
		return nil, err
	}
	return s.grants[i].Authorize(r.Context(), &TokenRequest{
		Params: params, client: c, scope: scope, named: named, address: s.clientIP(r), device: device, now: s.now(),
	})
}

// authorization is what every grant has in common: the scopes that the client may have now, and the
// resource server for them. granted names the one that the grant is for, "" for none.
func (s *Server) authorization(r *TokenRequest, user *users.User, scope []string, granted string) (*Authorization, error) {
	scope = r.client.grantable(scope) // it may have lost some since they were granted
	target, named, err := s.target(r, granted, scope)
	if err != nil {
		return nil, err
	}
	return &Authorization{
		client: r.client, user: user, scope: scope, resource: target, named: named, format: r.client.TokenFormat, device: r.device, asked: r.now,
	}, nil
}

// target is the resource server of a token (R13). What the grant named stays (A33); where it named
// none, the request may (R5).
func (s *Server) target(r *TokenRequest, granted string, scope []string) (rs *resource, named bool, err error) {
	wanted := r.named
	if granted != "" {
		own := s.resourceNamed(granted)
		switch {
		case own == nil:
			return nil, false, oauth.Errorf(oauth.InvalidTarget, "the resource server is gone")
		case wanted != nil && wanted != own:
			return nil, false, oauth.Errorf(oauth.InvalidTarget, "the grant is for another resource server")
		}
		wanted = own
	}
	rs, err = s.chooseResource(wanted, r.client, scope)
	return rs, wanted != nil, err
}

func (s *Server) tokenError(w http.ResponseWriter, r *http.Request, event Event, err error) {
	e := oauth.From(err)
	s.log(r, "token refused", e)
	event.Name, event.Code = "token_refused", e.Code
	s.observe(r, event)
	challengeClient(w, e)
	writeError(w, e)
}

// knownGrant keeps what strangers send out of audit and statistics.
func knownGrant(name string) string {
	if i := slices.IndexFunc(knownGrantTypes, func(known string) bool { return wireName(known) == name }); i >= 0 {
		return knownGrantTypes[i]
	}
	return "other"
}

// subject is whom the tokens are about, for audit: the person, or the client that acts for itself.
func (a *Authorization) subject() string {
	if a.user == nil {
		return a.client.ID
	}
	return a.user.Subject
}
