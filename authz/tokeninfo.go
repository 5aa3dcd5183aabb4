package authz

import (
	"net/http"

	"github.com/gatewright/gatewright/authz/oauth"
)

// tokenInfo tells the bearer of a token what it is worth, as introspection's predecessor did (E5).
func (s *Server) tokenInfo(w http.ResponseWriter, r *http.Request) {
	t, _, err := s.presented(w, r)
	if err != nil {
		s.bearerError(w, r, oauth.From(err), ScopeOpenID)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"expires_in": int64(t.ExpiresAt.Sub(s.now()).Seconds()),
		"user_id":    t.Subject,
		"scope":      append([]string{}, t.Scope...), // an array, even of nothing
		"audience":   t.Audience[0],
		"issuer":     t.Issuer,
		"client_id":  t.ClientID,
	})
}
