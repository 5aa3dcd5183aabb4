package authz_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

func TestE8_Metadata(t *testing.T) {
	cfg := authztest.Config()
	f := authztest.New(t, cfg)
	document := func(path string) map[string]any {
		req, err := http.NewRequest(http.MethodGet, f.URL+path, nil)
		require.NoError(t, err)
		answer := f.Do(req)
		require.Equal(t, http.StatusOK, answer.Status)
		assert.Equal(t, "*", answer.Header.Get("Access-Control-Allow-Origin"))
		return answer.JSON
	}
	metadata := document("/.well-known/openid-configuration")
	assert.Equal(t, metadata, document("/.well-known/oauth-authorization-server"))
	assert.Equal(t, f.URL, metadata["issuer"])
	assert.Equal(t, f.URL+"/token", metadata["token_endpoint"])
	assert.Equal(t, []any{"S256"}, metadata["code_challenge_methods_supported"])
	assert.Contains(t, metadata["scopes_supported"], "orders.write")
	assert.NotContains(t, metadata["scopes_supported"], "orders.read", "S4: a scope nobody is asked about is hidden")
	assert.NotContains(t, metadata["id_token_signing_alg_values_supported"], "none", "C6")
	for name := range metadata { // RFC 8414 §2
		if endpoint, ok := strings.CutSuffix(name, "_endpoint_auth_methods_supported"); ok {
			assert.NotEmpty(t, metadata[endpoint+"_endpoint_auth_signing_alg_values_supported"], endpoint)
		}
	}
	for name, value := range metadata {
		if s, ok := value.(string); ok && strings.HasSuffix(name, "_endpoint") {
			req, err := http.NewRequest(http.MethodOptions, s, nil)
			require.NoError(t, err)
			assert.NotEqual(t, http.StatusNotFound, f.Do(req).Status, name)
		}
	}
	var set jose.JSONWebKeySet
	raw, err := json.Marshal(document("/jwks.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &set))
	uses := map[string]int{}
	for _, key := range set.Keys {
		assert.True(t, key.IsPublic())
		assert.NotEmpty(t, key.KeyID)
		uses[key.Use]++
	}
	assert.Equal(t, map[string]int{"sig": 2, "enc": 2}, uses, "G12: RS256 and ES256; one RSA and one EC key to encrypt to")
}

func TestE8_MetadataOfRequestsAndAnswers(t *testing.T) {
	f := authztest.New(t, implicitConfig())
	req, err := http.NewRequest(http.MethodGet, f.URL+"/.well-known/openid-configuration", nil)
	require.NoError(t, err)
	metadata := f.Do(req).JSON
	for name, want := range map[string]any{
		"claims_parameter_supported": true, "request_parameter_supported": true, "request_uri_parameter_supported": true,
		"require_request_uri_registration": true, "authorization_response_iss_parameter_supported": true,
		"subject_types_supported": []any{"public", "pairwise"}, "claim_types_supported": []any{"normal"},
		"response_modes_supported": []any{"query", "fragment", "form_post"},
	} {
		assert.Equal(t, want, metadata[name], name)
	}
	for name, members := range map[string][]string{
		"response_types_supported":                       {"code", "id_token", "id_token token", "code id_token", "code token", "code id_token token", "none"},
		"grant_types_supported":                          {"authorization_code", "implicit"},
		"id_token_signing_alg_values_supported":          {"RS256"},
		"userinfo_signing_alg_values_supported":          {"RS256"},
		"userinfo_encryption_alg_values_supported":       {"RSA-OAEP", "RSA-OAEP-256", "ECDH-ES"},
		"userinfo_encryption_enc_values_supported":       {"A128CBC-HS256", "A256GCM"},
		"request_object_signing_alg_values_supported":    {"none", "RS256", "ES256"},
		"request_object_encryption_alg_values_supported": {"RSA-OAEP", "RSA-OAEP-256", "ECDH-ES"},
		"claims_supported":                               {"sub", "name", "email", "email_verified", "updated_at"},
		"scopes_supported":                               {"openid", "profile", "email", "address", "phone"},
	} {
		for _, member := range members {
			assert.Contains(t, metadata[name], member, name)
		}
	}
	assert.NotContains(t, metadata["id_token_signing_alg_values_supported"], "none", "C6: by explicit registration only")
}

func TestE8_MetadataBelowAPath(t *testing.T) {
	cfg := authztest.Config()
	cfg.Issuer = "https://localhost/auth/main"
	cfg.Users = people(t)
	server, err := authz.New(cfg)
	require.NoError(t, err)
	for path, want := range map[string]bool{
		"/auth/main/.well-known/openid-configuration":       true,
		"/.well-known/oauth-authorization-server/auth/main": true,
		"/auth/main/token":                        true,
		"/.well-known/oauth-authorization-server": false,
		"/token":     false,
		"/":          false,
		"/auth/main": false,
	} {
		req, err := http.NewRequest(http.MethodGet, "https://localhost"+path, nil)
		require.NoError(t, err)
		assert.Equal(t, want, server.Handles(req), path)
	}
}
