package caddymodule

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/oauth"
)

func TestAuditLogsWhatAnEventHolds(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	observe := audit(zap.New(core))
	observe(t.Context(), authz.Event{
		Name: "token_refused", Issuer: "https://id.example", ClientID: "shop", Subject: "alice",
		Grant: "authorization_code", Code: oauth.InvalidGrant,
	})
	observe(t.Context(), authz.Event{Name: "login_failed", Issuer: "https://id.example"})
	entries := logs.AllUntimed()
	require.Len(t, entries, 2)
	require.Equal(t, "token_refused", entries[0].Message)
	require.Equal(t, map[string]any{
		"issuer": "https://id.example", "client_id": "shop", "sub": "alice",
		"grant": "authorization_code", "error": "invalid_grant",
	}, entries[0].ContextMap())
	require.Equal(t, map[string]any{"issuer": "https://id.example"}, entries[1].ContextMap())
}
