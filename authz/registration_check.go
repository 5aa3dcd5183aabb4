package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatewright/gatewright/authz/fetch"
	"github.com/gatewright/gatewright/authz/oauth"
)

const (
	maxListed = 50   // members of any list of a registration (A53)
	maxMember = 2048 // bytes of any text in it
)

// selfGrantTypes are those in which a person takes part: a client that registered itself gets nothing
// on its own word, and nobody's password.
var selfGrantTypes = []string{GrantAuthorizationCode, GrantImplicit, GrantRefreshToken}

// checkRegistration checks what the configuration's own check has no reason to doubt, and the rest by
// that: a registered client is one like any other. It is asked before anything is written.
func (s *Server) checkRegistration(ctx context.Context, rec *registration) (*client, error) {
	m := &rec.Metadata
	for _, err := range []error{
		rec.checkStored(), m.checkSizes(), m.checkRedirectURIs(), m.checkLinks(), m.checkKeys(), m.checkNumbers(),
	} {
		if err != nil {
			return nil, err
		}
	}
	if m.ApplicationType != string(ClientWeb) && m.ApplicationType != string(ClientNative) {
		return nil, invalidMetadata(errors.New("application_type is none of web, native"))
	}
	for _, g := range m.GrantTypes {
		if rec.self() && !slices.Contains(selfGrantTypes, g) {
			return nil, invalidMetadata(fmt.Errorf("grant type %s is not for clients that register themselves", g))
		}
	}
	for _, t := range m.ResponseTypes {
		for _, g := range responseTypes[canonicalResponseType(t)] {
			if !slices.Contains(m.GrantTypes, g) {
				return nil, invalidMetadata(fmt.Errorf("response type %s needs grant type %s (RFC 7591 §2.1)", t, g))
			}
		}
	}
	c, err := s.compileRegistered(rec)
	if err != nil {
		return nil, invalidMetadata(err)
	}
	return c, s.checkSector(ctx, rec)
}

// invalidMetadata says what is wrong with a registration (RFC 7591 §3.2.2). It speaks of nothing that
// the client didn't send.
func invalidMetadata(err error) error {
	return oauth.Errorf(oauth.InvalidClientMetadata, "%s", describable(err.Error()))
}

// describable keeps what an error_description may hold (RFC 6749 §5.2).
func describable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < ' ' || r > '~':
			return ' '
		}
		return r
	}, text)
}

func (m *clientMetadata) checkSizes() error {
	lists := [][]string{
		m.RedirectURIs, m.GrantTypes, m.ResponseTypes, m.Contacts, m.PostLogoutRedirectURIs, m.RequestURIs, m.Contracts, m.CORS, m.DefaultACRValues,
		strings.Fields(m.Scope),
	}
	texts := []string{m.ClientName, m.SoftwareID, m.SoftwareVersion}
	for _, list := range lists {
		if len(list) > maxListed {
			return invalidMetadata(fmt.Errorf("no list may have more than %d members", maxListed))
		}
		texts = append(texts, list...)
	}
	for _, text := range append(texts, m.links()...) {
		if len(text) > maxMember || strings.ContainsFunc(text, unicode.IsControl) {
			return invalidMetadata(fmt.Errorf("a member is longer than %d bytes, or holds control characters", maxMember))
		}
	}
	return nil
}

func (m *clientMetadata) links() []string {
	return []string{m.ClientURI, m.LogoURI, m.PolicyURI, m.TermsURI, m.InitiateLoginURI, m.FrontchannelLogoutURI, m.BackchannelLogoutURI, m.JWKSURI}
}

// checkRedirectURIs has the error code of its own that clients wait for (RFC 7591 §3.2.2).
func (m *clientMetadata) checkRedirectURIs() error {
	implicit := slices.Contains(m.GrantTypes, GrantImplicit)
	for _, uri := range m.RedirectURIs {
		err := oauth.CheckRedirectURI(uri, m.ApplicationType == string(ClientNative))
		switch {
		case err != nil:
		case uri == oauth.OOB && implicit:
			err = errors.New("is for the code grant only (C4)")
		case m.ApplicationType == string(ClientWeb) && implicit && !isRemote(uri):
			err = errors.New("must be https and not on localhost for a web client with the implicit grant (OpenID Connect Dynamic Client Registration §2)")
		}
		if err != nil {
			return oauth.Errorf(oauth.InvalidRedirectURI, "redirect URI %s %s", describable(uri), err.Error())
		}
	}
	return nil
}

