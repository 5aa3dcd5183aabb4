package caddymodule

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestC1_ErrorsNameTheLineOfTheirPart(t *testing.T) {
	for name, c := range map[string]struct{ block, want string }{
		"an unknown scope of a client": {"client shop {\n redirect_uri https://a.example/cb\n scope nope\n}", `Caddyfile:5: client shop: scope "nope" is not defined`},
		"two defaults":                 {"resource_server a {\n default\n}\nresource_server b {\n default\n}", "Caddyfile:8: resource_server b: resource_server a is the default already"},
		"a circle":                     {"resource_server a {\n scope x {\n implies x\n }\n}", "Caddyfile:6: scope x: implies itself"},
		"an attribute nobody defines":  {"resource_server a {\n scope x {\n attribute y\n }\n}", "Caddyfile:6: scope x: no attribute_set defines the claim y"},
		"credentials for all":          {"cors *\ncors_credentials", "Caddyfile:6: cors_credentials: cors_credentials and cors * exclude each other"},
		"a lifetime":                   {"lifetime {\n code 1h\n}", "Caddyfile:5: lifetime: code: at most 10 minutes"},
		"rotation without revocation":  {"revocation off\nclient shop {\n redirect_uri https://a.example/cb\n secret x\n rotate_refresh_token\n}", "Caddyfile:6: client shop: rotate_refresh_token needs revocation on"},
		"idle without revocation":      {"lifetime {\n refresh_idle 7d\n}\nrevocation off", "Caddyfile:5: lifetime: refresh_idle needs revocation on"},
		"logout without revocation":    {"revocation off\nlogout {\n revoke_tokens on\n}", "Caddyfile:6: logout: revoke_tokens needs revocation on"},
		"a check without revocation":   {"revocation off {\n check_after 5s\n}", "Caddyfile:5: revocation: check_after is for revocation on"},
		"a cookie for a web client":    {"client shop {\n redirect_uri https://a.example/cb\n persistent_cookie\n}", "Caddyfile:5: client shop: persistent_cookie is for clients of type native"},
		"keys that don't fit":          {"resource_server a {\n encryption resource_key\n alg ECDH-ES\n jwks inline `{\"keys\":[]}`\n}", "Caddyfile:5: resource_server a:"},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := adapt("{\n\tadmin off\n\tauthz {\n\t\tissuer https://localhost:8443\n" + c.block + "\n}\n}\n")
			require.NoError(t, err)
			require.ErrorContains(t, validateJSON(config), c.want)
		})
	}
}
