package authz

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
)

// pushedPrefix begins the request URIs of logins that a gate pushed in process (RFC 9126 §2.2).
const pushedPrefix = "urn:ietf:params:oauth:request_uri:"

// authorizationRequest is what a client asks for, after every check. It travels sealed through the
// login and consent pages.
type authorizationRequest struct {
	ClientID            string   `json:"client_id"`
	RedirectURI         string   `json:"redirect_uri"`
	RedirectURIGiven    bool     `json:"redirect_uri_given,omitempty"` // then the token request repeats it
	ResponseType        string   `json:"response_type"`
	ResponseMode        string   `json:"response_mode,omitempty"`
	State               string   `json:"state,omitempty"`
	Nonce               string   `json:"nonce,omitempty"`
	Scope               []string `json:"scope,omitempty"` // what the client may have of what it asked for
	CodeChallenge       string   `json:"code_challenge,omitempty"`
	CodeChallengeMethod string   `json:"code_challenge_method,omitempty"`
	Prompt              []string `json:"prompt,omitempty"`
	MaxAge              *int     `json:"max_age,omitempty"` // seconds
	ACRValues           []string `json:"acr_values,omitempty"`
	ACREssential        bool     `json:"acr_essential,omitempty"` // only one of ACRValues will do (OpenID Connect Core §5.5.1.1)
	LoginHint           string   `json:"login_hint,omitempty"`
	UILocales           string   `json:"ui_locales,omitempty"`
	// Subjects are the only ones the answer may be about, as the client knows them; empty: anybody.
	Subjects []string         `json:"subjects,omitempty"`
	Claims   *requestedClaims `json:"claims,omitempty"`
	Resource string           `json:"resource,omitempty"` // name of the resource server the request names
	Device   string           `json:"device,omitempty"`   // the client's name for the person's device
	// Persistent tells that the persistent cookie of the device is as good as credentials (C5).
	Persistent bool `json:"persistent,omitempty"`
	Gate       bool `json:"gate,omitempty"` // pushed by a gate of this process
}

// authorize is the authorization endpoint (RFC 6749 §3.1).
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	outer, err := authorizeParams(r)
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{})
		return
	}
	if uri := outer.Get("request_uri"); strings.HasPrefix(uri, pushedPrefix) {
		req, c, err := s.openPushed(r.Context(), outer.Get("client_id"), strings.TrimPrefix(uri, pushedPrefix))
		if err == nil {
			err = s.admitNamed(c.ID)
		}
		if err != nil {
			s.errorPage(w, r, err, errorPageOptions{uiLocales: outer.Get("ui_locales"), client: c})
			return
		}
		s.begin(w, r, outer, req)
		return
	}
	c, err := s.requestingClient(r.Context(), outer)
	if err == nil {
		err = s.admitNamed(c.ID)
	}
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{uiLocales: outer.Get("ui_locales"), client: c})
		return
	}
	params, err := s.unpack(r.Context(), c, outer)
	if err != nil {
		s.refuseObject(w, r, c, outer, err)
		return
	}
	s.judge(w, r, c, outer, params)
}

// judge lets a request begin that passes every check.
func (s *Server) judge(w http.ResponseWriter, r *http.Request, c *client, outer, params oauth.Params) {
	req, err := s.identify(c, params)
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{uiLocales: params.Get("ui_locales"), client: c})
		return
	}
	for _, check := range authorizeChecks {
		if err := check.run(s, c, params, req); err != nil {
			s.log(r, "authorization refused", oauth.From(err), zap.String("check", check.name))
			s.redirectError(w, r, req, err)
			return
		}
	}
	s.begin(w, r, outer, req)
}

// begin takes the first step of a request, with the session that the browser has.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, outer oauth.Params, req *authorizationRequest) {
	if query := url.Values(outer).Encode(); s.cookiesWithheld(r) && len(query) <= maxGet {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, s.base+pathAuthorize+"?"+query, http.StatusSeeOther) // #nosec G710 -- to ourselves
		return
	}
	now := s.now()
	ix := &interaction{ID: oauth.NewID(), Request: *req, Started: now, asked: now}
	if len(compactJSON(ix)) > maxRequest {
		s.redirectError(w, r, req, oauth.Errorf(oauth.InvalidRequest, "the request is too large"))
		return
	}
	s.proceed(w, r, ix, s.currentSession(r))
}

// maxGet is the longest query, in bytes, that any proxy may be trusted to pass on.
const maxGet = 4 << 10

// cookiesWithheld tells a form that another site posted, with which browsers send no SameSite=Lax cookie:
// who is signed in shows only after a redirect.
func (s *Server) cookiesWithheld(r *http.Request) bool {
	return r.Method == http.MethodPost && s.cookie(r, cookieBrowser) == "" && s.cookie(r, cookieSession) == ""
}

