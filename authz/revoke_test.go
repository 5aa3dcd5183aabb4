package authz_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/authztest"
)

func TestE7_Revocation(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	grant := func() authztest.Answer {
		return f.Redeem("shop", browser.Authorize(f.AuthorizeURL(), "alice").Get("code"))
	}
	revoke := func(client, token string) authztest.Answer {
		return f.Post("/revoke", client, url.Values{"token": {token}})
	}
	t.Run("a refresh token ends its access tokens", func(t *testing.T) {
		tokens := grant()
		assert.Equal(t, http.StatusOK, revoke("shop", tokens.Get("refresh_token")).Status)
		assert.False(t, active(f, tokens.Get("access_token")))
		assert.Equal(t, "invalid_grant", refresh(f, "shop", tokens.Get("refresh_token")).Get("error"))
	})
	t.Run("an access token ends alone", func(t *testing.T) {
		tokens := grant()
		assert.Equal(t, http.StatusOK, revoke("shop", tokens.Get("access_token")).Status)
		assert.False(t, active(f, tokens.Get("access_token")))
		assert.Equal(t, http.StatusOK, refresh(f, "shop", tokens.Get("refresh_token")).Status)
	})
	t.Run("RFC 7009 §2.1 another client's token", func(t *testing.T) {
		tokens := grant()
		assert.Equal(t, "invalid_grant", revoke("rotating", tokens.Get("refresh_token")).Get("error"))
		assert.Equal(t, "invalid_grant", revoke("rotating", tokens.Get("access_token")).Get("error"))
		assert.True(t, active(f, tokens.Get("access_token")))
	})
	t.Run("RFC 7009 §2.2 garbage is fine", func(t *testing.T) {
		assert.Equal(t, http.StatusOK, revoke("shop", "garbage").Status)
	})
	t.Run("RFC 7009 §2.1 no token, no client", func(t *testing.T) {
		assert.Equal(t, "invalid_request", revoke("shop", "").Get("error"))
		assert.Equal(t, "invalid_client", revoke("", "x").Get("error"))
	})
}

func TestE7_ARevokedTokenStaysDeadToItsLastSecond(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	raw := f.Redeem("shop", f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")).Get("access_token")
	require.Equal(t, http.StatusOK, f.Post("/revoke", "shop", url.Values{"token": {raw}}).Status)
	for range 4 {
		f.Clock.Advance(150*time.Second + time.Second)
		f.State.Purge()
		assert.False(t, active(f, raw))
	}
}
