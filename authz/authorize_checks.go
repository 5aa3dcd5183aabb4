package authz

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gatewright/gatewright/authz/oauth"
)

// authorizeChecks run in this order once client and redirect URI are known; the first that fails
// redirects its error. Each one reads its parameters and writes what it found into the request.
var authorizeChecks = []struct {
	name string
	run  func(*Server, *client, oauth.Params, *authorizationRequest) error
}{
	{"response_type", checkResponseType},
	{"unsupported parameters", checkUnsupported},
	{"scope", checkScope},
	{"resource", checkResource},
	{"pkce", checkPKCE},
	{"prompt", checkPrompt},
	{"max_age", checkMaxAge},
	{"nonce", checkNonce},
	{"acr_values", checkACRValues},
	{"hints", checkHints},
	{"claims", checkClaims},
	{"revocation_id", checkDevice},
}

// checkUnsupported refuses by name what OpenID Connect Core §3.1.2.6 gives a name for.
func checkUnsupported(_ *Server, _ *client, p oauth.Params, _ *authorizationRequest) error {
	if p.Has("registration") {
		return oauth.Errorf(oauth.RegistrationNotSupported, "registration is not supported")
	}
	return nil
}

// checkResponseType comes first: with response_mode it decides where an error goes.
func checkResponseType(s *Server, c *client, p oauth.Params, req *authorizationRequest) error {
	asked := canonicalResponseType(p.Get("response_type"))
	if responseTypes[asked] != nil {
		req.ResponseType = asked
	}
	if err := chooseResponseMode(p.Get("response_mode"), req); err != nil {
		return err
	}
	switch {
	case asked == "":
		return oauth.Errorf(oauth.InvalidRequest, "response_type is missing")
	case req.ResponseType == "":
		return oauth.Errorf(oauth.UnsupportedResponseType, "response_type is unknown")
	case !s.mayRespond(c, asked):
		return oauth.Errorf(oauth.UnauthorizedClient, "the client may not use this response_type")
	case req.RedirectURI == oauth.OOB && asked != responseCode:
		return oauth.Errorf(oauth.InvalidRequest, "a code can be shown on a page, a token can't")
	}
	return nil
}

// chooseResponseMode lets the client choose how to be answered, but for tokens in a query (OAuth 2.0
// Multiple Response Types §2.1).
func chooseResponseMode(mode string, req *authorizationRequest) error {
	if req.inFront() {
		req.ResponseMode = "fragment" // errors too (RFC 6749 §4.2.2.1)
	}
	switch {
	case mode == "":
		return nil
	case mode == "query" && req.inFront():
		return oauth.Errorf(oauth.InvalidRequest, "response_mode query is not for tokens")
	case mode == "form_post" && link(req.RedirectURI) == "":
		return oauth.Errorf(oauth.InvalidRequest, "response_mode form_post is for redirect URIs of the web")
	case mode == "query" || mode == "fragment" || mode == "form_post":
		req.ResponseMode = mode
		return nil
	default:
		return oauth.Errorf(oauth.InvalidRequest, "response_mode is not one of query, fragment, form_post")
	}
}

func checkScope(_ *Server, c *client, p oauth.Params, req *authorizationRequest) error {
	asked, err := oauth.ParseScope(p.Get("scope"))
	if err != nil {
		return err
	}
	req.Scope = c.grantable(asked)
	if req.responds(responseIDToken) && !slices.Contains(req.Scope, ScopeOpenID) {
		return oauth.Errorf(oauth.InvalidScope, "an ID token needs the scope openid")
	}
	return nil
}

// checkResource finds out already here whether a token could be minted (R13).
func checkResource(s *Server, c *client, p oauth.Params, req *authorizationRequest) error {
	named, err := s.requestedResource(p)
	if err != nil {
		return err
	}
	if named != nil {
		req.Resource = named.Name
	}
	_, err = s.chooseResource(named, c, req.Scope)
	return err
}

