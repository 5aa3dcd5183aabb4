package authz_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/store"
)

func offConfig() authz.Config {
	cfg := authztest.Config()
	cfg.Revocation.Off = true
	cfg.Clients[1].RotateRefreshToken = false
	return cfg
}

func TestG8_RefreshWithoutState(t *testing.T) {
	for _, format := range []authz.TokenFormat{authz.FormatJWT, authz.FormatBinary} {
		t.Run(string(format), func(t *testing.T) {
			cfg := offConfig()
			cfg.TokenFormat = format
			f := authztest.New(t, cfg)
			token := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL("revocation_id", "phone"), "alice").Get("code")).Get("refresh_token")
			require.NotEmpty(t, token)
			for _, kind := range []string{"grants/", "family/", "session-families/", "revocation/"} {
				entries, err := f.State.Store().Scan(t.Context(), kind, "", 10)
				require.NoError(t, err)
				assert.Empty(t, entries, kind)
			}
			if format == authz.FormatJWT { // of binary tokens the store knows the terms
				f.State = authztest.NewState(t, f.Clock.Now)
				f.Reload(cfg)
			}
			f.Clock.Advance(29 * 24 * time.Hour)
			require.True(t, activeTo(f, "shop", token), "no idle lifetime")
			answer := refresh(f, "shop", token)
			require.Equal(t, http.StatusOK, answer.Status, answer.JSON)
			assert.Empty(t, answer.Get("refresh_token"))
			f.Clock.Advance(24 * time.Hour)
			assert.Equal(t, "invalid_grant", refresh(f, "shop", token).Get("error"), "but an end")
			entries, err := f.State.Store().Scan(t.Context(), "family/", "", 10)
			require.NoError(t, err)
			assert.Empty(t, entries)
		})
	}
}

func TestG8_RevocationAnswersUnsupportedTokenType(t *testing.T) {
	f := authztest.New(t, offConfig())
	tokens := grant(f, f.NewBrowser(), "alice")
	for name, raw := range map[string]string{"refresh": tokens.refresh, "access": tokens.access, "garbage": "x"} {
		answer := f.Post("/revoke", "shop", url.Values{"token": {raw}})
		assert.Equal(t, "unsupported_token_type", answer.Get("error"), name)
		assert.Equal(t, http.StatusBadRequest, answer.Status, name)
	}
	assert.Equal(t, "invalid_client", f.Post("/revoke", "", url.Values{"token": {tokens.refresh}}).Get("error"))
	assert.True(t, tokens.lives(t, f))
	for _, name := range []string{"revocation_endpoint", "revocation_endpoint_auth_methods_supported"} {
		assert.NotContains(t, f.Bearer(http.MethodGet, "/.well-known/openid-configuration", "").JSON, name)
	}
}

// publicTokens signs alice in to the client without a secret.
func publicTokens(f *authztest.Fixture) authztest.Answer {
	code := f.NewBrowser().Authorize(f.AuthorizeURL("client_id", "spa", "redirect_uri", "https://spa.example.com/callback",
		"code_challenge", rfcChallenge, "code_challenge_method", "S256"), "alice").Get("code")
	return f.Post("/token", "", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"spa"},
		"redirect_uri": {"https://spa.example.com/callback"}, "code_verifier": {rfcVerifier},
	})
}

func TestG8_PublicClientsGetNoRefreshToken(t *testing.T) {
	cfg := offConfig()
	cfg.Revocation.Off = false
	f := authztest.New(t, cfg)
	before := publicTokens(f).Get("refresh_token")
	require.NotEmpty(t, before)
	cfg.Revocation.Off = true
	f.Reload(cfg)
	tokens := publicTokens(f)
	require.Equal(t, http.StatusOK, tokens.Status)
	assert.Empty(t, tokens.Get("refresh_token"))
	again := f.Post("/token", "", url.Values{"grant_type": {"refresh_token"}, "client_id": {"spa"}, "refresh_token": {before}})
	assert.Equal(t, "invalid_grant", again.Get("error"), "nor is one of before taken")
}

