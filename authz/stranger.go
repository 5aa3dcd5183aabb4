package authz

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/time/rate"

	"github.com/gatewright/gatewright/authz/oauth"
)

// A client that registered itself goes where it likes, and an error brings people there without a page:
// links to this server would lead anywhere (RFC 9700 §4.11.2). Silent authentication needs that way, so such
// a client has a few errors, until the first person signs in to it and agrees.
const strangersErrors = 10

var strangersErrorsEvery = rate.Every(12 * time.Hour)

var errStranger = errors.New("too many errors for a client that registered itself and nobody uses")

// strayed answers with a page that asks the person, where an error would lead people to a stranger once more.
func (s *Server) strayed(w http.ResponseWriter, r *http.Request, c *client, req *authorizationRequest, e *oauth.Error) bool {
	atOnce := s.relative(r.URL.Path) == pathAuthorize // else there was a page before
	if c == nil || !c.unverified || c.used || !atOnce {
		return false
	}
	if s.run.rates.strangers.takeAt(c.ID, strangersErrorsEvery, strangersErrors, s.now()) == 0 {
		return false
	}
	named := *c
	if u, err := url.Parse(req.RedirectURI); err == nil {
		named.Name = u.Host // which says more than what it calls itself
	}
	s.errorPage(w, r, oauth.Errorf(e.Code, "%s", e.Description).Because(errStranger), errorPageOptions{
		uiLocales: req.UILocales,
		client:    &named,
		back:      &backView{URI: req.RedirectURI, Mode: req.ResponseMode, Values: s.answer(req, errorValues(e))},
	})
	return true
}
