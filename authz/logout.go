package authz

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// endSession is the end session endpoint (OpenID Connect RP-Initiated Logout §2). It redirects only to
// a registered URI of the client that id_token_hint proves (E9): anything else would be an open
// redirect. No session counts as done.
func (s *Server) endSessionEndpoint(w http.ResponseWriter, r *http.Request) {
	params, err := authorizeParams(r)
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{})
		return
	}
	req, c, subject, err := s.logoutRequest(r.Context(), params)
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{uiLocales: params.Get("ui_locales")})
		return
	}
	session := s.signedIn(r)
	switch {
	case session == nil:
		s.loggedOut(w, r, req)
	case s.cfg.LogoutConsent == nil || *s.cfg.LogoutConsent || subject != s.subjectFor(c, session.Subject):
		// G7. Without a hint, or with one for somebody else, any site could sign people out.
		s.toPage(w, r, pathLogout, &interaction{ID: oauth.NewID(), Request: *req, Started: s.now(), Session: session.SID})
	default:
		s.signOut(w, r, req, session)
	}
}

// logoutRequest reads who asks and where to go afterwards; c and subject are what the hint tells.
func (s *Server) logoutRequest(ctx context.Context, p oauth.Params) (req *authorizationRequest, c *client, subject string, err error) {
	req = &authorizationRequest{ClientID: p.Get("client_id"), State: p.Get("state"), UILocales: p.Get("ui_locales")}
	if len(req.State) > maxEcho || len(req.UILocales) > maxHint {
		return nil, nil, "", oauth.Errorf(oauth.InvalidRequest, "state or ui_locales is too long")
	}
	hint := p.Get("id_token_hint")
	if hint == "" {
		return req, nil, "", nil
	}
	audience, subject, err := s.readHint(hint)
	if err != nil {
		return nil, nil, "", oauth.Errorf(oauth.InvalidRequest, "id_token_hint is not an ID token of this server").Because(err)
	}
	if req.ClientID != "" && req.ClientID != audience {
		return nil, nil, "", oauth.Errorf(oauth.InvalidRequest, "id_token_hint is of another client")
	}
	req.ClientID = audience
	if c, err = s.activeClient(ctx, audience); err != nil {
		return nil, nil, "", err
	}
	if uri := p.Get("post_logout_redirect_uri"); uri != "" && c != nil && slices.Contains(c.PostLogoutRedirectURIs, uri) {
		req.RedirectURI = uri
	}
	return req, c, subject, nil
}

// readHint reads an ID token of ours; it may have expired (OpenID Connect RP-Initiated Logout §2).
func (s *Server) readHint(raw string) (audience, subject string, err error) {
	payload, err := s.run.keys().Verifier().Verify(raw, "JWT")
	if err != nil {
		return "", "", err
	}
	claims, err := token.Claims(payload)
	if err != nil {
		return "", "", err
	}
	if claims["iss"] != s.cfg.Issuer {
		return "", "", errForeign
	}
	if _, there := claims["exp"]; !there { // what userinfo signs has none (A6)
		return "", "", errNoIDToken
	}
	audience, _ = claims["aud"].(string)
	subject, _ = claims["sub"].(string)
	return audience, subject, nil
}

var errNoIDToken = errors.New("signed by this server, but no ID token")

// logout is the page that asks whether to sign out (G7).
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		s.decideLogout(w, r)
		return
	}
	ix, err := s.openInteraction(r, pathLogout, r.URL.Query().Get("interaction"))
	if err != nil {
		s.lostLogout(w, r, err)
		return
	}
	session := s.signedIn(r)
	if session == nil || session.SID != ix.Session {
		s.loggedOut(w, r, &ix.Request)
		return
	}
	var ends []string
	if c, err := s.activeClient(r.Context(), ix.Request.ClientID); err == nil && c != nil {
		ends = []string{c.Name}
	}
	s.pages.render(w, r, http.StatusOK, logoutView{
		Clients:     ends,
		Action:      s.base + pathLogout,
		Interaction: s.seal(pathLogout, ix),
		CSRF:        s.csrf(pathLogout, ix),
		Username:    session.Username,
	}, s.logoutOptions(&ix.Request))
}

func (s *Server) decideLogout(w http.ResponseWriter, r *http.Request) {
	form, ix, err := s.openForm(r, pathLogout)
	if err != nil {
		s.lostLogout(w, r, err)
		return
	}
	session := s.signedIn(r)
	switch {
	case session == nil || session.SID != ix.Session:
		s.loggedOut(w, r, &ix.Request)
	case form.Get("decision") == "logout":
		s.signOut(w, r, &ix.Request, session)
	case form.Get("decision") == "stay":
		s.afterLogout(w, r, &ix.Request, loggedOutView{Stayed: true})
	default:
		s.errorPage(w, r, oauth.Errorf(oauth.InvalidRequest, "neither signed out nor stayed"), errorPageOptions{})
	}
}

// signOut ends the session, here and at every gate.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request, req *authorizationRequest, session *session) {
	err := s.endSession(r.Context(), session.SID)
	if err == nil {
		err = s.forgetSession(w, r, session)
	}
	if err != nil {
		s.errorPage(w, r, err, errorPageOptions{uiLocales: req.UILocales})
		return
	}
	s.observe(r, Event{Name: "logout", ClientID: req.ClientID, Subject: session.Subject})
	s.loggedOut(w, r, req)
}

// lostLogout answers where a page of the logout is none of this browser. It isn't after a logout, as whoever
// comes back to it then should hear.
func (s *Server) lostLogout(w http.ResponseWriter, r *http.Request, err error) {
	if s.signedIn(r) == nil {
		s.loggedOut(w, r, &authorizationRequest{})
		return
	}
	s.errorPage(w, r, err, errorPageOptions{})
}

func (s *Server) loggedOut(w http.ResponseWriter, r *http.Request, req *authorizationRequest) {
	s.afterLogout(w, r, req, loggedOutView{})
}

// afterLogout goes back to the client, or tells the person where nobody is to go back to.
func (s *Server) afterLogout(w http.ResponseWriter, r *http.Request, req *authorizationRequest, view loggedOutView) {
	if req.RedirectURI == "" {
		s.pages.render(w, r, http.StatusOK, view, pageOptions{UILocales: req.UILocales})
		return
	}
	target := req.RedirectURI
	if req.State != "" {
		target = appendParams(target, url.Values{"state": {req.State}}, false)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target, http.StatusSeeOther) // #nosec G710 -- a registered URI
}

// logoutOptions lets the form's redirect reach the client.
func (s *Server) logoutOptions(req *authorizationRequest) pageOptions {
	opts := pageOptions{UILocales: req.UILocales}
	if req.RedirectURI != "" {
		opts.FormAction = []string{req.RedirectURI}
	}
	return opts
}
