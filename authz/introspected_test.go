package authz

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIntrospected_ClaimsOfTheTokenNeverReplaceOurs(t *testing.T) {
	for name, test := range map[string]struct {
		answer introspected
		extra  map[string]any
		want   string // members beyond those that are always there
	}{
		"no claims":           {introspected{Active: true}, nil, `"active":true`},
		"claims join":         {introspected{Active: true}, map[string]any{"claims": []string{"read"}}, `"active":true,"claims":["read"]`},
		"active is ours":      {introspected{Active: true}, map[string]any{"active": false, "x": 1}, `"active":true,"x":1`},
		"token_type is ours":  {introspected{Active: true, TokenType: "Bearer"}, map[string]any{"token_type": "mac"}, `"active":true,"token_type":"Bearer"`},
		"username is ours":    {introspected{Active: true, Username: "alice"}, map[string]any{"username": "bob"}, `"active":true,"username":"alice"`},
		"unless we have none": {introspected{Active: true}, map[string]any{"username": "bob"}, `"active":true,"username":"bob"`},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := test.answer.with(test.extra)
			require.NoError(t, err)
			always := `"iss":"","sub":"","client_id":"","iat":0,"exp":0,"scope":"","grant_id":"",`
			require.JSONEq(t, "{"+always+test.want+"}", string(body))
		})
	}
	extra := map[string]any{"active": false}
	_, err := introspected{}.with(extra)
	require.NoError(t, err)
	require.Contains(t, extra, "active", "the token's own claims were changed")
}
