package authz

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// buildMetadata describes the server (OpenID Connect Discovery §3, RFC 8414 §2). Everything in it
// comes from what is really configured.
func (s *Server) buildMetadata() ([]byte, error) {
	at := func(path string) string { return s.cfg.Issuer + path }
	var grantTypes []string
	for _, g := range s.grants {
		grantTypes = append(grantTypes, wireName(g.Type()))
	}
	if slices.Contains(s.cfg.GrantTypes, GrantImplicit) {
		grantTypes = append(grantTypes, GrantImplicit)
	}
	byAssertion, assertionAlgorithms := s.assertions()
	confidential := append([]string{AuthBasic, AuthPost}, byAssertion...)
	authMethods := append(slices.Clip(confidential), AuthNone)
	doc := map[string]any{
		"issuer":                                         s.cfg.Issuer,
		"authorization_endpoint":                         at(pathAuthorize),
		"token_endpoint":                                 at(pathToken),
		"userinfo_endpoint":                              at(pathUserInfo),
		"introspection_endpoint":                         at(pathIntrospect),
		"revocation_endpoint":                            at(pathRevoke),
		"end_session_endpoint":                           at(pathEndSession),
		"jwks_uri":                                       at(pathJWKS),
		"response_types_supported":                       s.supportedResponseTypes(),
		"response_modes_supported":                       []string{"query", "fragment", "form_post"},
		"grant_types_supported":                          grantTypes,
		"subject_types_supported":                        []SubjectType{SubjectPublic, SubjectPairwise},
		"id_token_signing_alg_values_supported":          s.idTokenAlgorithms(),
		"id_token_encryption_alg_values_supported":       token.KeyAlgorithms(),
		"id_token_encryption_enc_values_supported":       token.ContentEncryptions(),
		"userinfo_signing_alg_values_supported":          s.cfg.Signing.Algorithms,
		"userinfo_encryption_alg_values_supported":       token.KeyAlgorithms(),
		"userinfo_encryption_enc_values_supported":       token.ContentEncryptions(),
		"acr_values_supported":                           s.contractURIs(),
		"scopes_supported":                               s.publicScopes(),
		"claims_supported":                               s.publicClaims(),
		"code_challenge_methods_supported":               s.challengeMethods(),
		"token_endpoint_auth_methods_supported":          authMethods,
		"revocation_endpoint_auth_methods_supported":     authMethods,
		"introspection_endpoint_auth_methods_supported":  confidential,
		"prompt_values_supported":                        []string{"none", "login", "consent", "select_account"},
		"ui_locales_supported":                           []string{"en", "de"},
		"authorization_response_iss_parameter_supported": true,
		"claims_parameter_supported":                     true,
		"claim_types_supported":                          []string{"normal"},
		"display_values_supported":                       []string{"page", "popup", "touch"},
		"request_parameter_supported":                    true,
		"request_uri_parameter_supported":                true,
		"require_request_uri_registration":               true,
		"request_object_signing_alg_values_supported":    s.requestObjectAlgorithms(),
		"request_object_encryption_alg_values_supported": token.KeyAlgorithms(),
		"request_object_encryption_enc_values_supported": token.ContentEncryptions(),
	}
	for _, endpoint := range []string{"token", "introspection", "revocation"} {
		doc[endpoint+"_endpoint_auth_signing_alg_values_supported"] = assertionAlgorithms
	}
	if s.cfg.Revocation.Off {
		delete(doc, "revocation_endpoint")
		delete(doc, "revocation_endpoint_auth_methods_supported")
		delete(doc, "revocation_endpoint_auth_signing_alg_values_supported")
	}
	if s.cfg.Registration != RegistrationOff {
		doc["registration_endpoint"] = at(pathRegister)
	}
	return json.Marshal(doc)
}

// idTokenAlgorithms has none where a client has registered for it, or may (C6).
func (s *Server) idTokenAlgorithms() []jose.SignatureAlgorithm {
	if s.anyClient(func(c *client) bool { return c.IDTokenAlg == AlgNone }) {
		return append(slices.Clone(s.cfg.Signing.Algorithms), AlgNone)
	}
	return s.cfg.Signing.Algorithms
}

func (s *Server) supportedResponseTypes() []string {
	var supported []string
	for _, responseType := range slices.Sorted(maps.Keys(responseTypes)) {
		enabled := func(g string) bool {
			return slices.Contains(s.cfg.GrantTypes, g) && s.issues(responseType)
		}
		if !slices.ContainsFunc(responseTypes[responseType], func(g string) bool { return !enabled(g) }) {
			supported = append(supported, responseType)
		}
	}
	return supported
}

// issues tells whether the server's token_type allows what a response type holds (G6).
func (s *Server) issues(responseType string) bool {
	for value, kind := range map[string]TokenType{responseToken: AccessTokenType, responseIDToken: IDTokenType} {
		if slices.Contains(strings.Fields(responseType), value) && !slices.Contains(s.cfg.TokenTypes, kind) {
			return false
		}
	}
	return true
}

// publicScopes leaves out the scopes nobody is asked about (S4), save openid (S11).
func (s *Server) publicScopes() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.scopes)) {
		if name == ScopeOpenID || s.scopes[name].RequireConsent {
			names = append(names, name)
		}
	}
	return names
}

func (s *Server) publicClaims() []string {
	claims := []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce"}
	for _, name := range s.publicScopes() {
		for _, source := range s.claims[name] {
			claims = append(claims, source.claim)
		}
	}
	slices.Sort(claims)
	return slices.Compact(claims)
}

func (s *Server) challengeMethods() []string {
	for _, c := range s.clients {
		if c.PlainPKCE {
			return []string{oauth.ChallengeS256, oauth.ChallengePlain}
		}
	}
	return []string{oauth.ChallengeS256}
}

func (s *Server) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	writePublic(w, s.metadata)
}

// serveJWKS publishes the keys that verify what the server signs, and those to encrypt to it (RFC 7517
// §5).
func (s *Server) serveJWKS(w http.ResponseWriter, r *http.Request) {
	document, err := s.run.encryption.publish(s.run.keys().JWKS())
	if err != nil {
		e := oauth.From(err)
		s.log(r, "keys could not be published", e)
		writeError(w, e)
		return
	}
	writePublic(w, document)
}

// writePublic answers with a document that caches may keep for a while: half of token.PublishAhead.
func writePublic(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body)
}
