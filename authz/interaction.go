package authz

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/gatewright/gatewright/authz/oauth"
)

// interactionLifetime is how long a person may take over the pages of one authorization.
const interactionLifetime = 30 * time.Minute

// interaction is one authorization on its way through the pages. It travels sealed in the pages
// themselves, so that nobody can make the server store anything before signing in, and it is bound
// to the browser it began in (A27).
type interaction struct {
	ID      string               `json:"id"`
	Request authorizationRequest `json:"request"`
	Started time.Time            `json:"started"`
	// Browser is the fingerprint of the browser's own cookie.
	Browser string `json:"browser"`
	// Step is the method whose page this is.
	Step string `json:"step,omitempty"`
	// Enrol is the secret of an authenticator app that is being set up.
	Enrol string `json:"enrol,omitempty"`
	// Ceremony is the challenge of the page that asks for a passkey.
	Ceremony *webauthn.SessionData `json:"ceremony,omitempty"`
	// Recover: the person has no passkey at hand, and uses a recovery code after a password.
	Recover bool `json:"recover,omitempty"`
	// Adding: the page offers another passkey to somebody who may enrol it. What they proved may be used up since.
	Adding bool `json:"adding,omitempty"`
	// Evidence is what was proven for this request so far; nil: nothing.
	Evidence *evidence `json:"evidence,omitempty"`
	// Shown are the scopes on the consent page: exactly these can be agreed to (A28).
	Shown []string `json:"shown,omitempty"`
	// Session is the session that the page was made for.
	Session string `json:"session,omitempty"`

	asked time.Time // when the browser's present request came (A78)
}

// toPage sends the browser to a page of the flow, the interaction bound to it.
func (s *Server) toPage(w http.ResponseWriter, r *http.Request, path string, ix *interaction) {
	browser := s.cookie(r, cookieBrowser)
	if browser == "" {
		browser = oauth.NewSecret()
		s.setCookie(w, cookieBrowser, browser)
		// Of tabs that open at once in a new browser each comes here, and one cookie of that name stays.
		http.SetCookie(w, s.newCookie(tabCookie(ix), browser, int(interactionLifetime/time.Second)))
	}
	ix.Browser = oauth.Fingerprint(browser)
	w.Header().Set("Cache-Control", "no-store")
	target := s.base + path + "?" + url.Values{"interaction": {s.seal(path, ix)}}.Encode()
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// seal and open bind an interaction to the page it was made for: the proof of one step is none for
// another.
func (s *Server) seal(path string, ix *interaction) string {
	return s.run.interactions.Seal(compactJSON(ix), []byte(path))
}

// maxRequest bounds an authorization request, in bytes of JSON. Sealed it is a third longer, and what a person
// proves comes to it: browsers and servers take a URL that long.
const maxRequest = 12 << 10

// compactJSON is v without the escapes that are meant for HTML: they would make six bytes of one. v has texts
// and times, which can't fail.
func compactJSON(v any) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v)
	return text.Bytes()
}

// Why a page of the flow is refused.
var (
	errInteraction = errors.New("the page is not of a request in progress")
	errExpired     = errors.New("the page is too old")
	errBrowser     = errors.New("the page belongs to another browser, or cookies are off")
	errDecided     = errors.New("the page was answered already")
)

func pageError(why error) *oauth.Error { return oauth.Errorf(oauth.InvalidRequest, "").Because(why) }

func (s *Server) openInteraction(r *http.Request, path, sealed string) (*interaction, error) {
	if sealed == "" {
		return nil, pageError(errInteraction)
	}
	plain, err := s.run.interactions.Open(sealed, []byte(path))
	if err != nil {
		return nil, pageError(fmt.Errorf("%w: %w", errInteraction, err))
	}
	ix := &interaction{asked: s.now()}
	if err := json.Unmarshal(plain, ix); err != nil {
		return nil, pageError(fmt.Errorf("%w: %w", errInteraction, err))
	}
	if s.now().Sub(ix.Started) > interactionLifetime {
		return nil, pageError(errExpired)
	}
	if !s.ofBrowser(r, ix) {
		return nil, pageError(errBrowser)
	}
	return ix, nil
}

// ofBrowser tells whether an interaction began in the browser that a request comes from.
func (s *Server) ofBrowser(r *http.Request, ix *interaction) bool {
	for _, kind := range []string{cookieBrowser, tabCookie(ix)} {
		if browser := s.cookie(r, kind); browser != "" && oauth.Fingerprint(browser) == ix.Browser {
			return true
		}
	}
	return false
}

// tabCookie is cookieBrowser for one interaction.
func tabCookie(ix *interaction) string { return cookieBrowser + "-" + ix.ID[:min(8, len(ix.ID))] }

// openForm reads a posted page: its interaction, and the proof that the form came from a page of
// ours in this browser.
func (s *Server) openForm(r *http.Request, path string) (oauth.Params, *interaction, error) {
	params, err := oauth.ParseForm(r, "scope")
	if err != nil {
		return nil, nil, err
	}
	ix, err := s.openInteraction(r, path, params.Get("interaction"))
	if err != nil {
		return nil, nil, err
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != s.origin {
		return nil, nil, pageError(errBrowser)
	}
	if !oauth.SameSecret(params.Get("csrf"), s.csrf(path, ix)) {
		return nil, nil, pageError(errBrowser)
	}
	return params, ix, nil
}

// csrf ties a form to its page, its browser and its interaction.
func (s *Server) csrf(path string, ix *interaction) string {
	return s.run.interactions.MAC("csrf", path, ix.Browser, ix.ID)
}
