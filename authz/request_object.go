package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatewright/gatewright/authz/fetch"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// requestLifetime is the longest for which a request object may be good (A31): whoever sees a URL with
// one could begin the same login again.
const requestLifetime = time.Hour

// typeRequestObject is the typ of RFC 9101 §10.8. OpenID Connect, which is older, asks for none.
const typeRequestObject = "oauth-authz-req+jwt"

// Why a request object is refused, for the log.
var (
	errObjectNeeded   = errors.New("the client is registered for signed request objects only")
	errObjectAlg      = errors.New("signed by another algorithm than the client registered")
	errObjectKeys     = errors.New("the client has no keys to verify it with")
	errObjectNested   = errors.New("a request object in a request object (RFC 9101 §4)")
	errObjectClient   = errors.New("client_id or iss is another client")
	errObjectOuter    = errors.New("response_type differs from that in the query (OpenID Connect Core §6.1)")
	errObjectAudience = errors.New("aud is not this server")
	errObjectSubject  = errors.New("sub is the client: it could be an assertion of the client's (RFC 9101 §10.8)")
	errObjectTime     = errors.New("expired, not valid yet, or good for more than an hour")
	errObjectMember   = errors.New("a member has a type that no parameter has")
	errObjectURI      = errors.New("the request_uri is not registered")
)

var errRequestObject = oauth.Errorf(oauth.InvalidRequestObject, "the request object is invalid")

// unpack replaces the parameters of a request by those of its request object, by value or by reference
// (OpenID Connect Core §6, RFC 9101). What else the request says is not used: nobody vouches for it.
func (s *Server) unpack(ctx context.Context, c *client, outer oauth.Params) (oauth.Params, error) {
	raw := outer.Get("request")
	switch {
	case outer.Has("request") && outer.Has("request_uri"):
		return nil, oauth.Errorf(oauth.InvalidRequest, "request and request_uri exclude each other")
	case outer.Has("request_uri"):
		var err error
		if raw, err = s.fetchRequestObject(ctx, c, outer.Get("request_uri")); err != nil {
			return nil, err
		}
	case raw == "" && c.RequireSignedRequest:
		return nil, oauth.Errorf(oauth.InvalidRequest, "the client has to sign its requests").Because(errObjectNeeded)
	case raw == "":
		return outer, nil
	}
	claims, err := s.openRequestObject(ctx, c, raw)
	if err == nil {
		err = s.checkRequestObject(c, outer, claims)
	}
	switch {
	case errors.Is(err, oauth.TemporarilyUnavailable):
		return nil, err
	case err != nil:
		return nil, errRequestObject.Because(err)
	}
	inner, err := requestParams(claims)
	if err != nil {
		return nil, errRequestObject.Because(err)
	}
	inner["client_id"] = []string{c.ID}
	return inner, nil
}

// fetchRequestObject gets a request object from an address that is registered for the client. A fragment
// is there for caches (OpenID Connect Core §6.2), and nothing is cached here.
func (s *Server) fetchRequestObject(ctx context.Context, c *client, uri string) (string, error) {
	refused := oauth.Errorf(oauth.InvalidRequestURI, "the request_uri can't be used")
	uri, _, _ = strings.Cut(uri, "#")
	registered := func(known string) bool {
		known, _, _ = strings.Cut(known, "#")
		return known == uri
	}
	if !slices.ContainsFunc(c.RequestURIs, registered) {
		return "", refused.Because(errObjectURI)
	}
	document, err := c.fetch.objects.Get(ctx, uri, fetch.MaxDocument)
	if errors.Is(err, fetch.ErrBusy) {
		return "", oauth.Errorf(oauth.TemporarilyUnavailable, "too many request objects are being fetched").Because(err)
	}
	if err != nil {
		return "", refused.Because(err)
	}
	return strings.TrimSpace(string(document)), nil
}