func authorizeParams(r *http.Request) (oauth.Params, error) {
	if r.Method == http.MethodPost {
		return oauth.ParseForm(r)
	}
	return oauth.ParseQuery(r)
}

// requestingClient finds the client. Until it and the redirect URI are known, an error must not redirect
// anywhere (RFC 6749 §4.1.2.1).
func (s *Server) requestingClient(ctx context.Context, p oauth.Params) (*client, error) {
	if !p.Has("client_id") {
		return nil, oauth.Errorf(oauth.InvalidRequest, "client_id is missing")
	}
	c, err := s.findClient(ctx, p.Get("client_id"))
	switch {
	case err != nil:
		return nil, err
	case c == nil || c == s.gate: // whose requests are pushed
		return nil, oauth.Errorf(oauth.InvalidClient, "no such client").Because(errUnknownClient)
	case c.Disabled:
		return c, oauth.Errorf(oauth.UnauthorizedClient, "the client is disabled").Because(errUnknownClient)
	}
	return c, nil
}

// identify finds where the answers go.
func (s *Server) identify(c *client, p oauth.Params) (*authorizationRequest, error) {
	uri, err := c.redirectURI(p.Get("redirect_uri"))
	if err != nil {
		return nil, err
	}
	if len(p.Get("state")) > maxEcho || len(p.Get("ui_locales")) > maxHint {
		return nil, oauth.Errorf(oauth.InvalidRequest, "state or ui_locales is too long")
	}
	return &authorizationRequest{
		ClientID:         c.ID,
		RedirectURI:      uri,
		RedirectURIGiven: p.Has("redirect_uri"),
		State:            p.Get("state"),
		UILocales:        p.Get("ui_locales"),
	}, nil
}

var (
	errUnknownClient    = errors.New("unknown or disabled client")
	errNotAdmitted      = errors.New("the client does not admit this person")
	errRedirectMismatch = errors.New("redirect_uri is not registered")
)

// redirectURI matches the requested URI byte for byte with the registered ones (A18); it may be left
// out where exactly one is registered.
func (c *client) redirectURI(requested string) (string, error) {
	if requested == "" {
		if len(c.RedirectURIs) != 1 {
			return "", oauth.Errorf(oauth.InvalidRequest, "redirect_uri is missing").Because(errRedirectMismatch)
		}
		return c.RedirectURIs[0], nil
	}
	for _, registered := range c.RedirectURIs {
		if oauth.MatchRedirectURI(registered, requested, c.Type == ClientNative) {
			return requested, nil
		}
	}
	return "", oauth.Errorf(oauth.InvalidRequest, "redirect_uri is not registered for this client").Because(errRedirectMismatch)
}

// proceed takes the request one step further: to the login page, the consent page, or back to the
// client with a code.
func (s *Server) proceed(w http.ResponseWriter, r *http.Request, ix *interaction, session *session) {
	req := &ix.Request
	c, err := s.stillKnown(r.Context(), req)
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{uiLocales: req.UILocales})
		return
	}
	wanted := s.contractFor(c, req)
	if wanted == nil {
		s.redirectError(w, r, req, errUnmet)
		return
	}
	if session == nil {
		if session, err = s.resume(w, r, req); err != nil {
			s.redirectError(w, r, req, err)
			return
		}
	}
	if session == nil || s.satisfied(wanted, session.Proofs, ix) == nil {
		if req.prompts("none") {
			s.redirectError(w, r, req, oauth.Errorf(oauth.LoginRequired, "the person is not signed in as the request asks"))
			return
		}
		s.toPage(w, r, pathLogin, ix)
		return
	}
	if !s.isAbout(c, req, session) {
		s.wrongPerson(w, r, ix, session)
		return
	}
	user, err := s.sessionUser(r.Context(), session)
	if err != nil {
		s.lostUser(w, r, ix, err)
		return
	}
	if !c.admits(user) {
		s.observe(r, Event{Name: "login_refused", ClientID: c.ID, Subject: user.Subject, Code: oauth.AccessDenied})
		s.notAdmitted(w, r, c, req)
		return
	}
	s.proceedToConsent(w, r, ix, c, session, user)
}

// isAbout tells whether the person signed in is the one that id_token_hint or a request for sub names.
func (s *Server) isAbout(c *client, req *authorizationRequest, session *session) bool {
	return len(req.Subjects) == 0 || slices.Contains(req.Subjects, s.subjectFor(c, session.Subject))
}

