package authz_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

func TestW4_MintOnBehalfAsksWhoMay(t *testing.T) {
	caller := func(f *authztest.Fixture) *token.AccessToken {
		return &token.AccessToken{
			Subject: "alice", ClientID: "shop", GrantID: oauth.NewID(), Scope: []string{"orders.read"},
			IssuedAt: f.Clock.Now(), ExpiresAt: f.Clock.Now().Add(time.Minute), AuthTime: f.Clock.Now(),
		}
	}
	for name, edit := range map[string]func(*authz.Client){
		"C3 a disabled client":          func(c *authz.Client) { c.Disabled = true },
		"C22 a client for other people": func(c *authz.Client) { c.AllowUsers = []string{"bob"} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := authztest.Config()
			edit(&cfg.Clients[0])
			f := authztest.New(t, cfg)
			_, _, err := f.Server.Mint(t.Context(), authz.GateMint{Caller: caller(f), ResourceServer: "orders", Scope: []string{"orders.read"}, Gate: "g"})
			require.ErrorIs(t, err, authz.ErrEnded)
		})
	}
}

func TestW4_MintForASession(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	session := signInAtGate(t, f, f.NewBrowser(), gateLogin("openid", "orders.read"))
	raw, expires, err := f.Server.Mint(t.Context(), authz.GateMint{Session: session, ResourceServer: "orders", Scope: []string{"orders.read"}})
	require.NoError(t, err)
	assert.Equal(t, f.Clock.Now().Add(10*time.Minute), expires)
	claims := f.Claims(raw)
	assert.Equal(t, "https://orders.example.com", claims["aud"])
	assert.Equal(t, "alice", claims["sub"])
	assert.Equal(t, session.GrantID, claims["grant_id"])

	_, _, err = f.Server.Mint(t.Context(), authz.GateMint{Session: session, ResourceServer: "orders", Scope: []string{"orders.write"}})
	require.ErrorIs(t, err, oauth.InsufficientScope, "never granted")
	_, _, err = f.Server.Mint(t.Context(), authz.GateMint{Session: session, ResourceServer: "nobody"})
	require.ErrorIs(t, err, oauth.InvalidTarget)
}

func TestW4_MintOnBehalfOfACaller(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	caller := &token.AccessToken{
		Subject: "alice", ClientID: "shop", GrantID: "g", Scope: []string{"orders.read"},
		IssuedAt: f.Clock.Now(), ExpiresAt: f.Clock.Now().Add(time.Minute),
	}
	raw, expires, err := f.Server.Mint(t.Context(), authz.GateMint{Caller: caller, ResourceServer: "orders", Scope: []string{"orders.read"}, Gate: "the-gate"})
	require.NoError(t, err)
	assert.Equal(t, caller.ExpiresAt, expires, "A48: never outlives the caller's token")
	claims := f.Claims(raw)
	assert.Equal(t, "shop", claims["client_id"], "keeps the caller's client_id")
	assert.Equal(t, map[string]any{"sub": "the-gate"}, claims["act"])
	_, _, err = f.Server.Mint(t.Context(), authz.GateMint{Caller: caller, ResourceServer: "orders", Scope: []string{"who"}, Gate: "the-gate"})
	require.ErrorIs(t, err, oauth.InsufficientScope)
}

func TestW4_WhatAGateRefersToIsChecked(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	require.NoError(t, f.Server.CheckGate("", "", []string{"openid", "orders.read"}))
	require.NoError(t, f.Server.CheckGate("shop", authztest.Secret, []string{"orders.read"}))
	require.ErrorContains(t, f.Server.CheckGate("", "", []string{"orders.delete"}), `"orders.delete" is not defined`)
	require.ErrorContains(t, f.Server.CheckGate("shop", "wrong", nil), "secret")
	require.ErrorContains(t, f.Server.CheckGate("nobody", "", nil), `no client "nobody"`)
	require.ErrorContains(t, f.Server.CheckGate("spa", "", []string{"orders.write"}), `may not have scope`)
}

func TestW8_APhantomIsTheCallersTokenInAnotherForm(t *testing.T) {
	cfg := authztest.Config()
	cfg.Clients[0].Disabled = true // C3: its tokens stay valid
	f := authztest.New(t, cfg)
	raw, expires, err := f.Server.Mint(t.Context(), authz.GateMint{ResourceServer: "orders", Phantom: true, Caller: &token.AccessToken{
		Subject: "alice", ClientID: "shop", GrantID: oauth.NewID(), Scope: []string{"orders.read", "orders.retired"},
		IssuedAt: f.Clock.Now(), ExpiresAt: f.Clock.Now().Add(time.Minute), AuthTime: f.Clock.Now(), Actors: []string{"earlier"},
	}})
	require.NoError(t, err)
	assert.Equal(t, f.Clock.Now().Add(time.Minute), expires, "never longer than the caller's")
	claims := f.Claims(raw)
	assert.Equal(t, "orders.read orders.retired", claims["scope"], "S9: changing a scope alters no token")
	assert.Equal(t, map[string]any{"sub": "earlier"}, claims["act"])
}