// openRequestObject decrypts and verifies, and reads the claims.
func (s *Server) openRequestObject(ctx context.Context, c *client, raw string) (map[string]any, error) {
	if token.IsJWE(raw) {
		signed, err := s.run.encryption.decrypter.Decrypt(raw)
		if err != nil {
			return nil, err
		}
		raw = signed
	}
	payload, err := s.verifyRequestObject(ctx, c, raw)
	if err != nil {
		return nil, err
	}
	return token.Claims(payload)
}

func (s *Server) verifyRequestObject(ctx context.Context, c *client, raw string) ([]byte, error) {
	alg, err := token.Algorithm(raw)
	switch {
	case err != nil:
		return nil, err
	case alg == string(AlgNone) && c.RequireSignedRequest:
		return nil, errObjectNeeded
	case c.RequestObjectAlg != "" && alg != string(c.RequestObjectAlg):
		return nil, errObjectAlg
	case alg == string(AlgNone):
		return token.Unsigned(raw, "", "JWT", typeRequestObject)
	case hmacAlgorithms[c.RequestObjectAlg] != 0: // only by the registered word: else a leaked secret would sign, too
		return c.verifyHMAC(raw, s.now(), "", "JWT", typeRequestObject)
	}
	return c.verify(ctx, raw, "", "JWT", typeRequestObject)
}

// verify checks what a client signed.
func (c *client) verify(ctx context.Context, raw string, typ ...string) ([]byte, error) {
	if c.signing == nil {
		return nil, errObjectKeys
	}
	return verifyWith(ctx, c.signing, raw, typ...)
}

// checkRequestObject judges what the object says of itself (RFC 9101 §5, §10.8; A31).
func (s *Server) checkRequestObject(c *client, outer oauth.Params, claims map[string]any) error {
	for _, name := range []string{"request", "request_uri"} {
		if _, nested := claims[name]; nested {
			return errObjectNested
		}
	}
	for _, name := range []string{"client_id", "iss"} {
		if value, there := claims[name]; there && value != c.ID {
			return errObjectClient
		}
	}
	if audience, there := claims["aud"]; there && !s.isAudience(audience) {
		return errObjectAudience
	}
	if claims["sub"] == c.ID {
		return errObjectSubject
	}
	inner, _ := claims["response_type"].(string)
	if outer.Has("response_type") && canonicalResponseType(inner) != canonicalResponseType(outer.Get("response_type")) {
		return errObjectOuter
	}
	return checkTimes(claims, s.now())
}

// isAudience tells whether aud, a string or an array, names this server.
func (s *Server) isAudience(aud any) bool {
	if list, several := aud.([]any); several {
		return slices.Contains(list, any(s.cfg.Issuer))
	}
	return aud == any(s.cfg.Issuer)
}

// checkTimes bounds the life of what somebody signed for this server, by those of its times that it has.
func checkTimes(claims map[string]any, now time.Time) error {
	times := make(map[string]time.Time)
	for _, name := range []string{"exp", "nbf", "iat"} {
		value, there := claims[name]
		if !there {
			continue
		}
		at, ok := numericDate(value)
		if !ok {
			return errObjectTime
		}
		times[name] = at
	}
	early, late := now.Add(-leeway), now.Add(leeway)
	exp, expires := times["exp"]
	switch {
	case expires && (!exp.After(early) || exp.After(late.Add(requestLifetime))),
		times["nbf"].After(late), times["iat"].After(late):
		return errObjectTime
	}
	for _, name := range []string{"nbf", "iat"} {
		from, there := times[name]
		if there && (from.Before(early.Add(-requestLifetime)) || expires && exp.Sub(from) > requestLifetime) {
			return errObjectTime
		}
	}
	return nil
}

