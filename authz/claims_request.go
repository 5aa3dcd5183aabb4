package authz

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
	"github.com/gatewright/gatewright/authz/users"
)

// requestedClaims are the single claims that the claims parameter asks for (OpenID Connect Core §5.5),
// each after the scope that gives it: "profile name". A client may have them where it may have the
// scope, and the person is asked as for the scope.
type requestedClaims struct {
	UserInfo []string `json:"userinfo,omitempty"`
	IDToken  []string `json:"id_token,omitempty"`
}

// maxClaims bounds the claims parameter, in bytes: what it asks for travels in tokens and pages.
const maxClaims = 8 << 10

var errClaims = errors.New("the claims parameter is not as OpenID Connect Core §5.5 has it")

// checkClaims reads the claims parameter. What it asks for and is not to be had is left out, essential
// or not (§5.5.1); only sub and acr can make the request fail.
func checkClaims(s *Server, c *client, p oauth.Params, req *authorizationRequest) error {
	if !p.Has("claims") {
		return nil
	}
	malformed := oauth.Errorf(oauth.InvalidRequest, "claims is malformed")
	if len(p.Get("claims")) > maxClaims {
		return malformed.Because(errClaims)
	}
	document, err := token.Claims([]byte(p.Get("claims")))
	if err != nil {
		return malformed.Because(err)
	}
	var asked requestedClaims
	for member, list := range map[string]*[]string{"userinfo": &asked.UserInfo, "id_token": &asked.IDToken} {
		requests, err := claimRequests(document, member)
		if err != nil {
			return malformed.Because(err)
		}
		if err := requireSubject(req, requests["sub"]); err != nil {
			return err
		}
		if member == "id_token" {
			requestContract(req, requests["acr"])
			if s.contractFor(c, req) == nil {
				return errUnmet
			}
		}
		*list = s.available(c, req.Scope, slices.Sorted(maps.Keys(requests)))
	}
	if len(asked.UserInfo)+len(asked.IDToken) > 0 {
		req.Claims = &asked
	}
	return nil
}

// claimRequest is what a request says of one claim.
type claimRequest struct {
	essential bool
	values    []any // any of these is wanted; empty: whatever it is
}

// claimRequests reads one member of the claims parameter. What it doesn't know is ignored (§5.5).
func claimRequests(document map[string]any, member string) (map[string]claimRequest, error) {
	claims, ok := document[member].(map[string]any)
	if _, there := document[member]; there && !ok {
		return nil, fmt.Errorf("%s: %w", member, errClaims)
	}
	requests := make(map[string]claimRequest, len(claims))
	for name, value := range claims {
		request, err := readClaimRequest(value)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", member, name, err)
		}
		requests[name] = request
	}
	return requests, nil
}

func readClaimRequest(value any) (request claimRequest, err error) {
	if value == nil {
		return request, nil
	}
	members, ok := value.(map[string]any)
	if !ok {
		return request, errClaims
	}
	if essential, there := members["essential"]; there {
		if request.essential, ok = essential.(bool); !ok {
			return request, errClaims
		}
	}
	if values, there := members["values"]; there {
		if request.values, ok = values.([]any); !ok {
			return request, errClaims
		}
	}
	if single, there := members["value"]; there {
		request.values = append(request.values, single)
	}
	return request, nil
}

// requireSubject narrows whom the answer may be about (§5.5.1).
func requireSubject(req *authorizationRequest, request claimRequest) error {
	if len(request.values) == 0 {
		return nil
	}
	var wanted []string
	for _, value := range request.values {
		if subject, ok := value.(string); ok && (len(req.Subjects) == 0 || slices.Contains(req.Subjects, subject)) {
			wanted = append(wanted, subject)
		}
	}
	if req.Subjects = wanted; len(wanted) == 0 {
		return oauth.Errorf(oauth.InvalidRequest, "nobody is all that id_token_hint and claims ask for")
	}
	return nil
}

// requestContract takes the contracts that a claim acr asks for, before those of acr_values (§5.5.1.1).
func requestContract(req *authorizationRequest, request claimRequest) {
	var wanted []string
	for _, value := range request.values {
		if uri, ok := value.(string); ok {
			wanted = append(wanted, uri)
		}
	}
	if len(request.values) > 0 {
		req.ACRValues, req.ACREssential = wanted, request.essential
	}
}

// available are the claims that a scope of the client gives, each with that scope: one that is asked
// for anyway, if there is one.
func (s *Server) available(c *client, granted, names []string) []string {
	var list []string
	for _, claim := range names {
		for _, scope := range slices.Concat(granted, c.Scopes) {
			if s.gives(scope, claim) {
				list = append(list, scope+" "+claim)
				break
			}
		}
	}
	return list
}

// contextClaims are how somebody signed in. ID tokens have them anyway, and userinfo has them where they
// are asked for; openid gives them.
var contextClaims = []string{"acr", "amr", "auth_time"}

func (s *Server) gives(scope, claim string) bool {
	return scope == ScopeOpenID && slices.Contains(contextClaims, claim) || slices.ContainsFunc(s.claims[scope], func(source claimSource) bool { return source.claim == claim }) ||
		claim == claimRoles && s.scopes[scope] != nil && s.scopes[scope].Roles != nil
}

// scopes are those whose claims are asked for.
func (r *requestedClaims) scopes() []string {
	if r == nil {
		return nil
	}
	var names []string
	for _, pair := range slices.Concat(r.UserInfo, r.IDToken) {
		scope, _, _ := strings.Cut(pair, " ")
		if !slices.Contains(names, scope) {
			names = append(names, scope)
		}
	}
	return names
}

// without leaves out the claims of scopes that were declined.
func (r *requestedClaims) without(declined map[string]bool) *requestedClaims {
	if r == nil {
		return nil
	}
	keep := func(pairs []string) []string {
		return slices.DeleteFunc(slices.Clone(pairs), func(pair string) bool {
			scope, _, _ := strings.Cut(pair, " ")
			return declined[scope]
		})
	}
	return &requestedClaims{UserInfo: keep(r.UserInfo), IDToken: keep(r.IDToken)}
}

// userInfo and idToken are the claims asked for at each place.
func (r *requestedClaims) userInfo() []string {
	if r == nil {
		return nil
	}
	return r.UserInfo
}

func (r *requestedClaims) idToken() []string {
	if r == nil {
		return nil
	}
	return r.IDToken
}

// addContext adds what userinfo is asked for of how the person signed in.
func addContext(claims map[string]any, t *token.AccessToken, pairs []string) {
	for _, claim := range contextClaims {
		if !slices.Contains(pairs, ScopeOpenID+" "+claim) {
			continue
		}
		switch {
		case claim == "acr" && t.ACR != "":
			claims[claim] = t.ACR
		case claim == "amr" && len(t.AMR) > 0:
			claims[claim] = t.AMR
		case claim == "auth_time" && !t.AuthTime.IsZero():
			claims[claim] = t.AuthTime.Unix()
		}
	}
}

// addRequested adds single claims of a person, as far as the client may still have them.
func (s *Server) addRequested(claims map[string]any, c *client, u *users.User, pairs []string) {
	for _, pair := range pairs {
		scope, claim, _ := strings.Cut(pair, " ")
		if !slices.Contains(c.Scopes, scope) || !s.gives(scope, claim) {
			continue
		}
		if claim == claimRoles {
			claims[claimRoles] = u.Roles
			continue
		}
		for _, source := range s.claims[scope] {
			if source.claim != claim {
				continue
			}
			if v, ok := source.value(u); ok {
				claims[claim] = v
			}
		}
	}
}
