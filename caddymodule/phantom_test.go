package caddymodule

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestW8_PhantomTokens: what a client holds says nothing to anybody, and the upstream gets it as a JWT.
func TestW8_PhantomTokens(t *testing.T) {
	const secret = "tiny-secret-tiny-secret-tiny-secret"
	w := newWorld(t)
	w.block = `
		resource_server sealed {
			scope sealed.read
		}
		client tiny {
			access_type service
			secret ` + secret + `
			token_format binary
			scope orders.read sealed.read
		}`
	const gate = "\n\ttoken_inject {\n\t\tresource_server NAME\n\t\tphantom\n\t}\n\trespond \"{http.request.header.Authorization}\"\n"
	w.site = "handle /orders {" + strings.Replace(gate, "NAME", "orders", 1) + "}\nhandle /sealed {" + strings.Replace(gate, "NAME", "sealed", 1) + "}"
	w.start()
	call := func(path, token string) (int, string) {
		r, err := http.NewRequest(http.MethodGet, w.app+path, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		status, _, body, err := answer(w.browser(), r)
		require.NoError(t, err)
		return status, strings.TrimPrefix(body, "Bearer ")
	}
	issued := func(client, secret, scope, resource string) string {
		members, err := w.token(client, secret, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}, "resourceServer": {resource}})
		require.NoError(t, err)
		return members["access_token"].(string)
	}
	for resource, scope := range map[string]string{"orders": "orders.read", "sealed": "sealed.read"} {
		opaque := issued("tiny", secret, scope, resource)
		require.NotContains(t, opaque, ".")
		status, jwt := call("/"+resource, opaque)
		require.Equal(t, http.StatusOK, status)
		claims := claimsOf(t, jwt)
		require.Equal(t, scope, claims["scope"])
		require.Equal(t, w.issuer+"/rs/"+resource, claims["aud"])
		require.Equal(t, "tiny", claims["client_id"])
		require.NotContains(t, claims, "act", "it is the same token in another form")
		_, again := call("/"+resource, opaque)
		require.Equal(t, jwt, again, "kept")
		r, err := http.NewRequest(http.MethodPost, w.issuer+"/revoke", strings.NewReader(url.Values{"token": {opaque}}.Encode()))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("tiny", secret)
		status, _, _, err = answer(w.browser(), r)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		status, _ = call("/"+resource, opaque)
		require.Equal(t, http.StatusUnauthorized, status, "ended by revocation")
	}
	signed, err := w.robotToken()
	require.NoError(t, err)
	status, arrived := call("/orders", signed)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, signed, arrived, "a signed JWT is what the upstream wants")
}

// claimsOf reads a JWT that is only signed.
func claimsOf(t *testing.T, jwt string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	require.Len(t, parts, 3, jwt)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(payload, &claims))
	return claims
}

func TestW8_PhantomNeedsAResourceServerOfThisConfig(t *testing.T) {
	for want, site := range map[string]string{
		"needs a resource_server":          "token_inject {\naudience https://a.example\nphantom\n}",
		"nor inject token":                 "token_inject {\nresource_server orders\nphantom\ninject token {\nresource_server orders\n}\n}",
		`pass_token: inject phantom fills`: "token_inject {\nresource_server orders\nphantom\npass_token\n}",
		"there may be no other issuer":     "token_inject {\nissuer https://other.example.com\nresource_server orders\nphantom\n}",
	} {
		w := newWorld(t)
		w.site = site
		require.ErrorContains(t, w.load(), want)
	}
}