func TestG8_WhatNeedsRevocationIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*authz.Config)
		want   string
	}{
		"rotation":               {func(c *authz.Config) { c.Clients[1].RotateRefreshToken = true }, "client rotating: rotate_refresh_token needs revocation on"},
		"an idle lifetime":       {func(c *authz.Config) { c.Lifetimes.RefreshIdle = time.Hour }, "lifetime: refresh_idle needs revocation on"},
		"a client's":             {func(c *authz.Config) { c.Clients[0].Lifetimes.RefreshIdle = time.Hour }, "client shop: refresh_idle needs revocation on"},
		"revocation at logout":   {func(c *authz.Config) { c.LogoutRevokes = true }, "logout: revoke_tokens needs revocation on"},
		"a time to check after":  {func(c *authz.Config) { c.Revocation.CheckAfter = time.Second }, "revocation: check_after is for revocation on"},
		"a negative one with on": {func(c *authz.Config) { c.Revocation = authz.Revocation{CheckAfter: -1} }, "revocation: check_after must not be negative"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := offConfig()
			cfg.Issuer, cfg.Users = "https://id.example.com", people(t)
			_, err := authz.New(cfg)
			require.NoError(t, err)
			c.change(&cfg)
			_, err = authz.New(cfg)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestG8_OtherRevocationsWorkWithoutIt(t *testing.T) {
	for name, revoke := range map[string]func(f *authztest.Fixture) error{
		"user":       func(f *authztest.Fixture) error { return f.Server.RevokeUser(t.Context(), "alice") },
		"client":     func(f *authztest.Fixture) error { return f.Server.RevokeClient(t.Context(), "shop") },
		"withdrawal": func(f *authztest.Fixture) error { return f.Server.Withdraw(t.Context(), "alice", "shop") },
	} {
		t.Run(name, func(t *testing.T) {
			f := authztest.New(t, offConfig())
			tokens := grant(f, f.NewBrowser(), "alice")
			require.True(t, tokens.lives(t, f))
			require.NoError(t, revoke(f))
			assert.False(t, tokens.lives(t, f))
		})
	}
	t.Run("A23", func(t *testing.T) {
		f := authztest.New(t, offConfig())
		code := f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")
		first := f.Redeem("shop", code)
		require.Equal(t, "invalid_grant", f.Redeem("shop", code).Get("error"))
		assert.False(t, granted{first.Get("access_token"), first.Get("refresh_token")}.lives(t, f))
	})
}

// forgetful are grants of a directory whose replicas have not heard of anything yet.
func forgetful(cfg *authz.Config, now func() time.Time) {
	cfg.NewGrants = func(grants.DirectoryConfig) (grants.Grants, error) {
		written := grants.NewStored(store.NewMemory(now), now)
		return struct {
			loader
			updater
		}{grants.NewStored(store.NewMemory(now), now), written}, nil
	}
}

type (
	loader = interface {
		Load(ctx context.Context, user string) (*grants.Record, error)
	}
	updater = interface {
		Update(ctx context.Context, user string, fn func(*grants.Record) error) error
	}
)

func TestG9_TheDirectoryIsNotAskedAtFirst(t *testing.T) {
	clock := authztest.NewClock()
	cfg := authztest.Config()
	cfg.Now = clock.Now
	cfg.Revocation.CheckAfter = time.Minute
	forgetful(&cfg, clock.Now)
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	tokens, other := grant(f, browser, "alice"), grant(f, browser, "alice")
	clock.Advance(59 * time.Second)
	assert.True(t, tokens.lives(t, f))

	require.Equal(t, http.StatusOK, f.Post("/revoke", "shop", url.Values{"token": {other.refresh}}).Status)
	assert.False(t, other.lives(t, f), "the feed is asked always")
	assert.Equal(t, "invalid_grant", refresh(f, "rotating", tokens.refresh).Get("error"), "and so is everything else")

	clock.Advance(time.Second)
	assert.Equal(t, "invalid_grant", refresh(f, "shop", tokens.refresh).Get("error"), "the directory knows no such family")
	assert.False(t, activeTo(f, "shop", tokens.refresh))
}

func TestG10_LogoutRevokesTheFamiliesOfItsSession(t *testing.T) {
	for name, revokes := range map[string]bool{"on": true, "off, which is the default": false} {
		t.Run(name, func(t *testing.T) {
			cfg := logoutConfig(false)
			cfg.LogoutRevokes = revokes
			f := authztest.New(t, cfg)
			browser := f.NewBrowser()
			tokens := f.Redeem("shop", browser.Authorize(f.AuthorizeURL(), "alice").Get("code"))
			mine := granted{tokens.Get("access_token"), tokens.Get("refresh_token")}
			second := grant(f, browser, "alice")
			elsewhere := grant(f, f.NewBrowser(), "alice")
			waiting := browser.Authorize(f.AuthorizeURL(), "alice").Get("code")
			require.NotNil(t, browser.Get(endSessionURL(f, "id_token_hint", tokens.Get("id_token"))).Location)

			assert.Equal(t, !revokes, mine.lives(t, f))
			assert.Equal(t, !revokes, second.lives(t, f))
			assert.True(t, elsewhere.lives(t, f), "another session")
			assert.Equal(t, "invalid_grant", f.Redeem("shop", waiting).Get("error"))
			record, err := grants.NewStored(f.State.Store(), f.Clock.Now).Load(t.Context(), "alice")
			require.NoError(t, err)
			assert.Len(t, record.Clients["shop"].Families, map[bool]int{true: 1, false: 3}[revokes])
		})
	}
}