// checkPKCE applies RFC 7636 §4.4.1 and A22: a missing method means plain, and plain is for clients
// that were configured for it.
func checkPKCE(_ *Server, c *client, p oauth.Params, req *authorizationRequest) error {
	req.CodeChallenge, req.CodeChallengeMethod = p.Get("code_challenge"), p.Get("code_challenge_method")
	switch {
	case req.CodeChallenge == "" && req.CodeChallengeMethod != "":
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge_method without code_challenge")
	case req.CodeChallenge == "" && c.RequirePKCE && req.responds(responseCode):
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge is required for this client (RFC 7636)")
	case req.CodeChallenge == "":
		return nil
	}
	if req.CodeChallengeMethod == "" {
		req.CodeChallengeMethod = oauth.ChallengePlain
	}
	switch {
	case req.CodeChallengeMethod == oauth.ChallengePlain && !c.PlainPKCE:
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge_method must be S256")
	case req.CodeChallengeMethod != oauth.ChallengePlain && req.CodeChallengeMethod != oauth.ChallengeS256:
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge_method must be S256")
	case !oauth.ValidVerifier(req.CodeChallenge):
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge is malformed")
	}
	return nil
}

func checkPrompt(_ *Server, _ *client, p oauth.Params, req *authorizationRequest) error {
	req.Prompt = strings.Fields(p.Get("prompt"))
	for _, value := range req.Prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, value) {
			return oauth.Errorf(oauth.InvalidRequest, "prompt holds an unknown value")
		}
	}
	if req.prompts("none") && len(req.Prompt) > 1 {
		return oauth.Errorf(oauth.InvalidRequest, "prompt none stands alone")
	}
	return nil
}

// checkMaxAge falls back to what the client registered (OpenID Connect Dynamic Client Registration §2).
func checkMaxAge(_ *Server, c *client, p oauth.Params, req *authorizationRequest) error {
	if !p.Has("max_age") {
		req.MaxAge = c.DefaultMaxAge
		return nil
	}
	seconds, err := strconv.Atoi(p.Get("max_age"))
	if err != nil || seconds < 0 || seconds > math.MaxInt32 || p.Get("max_age")[0] == '+' {
		return oauth.Errorf(oauth.InvalidRequest, "max_age is not a number of seconds")
	}
	req.MaxAge = &seconds
	return nil
}

// maxEcho bounds what a client may have carried through, in bytes: it all has to fit in a URL.
const maxEcho = 2 << 10

// checkACRValues reads which contracts the client would like, the best one first (OpenID Connect Core
// §3.1.2.1), or the ones it registered. It is a wish: a list that is too long is none.
func checkACRValues(_ *Server, c *client, p oauth.Params, req *authorizationRequest) error {
	if !p.Has("acr_values") {
		req.ACRValues = c.DefaultACRValues
		return nil
	}
	if values := p.Get("acr_values"); len(values) <= maxEcho {
		req.ACRValues = strings.Fields(values)
	}
	return nil
}

// checkNonce wants one where an ID token comes through the browser (OpenID Connect Core §3.2.2.1).
func checkNonce(_ *Server, _ *client, p oauth.Params, req *authorizationRequest) error {
	req.Nonce = p.Get("nonce")
	switch {
	case req.Nonce == "" && req.responds(responseIDToken):
		return oauth.Errorf(oauth.InvalidRequest, "nonce is missing")
	case len(req.Nonce) > maxEcho:
		return oauth.Errorf(oauth.InvalidRequest, "nonce is too long")
	}
	return nil
}

// maxHint bounds what a request may put on our pages, in bytes.
const maxHint = 256

// checkHints reads who the client thinks will sign in (OpenID Connect Core §3.1.2.1). An ID token
// may have expired, but it is one of ours for this client.
func checkHints(s *Server, c *client, p oauth.Params, req *authorizationRequest) error {
	if hint := p.Get("login_hint"); len(hint) <= maxHint {
		req.LoginHint = hint
	}
	if !p.Has("id_token_hint") {
		return nil
	}
	audience, subject, err := s.readHint(p.Get("id_token_hint"))
	if err == nil && audience != c.ID {
		err = errOtherClient
	}
	if err != nil {
		return oauth.Errorf(oauth.InvalidRequest, "id_token_hint is not an ID token of this server for this client").Because(err)
	}
	req.Subjects = []string{subject}
	return nil
}