// checkLinks refuses what no page may link to, and what this server would not call (A20, A51).
func (m *clientMetadata) checkLinks() error {
	for _, link := range m.links() {
		if link == "" {
			continue
		}
		if err := oauth.CheckLink(link); err != nil {
			return invalidMetadata(fmt.Errorf("%s %w", link, err))
		}
	}
	for _, uri := range []string{m.InitiateLoginURI, m.BackchannelLogoutURI, m.JWKSURI} {
		if uri != "" && !strings.HasPrefix(uri, "https://") {
			return invalidMetadata(fmt.Errorf("%s must be https", uri))
		}
	}
	return nil
}

// checkNumbers refuses what makes no sense (OpenID Connect Dynamic Client Registration §2).
func (m *clientMetadata) checkNumbers() error {
	if age := m.DefaultMaxAge; age != nil && (*age < 0 || *age > math.MaxInt32) {
		return invalidMetadata(errors.New("default_max_age is not a number of seconds"))
	}
	for name, pair := range map[string][2]string{
		"id_token": {m.IDTokenEncryptionAlg, m.IDTokenEncryptionEnc}, "userinfo": {m.UserInfoEncryptionAlg, m.UserInfoEncryptionEnc},
	} {
		if pair[0] == "" && pair[1] != "" {
			return invalidMetadata(fmt.Errorf("%s_encrypted_response_enc needs %s_encrypted_response_alg", name, name))
		}
	}
	return nil
}

// checkKeys takes public keys only: a secret that was sent to us is none any more.
func (m *clientMetadata) checkKeys() error {
	if len(m.JWKS) == 0 {
		return nil
	}
	if m.JWKSURI != "" {
		return invalidMetadata(errors.New("jwks and jwks_uri exclude each other (RFC 7591 §2)"))
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(m.JWKS, &set); err != nil || len(set.Keys) == 0 || len(set.Keys) > maxListed {
		return invalidMetadata(errors.New("jwks is no set of keys"))
	}
	for _, key := range set.Keys {
		if !key.Valid() || !key.IsPublic() {
			return invalidMetadata(errors.New("jwks holds what is no public key"))
		}
	}
	return nil
}

// checkSector has the sector's host confirm every redirect URI (OpenID Connect Dynamic Client
// Registration §5): whoever shares a sector sees the same people.
func (s *Server) checkSector(ctx context.Context, rec *registration) error {
	m := &rec.Metadata
	if m.SectorIdentifierURI == "" {
		return nil
	}
	document, err := s.registrationFetchers(rec).documents.Get(ctx, m.SectorIdentifierURI, fetch.MaxDocument)
	if err != nil {
		return oauth.Errorf(oauth.InvalidClientMetadata, "sector_identifier_uri could not be read").Because(err)
	}
	var confirmed []string
	if err := json.Unmarshal(document, &confirmed); err != nil {
		return oauth.Errorf(oauth.InvalidClientMetadata, "sector_identifier_uri could not be read").Because(err)
	}
	for _, uri := range m.RedirectURIs {
		if !slices.Contains(confirmed, uri) {
			return oauth.Errorf(oauth.InvalidClientMetadata, "sector_identifier_uri does not list redirect URI %s", describable(uri))
		}
	}
	return nil
}

// checkStatement refuses software statements: this server trusts nobody's (RFC 7591 §2.3). One that
// nobody signed is not even a claim (A54).
func checkStatement(statement string) error {
	if statement == "" {
		return nil
	}
	signed, err := jose.ParseSignedCompact(statement, []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	})
	if err != nil || len(signed.Signatures) != 1 {
		return oauth.Errorf(oauth.InvalidSoftwareStatement, "the software statement is not signed")
	}
	return oauth.Errorf(oauth.UnapprovedSoftwareStatement, "software statements are not accepted here")
}