// wrongPerson gives the person that the request is about the chance to sign in. An answer about anybody
// else is forbidden (OpenID Connect Core §3.1.2.1, §5.5.1).
func (s *Server) wrongPerson(w http.ResponseWriter, r *http.Request, ix *interaction, session *session) {
	if ix.Request.prompts("none") || session.provenFor(ix) {
		s.redirectError(w, r, &ix.Request, oauth.Errorf(oauth.LoginRequired, "another person is signed in"))
		return
	}
	s.toPage(w, r, pathLogin, ix)
}

// notAdmitted tells a person that the client is not for them, with a way back on which the client
// hears access_denied (C22). A gate has a page of its own for it.
func (s *Server) notAdmitted(w http.ResponseWriter, r *http.Request, c *client, req *authorizationRequest) {
	denied := oauth.Errorf(oauth.AccessDenied, "this person may not use the application")
	if req.Gate || req.prompts("none") {
		s.redirectError(w, r, req, denied)
		return
	}
	s.errorPage(w, r, denied.Because(errNotAdmitted), errorPageOptions{
		uiLocales: req.UILocales,
		client:    c,
		back:      &backView{URI: req.RedirectURI, Mode: req.ResponseMode, Values: s.answer(req, errorValues(denied))},
	})
}

// stillKnown checks client and redirect URI again: the configuration may have changed since the
// request began, and a URI that was taken out must get nothing more.
func (s *Server) stillKnown(ctx context.Context, req *authorizationRequest) (*client, error) {
	c, err := s.activeClient(ctx, req.ClientID)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, oauth.Errorf(oauth.InvalidClient, "no such client").Because(errUnknownClient)
	}
	if req.Gate {
		return c, nil
	}
	_, err = c.redirectURI(req.RedirectURI)
	return c, err
}

func (req *authorizationRequest) prompts(value string) bool {
	return slices.Contains(req.Prompt, value)
}

// respond sends an authorization response to the client in the mode it asked for (OAuth 2.0 Multiple
// Response Types §2.1, OAuth 2.0 Form Post Response Mode).
func (s *Server) respond(w http.ResponseWriter, r *http.Request, req *authorizationRequest, values url.Values) {
	values = s.answer(req, values)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	c, _ := s.activeClient(r.Context(), req.ClientID) // a page can do without
	switch {
	case req.RedirectURI == oauth.OOB:
		s.pages.render(w, r, http.StatusOK, oobView{Client: s.clientView(c, req), Code: values.Get("code")}, s.pageOptions(c, req))
	case req.ResponseMode == "form_post":
		s.pages.render(w, r, http.StatusOK, newFormPost(req.RedirectURI, values), s.pageOptions(c, req))
	default:
		http.Redirect(w, r, appendParams(req.RedirectURI, values, req.ResponseMode == "fragment"), http.StatusSeeOther) // #nosec G710 -- registered for the client
	}
}

// answer adds what every authorization response has: state, and who answers (RFC 9207).
func (s *Server) answer(req *authorizationRequest, values url.Values) url.Values {
	values.Set("iss", s.cfg.Issuer)
	if req.State != "" {
		values.Set("state", req.State)
	}
	return values
}

// errorValues is an error as RFC 6749 §4.1.2.1 spells it.
func errorValues(e *oauth.Error) url.Values {
	values := url.Values{"error": {string(e.Code)}}
	if e.Description != "" {
		values.Set("error_description", e.Description)
	}
	return values
}

// appendParams adds parameters to a URI without touching what is there: it was registered that way.
func appendParams(uri string, values url.Values, fragment bool) string {
	separator := "?"
	switch {
	case fragment:
		separator = "#"
	case strings.HasSuffix(uri, "?"):
		separator = ""
	case strings.Contains(uri, "?"):
		separator = "&"
	}
	return uri + separator + values.Encode()
}

// redirectError tells the client what went wrong (RFC 6749 §4.1.2.1); a person without a client to go
// back to sees a page.
func (s *Server) redirectError(w http.ResponseWriter, r *http.Request, req *authorizationRequest, err error) {
	e := oauth.From(err)
	if e.Code == oauth.ServerError || e.Code == oauth.TemporarilyUnavailable {
		s.log(r, "authorization failed", e)
	}
	if req.RedirectURI == oauth.OOB {
		s.errorPage(w, r, e, errorPageOptions{uiLocales: req.UILocales})
		return
	}
	if c, _ := s.activeClient(r.Context(), req.ClientID); s.strayed(w, r, c, req, e) {
		return
	}
	s.respond(w, r, req, errorValues(e))
}

// isRemote tells a web address from what is on the person's own machine: a custom scheme, a loopback
// address, or a code carried by hand.
func isRemote(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.Scheme == "https" && !oauth.IsLoopback(u.Hostname())
}
