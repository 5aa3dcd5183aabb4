package authz

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users"
)

// passwordGrant is the resource owner password credentials grant (RFC 6749 §4.3), for applications
// that can't show a page. Who types a password into a client agrees to what it asks for.
type passwordGrant struct{ s *Server }

func (passwordGrant) Type() string { return GrantPassword }

func (g passwordGrant) Authorize(ctx context.Context, r *TokenRequest) (*Authorization, error) {
	if !r.Params.Has("username") || !r.Params.Has("password") {
		return nil, oauth.Errorf(oauth.InvalidRequest, "username or password is missing")
	}
	contract := g.s.directContract(r)
	if contract == nil {
		return nil, oauth.Errorf(oauth.UnauthorizedClient, "every contract that counts here needs a browser")
	}
	user, how, err := g.s.runDirect(ctx, r, contract)
	switch {
	case errors.Is(err, users.ErrCredentials), errors.Is(err, users.ErrDisabled), errors.Is(err, errLocked), errors.Is(err, errNotProven):
		return nil, oauth.Errorf(oauth.InvalidGrant, "the name, the password or a second factor is wrong, or the account can't be used now").Because(err)
	case err != nil:
		return nil, errUserStore.Because(err)
	case !r.client.admits(user):
		return nil, oauth.Errorf(oauth.InvalidGrant, "this person may not use the client")
	}
	a, err := g.s.authorization(r, user, r.scope, "")
	if err != nil {
		return nil, err
	}
	a.grantID, a.authContext = oauth.NewID(), how
	g.s.beginFamily(a, r.now)
	return a, nil
}

// directContract is the contract of a password grant: the first, of one source, that can run without a
// browser (G13). nil: none can.
func (s *Server) directContract(r *TokenRequest) *contract {
	for _, uri := range s.contractSource(r) {
		if c := s.contractNamed(uri); c != nil && s.runsDirect(c) {
			return c
		}
	}
	return nil
}

// contractSource is where the contracts of a password grant come from: the client's list, else
// acr_values, as far as anything there is known, else the global list, else the default.
func (s *Server) contractSource(r *TokenRequest) []string {
	asked := r.Params.Get("acr_values")
	if len(asked) > maxEcho {
		asked = ""
	}
	for _, source := range [][]string{r.client.Contracts, strings.Fields(asked), s.cfg.PasswordGrantContracts} {
		if s.firstContract(source) != nil {
			return source
		}
	}
	return []string{s.defaultContract.URI}
}

func (s *Server) runsDirect(c *contract) bool {
	return !slices.ContainsFunc(c.Methods, func(name string) bool {
		_, ok := s.methods[name].(directMethod)
		return !ok
	})
}

// runDirect takes the person through the methods of a contract. Its refusal is final: a failed second
// factor never falls back to a weaker contract.
func (s *Server) runDirect(ctx context.Context, r *TokenRequest, c *contract) (*users.User, authContext, error) {
	var user *users.User
	proofs := make(map[string]proof)
	for _, name := range c.Methods {
		found, amr, err := s.methods[name].(directMethod).direct(ctx, r, user)
		if err != nil {
			return nil, authContext{}, err
		}
		user = found
		proofs[name] = proof{At: r.now, AMR: amr}
	}
	return user, c.context(proofs), nil
}

// guesser is the address that a guess counts under, "" for a client that has authenticated: its back end is one
// address for all its people, and any of them could lock the others out. What is left counts under the account.
func (r *TokenRequest) guesser() string {
	if r.client.public() {
		return r.address
	}
	return ""
}

// direct implements directMethod.
func (m passwordMethod) direct(ctx context.Context, r *TokenRequest, _ *users.User) (*users.User, []string, error) {
	credentials := users.Credentials{Username: r.Params.Get("username"), Password: r.Params.Get("password")}
	user, _, err := m.s.authenticate(ctx, r.guesser(), credentials)
	if err != nil {
		m.s.observeDirect(ctx, Event{Grant: GrantPassword, ClientID: r.client.ID, Address: r.address}.failed(err, credentials.Username))
	}
	return user, []string{amrPassword}, err
}

// observeDirect is observe where there is no HTTP request at hand.
func (s *Server) observeDirect(ctx context.Context, e Event) {
	e.Issuer = s.cfg.Issuer
	s.cfg.Observe(ctx, e)
}
