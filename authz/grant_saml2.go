package authz

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/saml"
	"github.com/gatewright/gatewright/authz/users"
)

// SAMLIssuer is an identity provider whose SAML 2.0 assertions are taken as grants (RFC 7522).
type SAMLIssuer struct {
	EntityID     string
	Certificates []*x509.Certificate // RSA; any of them may have signed
	// Audience is what its assertions call this server; empty: the issuer URL.
	Audience string
	// UserAttribute is the one that the NameID is a value of; empty: the NameID is the login name.
	UserAttribute string
}

// saml2Grant is the SAML 2.0 bearer grant (RFC 7522 §2.1).
type saml2Grant struct{ s *Server }

func (saml2Grant) Type() string { return GrantSAML2Bearer }

func (g saml2Grant) Authorize(ctx context.Context, r *TokenRequest) (*Authorization, error) {
	if !r.Params.Has("assertion") {
		return nil, oauth.Errorf(oauth.InvalidRequest, "assertion is missing")
	}
	said, err := g.s.saml.Verify(r.Params.Get("assertion"), r.now)
	if err != nil {
		return nil, errAssertion.Because(err)
	}
	return g.s.authorizeAsserted(ctx, r, asserted{
		issuer: said.Issuer, id: said.ID, attribute: g.s.samlAttribute[said.Issuer], name: said.NameID,
		signedIn: said.AuthnInstant, expires: said.Expires,
	})
}

// compileSAML prepares the check of assertions.
func (s *Server) compileSAML(cfg *Config) error {
	if len(cfg.SAMLIssuers) == 0 {
		return nil
	}
	if _, ok := cfg.Users.(users.Finder); !ok {
		return errors.New("saml_issuer: this store of users can't find people by an attribute")
	}
	recipients := s.tokenEndpoints()
	list := make([]saml.Issuer, 0, len(cfg.SAMLIssuers))
	s.samlAttribute = make(map[string]string, len(cfg.SAMLIssuers))
	for _, i := range cfg.SAMLIssuers {
		audience := i.Audience
		if audience == "" {
			audience = cfg.Issuer
		}
		list = append(list, saml.Issuer{EntityID: i.EntityID, Certificates: i.Certificates, Audiences: []string{audience}})
		s.samlAttribute[i.EntityID] = i.UserAttribute
		if _, err := saml.New(list[len(list)-1:], recipients); err != nil {
			return wrong("saml_issuer", i.EntityID, err)
		}
	}
	verifier, err := saml.New(list, recipients)
	s.saml = verifier
	return wrong("saml_issuer", "", err)
}

// tokenEndpoints are the URLs at which assertions may be meant to be presented.
func (s *Server) tokenEndpoints() []string {
	return []string{s.cfg.Issuer + pathToken}
}
