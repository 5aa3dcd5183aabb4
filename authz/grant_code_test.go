package authz_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

func TestA23_CodeReplayEndsItsTokens(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	code := f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")
	tokens := f.Redeem("shop", code)
	require.True(t, active(f, tokens.Get("access_token")))

	assert.Equal(t, "invalid_grant", f.Redeem("shop", code).Get("error"))
	assert.False(t, active(f, tokens.Get("access_token")))
	assert.Equal(t, "invalid_grant", refresh(f, "shop", tokens.Get("refresh_token")).Get("error"))
	assert.Equal(t, http.StatusUnauthorized, f.Bearer(http.MethodGet, "/userinfo", tokens.Get("access_token")).Status)
}

// winners counts how many of twenty who try at once are given what only one may have.
func winners(try func() int) (won int) {
	var wg sync.WaitGroup
	statuses := make(chan int, 20)
	for range cap(statuses) {
		wg.Go(func() { statuses <- try() })
	}
	wg.Wait()
	close(statuses)
	for status := range statuses {
		if status == http.StatusOK {
			won++
		}
	}
	return won
}

func TestA24_OneOfManyRedeemersWins(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	code := f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")
	won := winners(func() int { return f.Redeem("shop", code).Status })
	assert.Equal(t, 1, won)
}

func TestA25_CodeOfAnotherClient(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	code := browser.Authorize(f.AuthorizeURL(), "alice").Get("code")
	assert.Equal(t, "invalid_grant", f.Redeem("rotating", code).Get("error"))
	assert.Equal(t, "invalid_grant", f.Redeem("shop", code).Get("error"), "the code stays unusable")

	code = browser.Authorize(f.AuthorizeURL(), "alice").Get("code")
	assert.Equal(t, "invalid_grant", f.Redeem("shop", code, "redirect_uri", "https://shop.example.com/other").Get("error"))
	code = browser.Authorize(f.AuthorizeURL(), "alice").Get("code")
	assert.Equal(t, "invalid_grant", f.Redeem("shop", code, "redirect_uri", "").Get("error"), "RFC 6749 §4.1.3")
}

func TestG11_CodeExpires(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	code := f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")
	f.Clock.Advance(61 * time.Second)
	assert.Equal(t, "invalid_grant", f.Redeem("shop", code).Get("error"))
}

func TestA33_AGrantStaysWithItsResourceServer(t *testing.T) {
	cfg := authztest.Config()
	cfg.ResourceServers = append(cfg.ResourceServers, authz.ResourceServer{Name: "payroll", Identifiers: []string{"https://payroll.example.com"}})
	f := authztest.New(t, cfg)
	browser := f.NewBrowser()
	named := f.AuthorizeURL("resource", "https://orders.example.com")
	wider := f.Redeem("shop", browser.Authorize(named, "alice").Get("code"), "resource", "https://payroll.example.com")
	assert.Equal(t, "invalid_target", wider.Get("error"), "RFC 8707 §2.2")
	tokens := f.Redeem("shop", browser.Authorize(named, "alice").Get("code"))
	require.Equal(t, http.StatusOK, tokens.Status)
	assert.Equal(t, "invalid_target", refresh(f, "shop", tokens.Get("refresh_token"), "resourceServer", "payroll").Get("error"))
	assert.Equal(t, http.StatusOK, refresh(f, "shop", tokens.Get("refresh_token"), "resourceServer", "orders").Status)

	free := f.Redeem("shop", browser.Authorize(f.AuthorizeURL(), "alice").Get("code"))
	assert.Equal(t, http.StatusOK, refresh(f, "shop", free.Get("refresh_token"), "resourceServer", "payroll").Status, "R5: where the grant named none")
}
