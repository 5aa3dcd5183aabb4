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