// numericDate reads a date (RFC 7519 §2).
func numericDate(claim any) (time.Time, bool) {
	number, ok := claim.(json.Number)
	seconds, err := number.Float64()
	if !ok || err != nil || seconds < 0 || seconds > maxSeconds {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// authorizeParameters are those that authorizeChecks read. Members of other names are ignored, whatever they
// hold (RFC 6749 §3.1), and so are those that speak of the object itself (RFC 7519 §4.1).
var authorizeParameters = []string{
	"response_type", "response_mode", "redirect_uri", "scope", "state", "nonce", "prompt", "max_age", "ui_locales",
	"id_token_hint", "login_hint", "acr_values", "claims", "registration", "code_challenge", "code_challenge_method", "resource",
	"resourceServer", "revocation_id", "device_id",
}

// requestParams turns members into the parameters that they stand for: numbers and objects in their
// JSON spelling (OpenID Connect Core §6.1). One that is empty counts as left out.
func requestParams(claims map[string]any) (oauth.Params, error) {
	params := make(oauth.Params, len(claims))
	for name, value := range claims {
		if !slices.Contains(authorizeParameters, name) {
			continue
		}
		list, several := value.([]any)
		if !several || name != "resource" {
			list = []any{value}
		}
		for _, value := range list {
			text, err := paramText(value)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", name, err)
			}
			if text != "" {
				params[name] = append(params[name], text)
			}
		}
	}
	return params, nil
}

func paramText(value any) (string, error) {
	switch v := value.(type) {
	case string:
		if strings.ContainsRune(v, 0) {
			return "", errObjectMember
		}
		return v, nil
	case json.Number:
		return v.String(), nil
	case map[string]any:
		text, err := json.Marshal(v)
		return string(text), err
	default:
		return "", errObjectMember
	}
}

// refuseObject tells the client that its request object is no good, where the rest of the request says
// where to; else the person. Both say nothing of what a request_uri led to (A51).
func (s *Server) refuseObject(w http.ResponseWriter, r *http.Request, c *client, outer oauth.Params, err error) {
	req, noWay := s.identify(c, outer)
	if noWay != nil {
		s.errorPage(w, r, err, errorPageOptions{uiLocales: outer.Get("ui_locales"), client: c})
		return
	}
	_ = checkResponseType(s, c, outer, req) // for the mode of the answer
	s.log(r, "authorization refused", oauth.From(err))
	s.redirectError(w, r, req, err)
}

// requestObjectAlgorithms are those that request objects may be signed by.
func (s *Server) requestObjectAlgorithms() []jose.SignatureAlgorithm {
	all := append([]jose.SignatureAlgorithm{AlgNone}, token.SignatureAlgorithms()...)
	if s.anyClient(func(c *client) bool { return hmacAlgorithms[c.RequestObjectAlg] != 0 }) {
		all = append(all, jose.HS256, jose.HS384, jose.HS512)
	}
	return all
}

// prepareRequests checks how the client makes its authorization requests.
func (c *client) prepareRequests(cfg *Config) (err error) {
	bySecret := hmacAlgorithms[c.RequestObjectAlg] != 0
	switch alg := c.RequestObjectAlg; {
	case bySecret:
		if err := c.checkSecretFor(fmt.Sprintf("request_object signed %s", alg), alg); err != nil {
			return err
		}
	case alg != "" && alg != AlgNone && token.CheckSignature(alg) != nil:
		return fmt.Errorf("request_object signed %s is unknown", alg)
	}
	if c.RequireSignedRequest && c.RequestObjectAlg == AlgNone {
		return errors.New("request_object: none and required exclude each other")
	}
	for _, uri := range c.RequestURIs {
		if u, err := url.Parse(uri); err != nil || u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("request_uri %q must be an https URL", uri)
		}
	}
	if len(c.JWKS) > 0 || c.JWKSURL != "" {
		c.signing, err = newKeySet(c.keySource(cfg), token.NewClientVerifier)
		if errors.Is(err, token.ErrKey) && c.AuthMethod != AuthPrivateKeyJWT {
			c.signing, err = nil, nil // keys to encrypt to, and none to verify with
		}
	}
	if err == nil && c.signing == nil && !bySecret && (c.RequireSignedRequest || c.RequestObjectAlg != "" && c.RequestObjectAlg != AlgNone) {
		err = errors.New("request_object: signatures need jwks with a key that verifies them")
	}
	return err
}
