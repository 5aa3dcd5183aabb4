package authz

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users"
)

// What an authorization response may hold (OAuth 2.0 Multiple Response Types).
const (
	responseCode    = "code"
	responseToken   = "token"
	responseIDToken = "id_token"
	responseNone    = "none"
)

// responseTypes are the combinations that are defined, each spelled in one order, with the grant
// types a client needs for them.
var responseTypes = map[string][]string{
	"code":                {GrantAuthorizationCode},
	"token":               {GrantImplicit},
	"id_token":            {GrantImplicit},
	"id_token token":      {GrantImplicit},
	"code id_token":       {GrantAuthorizationCode, GrantImplicit},
	"code token":          {GrantAuthorizationCode, GrantImplicit},
	"code id_token token": {GrantAuthorizationCode, GrantImplicit},
	"none":                {GrantAuthorizationCode},
}

// canonicalResponseType sorts the values: their order means nothing (OAuth 2.0 Multiple Response
// Types §3).
func canonicalResponseType(s string) string {
	values := strings.Fields(s)
	slices.Sort(values)
	return strings.Join(values, " ")
}

// mayRespond tells whether server and client allow a response type: the client's own list decides
// where there is one, else its grant types do.
func (s *Server) mayRespond(c *client, responseType string) bool {
	for _, grantType := range responseTypes[responseType] {
		if !slices.Contains(s.cfg.GrantTypes, grantType) || !c.allowsGrant(grantType) {
			return false
		}
	}
	for value, kind := range map[string]TokenType{responseCode: CodeType, responseToken: AccessTokenType, responseIDToken: IDTokenType} {
		if slices.Contains(strings.Fields(responseType), value) && !s.mayHave(c, kind) {
			return false
		}
	}
	return len(c.ResponseTypes) == 0 || slices.Contains(c.ResponseTypes, responseType)
}

func holdsIDToken(responseType string) bool {
	return slices.Contains(strings.Fields(responseType), responseIDToken)
}

// responds tells whether the answer is to hold a value.
func (req *authorizationRequest) responds(value string) bool {
	return slices.Contains(strings.Fields(req.ResponseType), value)
}

// inFront tells whether tokens come from the authorization endpoint itself: never in a query, which
// ends up in logs and histories.
func (req *authorizationRequest) inFront() bool {
	return req.responds(responseToken) || req.responds(responseIDToken)
}

// complete ends an authorization well: the client gets what it asked for (RFC 6749 §4.1.2, §4.2.2,
// OpenID Connect Core §3.2.2.5, §3.3.2.5).
func (s *Server) complete(w http.ResponseWriter, r *http.Request, ix *interaction, c *client, session *session, user *users.User, scope []string) {
	req := &ix.Request
	how := s.howSignedIn(ix, c, session)
	if how == nil { // it took too long meanwhile
		s.toPage(w, r, pathLogin, ix)
		return
	}
	err := s.keepClient(r.Context(), c)
	var values url.Values
	if err == nil {
		values, err = s.authorizationResponse(r.Context(), ix, c, session, user, scope, *how)
	}
	if err != nil {
		s.redirectError(w, r, req, err)
		return
	}
	s.observe(r, Event{Name: "authorized", ClientID: req.ClientID, Subject: session.Subject, Grant: req.ResponseType})
	s.respond(w, r, req, values)
}

// howSignedIn is the contract by which the session is enough for the request; nil: none any more.
func (s *Server) howSignedIn(ix *interaction, c *client, session *session) *authContext {
	wanted := s.contractFor(c, &ix.Request)
	if wanted == nil {
		return nil
	}
	by := s.satisfied(wanted, session.Proofs, ix)
	if by == nil {
		return nil
	}
	how := by.context(session.Proofs)
	return &how
}

func (s *Server) authorizationResponse(ctx context.Context, ix *interaction, c *client, session *session, user *users.User, scope []string, how authContext) (url.Values, error) {
	req, values := &ix.Request, url.Values{}
	a := &Authorization{
		client: c, user: user, scope: scope, format: c.TokenFormat, grantID: oauth.NewID(), sid: session.SID, nonce: req.Nonce, claims: req.Claims,
		asked: ix.asked, authContext: how,
	}
	if req.responds(responseCode) {
		code, err := s.issueCode(ctx, req, session, a)
		if err != nil {
			return nil, err
		}
		values.Set("code", code)
	}
	if !req.inFront() {
		return values, nil
	}
	var err error
	if a.resource, err = s.chooseResource(s.resourceNamed(req.Resource), c, scope); err != nil {
		return nil, err
	}
	a.named = req.Resource != ""
	if err := s.addTokens(ctx, req, a, values); err != nil {
		return nil, err
	}
	if s.sessionRevoked(&session.sessionRecord) || s.revokedSince(a) {
		return nil, oauth.Errorf(oauth.AccessDenied, "the login was revoked").Because(errRevoked)
	}
	return values, nil
}

func (s *Server) addTokens(ctx context.Context, req *authorizationRequest, a *Authorization, values url.Values) error {
	now := s.now()
	if req.responds(responseToken) {
		raw, expires, err := s.mintAccessToken(ctx, a, now)
		if err != nil {
			return fmt.Errorf("access token for %s: %w", a.resource.Name, err)
		}
		values.Set("access_token", raw)
		values.Set("token_type", "Bearer")
		values.Set("expires_in", strconv.FormatInt(int64(expires.Sub(now)/time.Second), 10))
		values.Set("scope", oauth.FormatScope(a.scope))
	}
	if req.responds(responseIDToken) {
		raw, err := s.mintIDToken(ctx, a, now, idTokenParts{
			accessToken: values.Get("access_token"),
			code:        values.Get("code"),
			state:       req.State,
			// Without an access token there is no userinfo to ask (OpenID Connect Core §5.4).
			allClaims: req.ResponseType == responseIDToken,
		})
		if err != nil {
			return fmt.Errorf("ID token: %w", err)
		}
		values.Set("id_token", raw)
	}
	return nil
}

// issueCode stores what a code stands for (RFC 6749 §4.1.2).
func (s *Server) issueCode(ctx context.Context, req *authorizationRequest, session *session, a *Authorization) (string, error) {
	code := oauth.NewSecret()
	rec := &codeRecord{
		GrantID:          a.grantID,
		Expires:          s.now().Add(a.client.Lifetimes.Code),
		ClientID:         req.ClientID,
		RedirectURI:      req.RedirectURI,
		RedirectURIGiven: req.RedirectURIGiven,
		Challenge:        req.CodeChallenge,
		ChallengeMethod:  req.CodeChallengeMethod,
		Subject:          session.Subject,
		Stamp:            session.Stamp,
		SID:              session.SID,
		AuthTime:         a.authTime,
		ACR:              a.acr,
		AMR:              a.amr,
		Nonce:            req.Nonce,
		Scope:            a.scope,
		Resource:         req.Resource,
		Gate:             req.Gate,
		Issued:           a.asked, // so that what ended meanwhile ends the code
		Device:           req.Device,
		Claims:           req.Claims,
	}
	if err := s.run.codes.Put(ctx, code, rec, rec.Expires); err != nil {
		return "", fmt.Errorf("code: %w", err)
	}
	return code, nil
}
