package authz_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/users"
)

// granted are the tokens of one family, of the shop unless another client is said.
type granted struct{ access, refresh string }

func grant(f *authztest.Fixture, browser *authztest.Browser, username string, pairs ...string) granted {
	tokens := f.Redeem("shop", browser.Authorize(f.AuthorizeURL(pairs...), username).Get("code"))
	return granted{tokens.Get("access_token"), tokens.Get("refresh_token")}
}

// atTheGate tells what the feed of a gate says of an access token.
func atTheGate(f *authztest.Fixture, raw string) bool {
	claims := f.Claims(raw)
	text := func(name string) string { s, _ := claims[name].(string); return s }
	return !f.State.Revocations().Revoked(revocation.Subject{
		Family: text("grant_id"), Token: text("jti"), User: text("sub"), Client: text("client_id"),
		IssuedAt: time.Unix(int64(claims["iat"].(float64)), 0),
	})
}

// lives asks gate, introspection and token endpoint, which have to agree.
func (g granted) lives(t *testing.T, f *authztest.Fixture) bool {
	t.Helper()
	gate := atTheGate(f, g.access)
	assert.Equal(t, gate, active(f, g.access), "introspection of the access token")
	assert.Equal(t, gate, activeTo(f, "shop", g.refresh), "introspection of the refresh token")
	assert.Equal(t, gate, refresh(f, "shop", g.refresh).Status == http.StatusOK, "the token endpoint")
	return gate
}

func TestE7_EveryoneAgreesAtOnce(t *testing.T) {
	type ways struct{ phone, tablet, bobs, robots bool }
	for name, c := range map[string]struct {
		revoke func(f *authztest.Fixture, phone granted) error
		ended  ways
	}{
		"by user": {
			func(f *authztest.Fixture, _ granted) error { return f.Server.RevokeUser(t.Context(), "alice") },
			ways{phone: true, tablet: true},
		},
		"by client": {
			func(f *authztest.Fixture, _ granted) error { return f.Server.RevokeClient(t.Context(), "shop") },
			ways{phone: true, tablet: true, bobs: true},
		},
		"by another client": {
			func(f *authztest.Fixture, _ granted) error { return f.Server.RevokeClient(t.Context(), "robot") },
			ways{robots: true},
		},
		"by device of a client": {
			func(f *authztest.Fixture, _ granted) error {
				return f.Server.RevokeDevice(t.Context(), "alice", "shop", "phone")
			},
			ways{phone: true},
		},
		"by device": {
			func(f *authztest.Fixture, _ granted) error {
				return f.Server.RevokeDevice(t.Context(), "alice", "", "phone")
			},
			ways{phone: true},
		},
		"by device of another client": {
			func(f *authztest.Fixture, _ granted) error {
				return f.Server.RevokeDevice(t.Context(), "alice", "rotating", "phone")
			},
			ways{},
		},
		"by withdrawal (S10)": {
			func(f *authztest.Fixture, _ granted) error { return f.Server.Withdraw(t.Context(), "alice", "shop") },
			ways{phone: true, tablet: true},
		},
		"by a person who is gone": {
			func(f *authztest.Fixture, _ granted) error { return f.Server.RevokeUser(t.Context(), "nobody") },
			ways{},
		},
		"the endpoint, by device and refresh token": {
			func(f *authztest.Fixture, phone granted) error { return revokeDevice(f, phone.refresh, "device_id") },
			ways{phone: true},
		},
		"the endpoint, by device and access token": {
			func(f *authztest.Fixture, phone granted) error { return revokeDevice(f, phone.access, "revocation_id") },
			ways{phone: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := authztest.New(t, authztest.Config())
			browser := f.NewBrowser()
			phone := grant(f, browser, "alice", "device_id", "phone")
			tablet := grant(f, browser, "alice", "revocation_id", "tablet")
			bobs := grant(f, f.NewBrowser(), "bob", "revocation_id", "phone")
			robots := f.Token("robot", "grant_type", "client_credentials").Get("access_token")

			require.NoError(t, c.revoke(f, phone))
			assert.Equal(t, !c.ended.phone, phone.lives(t, f), "phone")
			assert.Equal(t, !c.ended.tablet, tablet.lives(t, f), "tablet")
			assert.Equal(t, !c.ended.bobs, bobs.lives(t, f), "bob's phone")
			assert.Equal(t, !c.ended.robots, active(f, robots), "robot")

			f.Clock.Advance(time.Second)
			after := grant(f, f.NewBrowser(), "alice", "revocation_id", "phone")
			assert.True(t, after.lives(t, f), "what comes afterwards")
			f.Clock.Advance(6 * 24 * time.Hour) // unused for a week, it is dead anyway
			assert.Equal(t, !c.ended.phone, refreshed(f, phone), "a revocation lasts")
		})
	}
}

func refreshed(f *authztest.Fixture, g granted) bool {
	return refresh(f, "shop", g.refresh).Status == http.StatusOK
}

func revokeDevice(f *authztest.Fixture, token, parameter string) error {
	a := f.Post("/revoke", "shop", url.Values{"token": {token}, parameter: {"phone"}})
	if a.Status != http.StatusOK {
		return assert.AnError
	}
	return nil
}

func TestE7_ARevocationEndsWhatIsWaiting(t *testing.T) {
	for name, revoke := range map[string]func(s *authz.Server) error{
		"user":       func(s *authz.Server) error { return s.RevokeUser(t.Context(), "alice") },
		"client":     func(s *authz.Server) error { return s.RevokeClient(t.Context(), "shop") },
		"device":     func(s *authz.Server) error { return s.RevokeDevice(t.Context(), "alice", "shop", "phone") },
		"withdrawal": func(s *authz.Server) error { return s.Withdraw(t.Context(), "alice", "shop") },
	} {
		t.Run(name, func(t *testing.T) {
			f := authztest.New(t, authztest.Config())
			browser := f.NewBrowser()
			code := func() string {
				return browser.Authorize(f.AuthorizeURL("revocation_id", "phone"), "alice").Get("code")
			}
			waiting := code()
			require.NoError(t, revoke(f.Server))
			assert.Equal(t, "invalid_grant", f.Redeem("shop", waiting).Get("error"))
			f.Clock.Advance(time.Second)
			assert.Equal(t, name == "user" || name == "device", browser.Get(f.AuthorizeURL()).ID() == "login", "who was signed out has to sign in again")
			assert.Equal(t, http.StatusOK, f.Redeem("shop", code()).Status, "an older login may serve a client that was revoked")
		})
	}
}

func TestS10_WithdrawalAsksAgain(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	ask := f.AuthorizeURL("scope", "openid orders.write")
	browser.Authorize(ask, "alice")
	require.Empty(t, browser.Get(ask).ID(), "agreed to")
	require.NoError(t, f.Server.RevokeUser(t.Context(), "alice"))
	f.Clock.Advance(time.Second)
	require.Empty(t, browser.SignIn(ask, "alice").ID(), "that a person's tokens end takes no consent back")

	require.NoError(t, f.Server.Withdraw(t.Context(), "alice", "shop"))
	assert.Equal(t, "consent", browser.Get(ask).ID())
	assert.Contains(t, f.Events(), authz.Event{Name: "consent_withdrawn", Issuer: f.URL, ClientID: "shop", Subject: "alice"})
}

func TestU3_AFamilyKnowsItsDevice(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	f.Redeem("shop", browser.Authorize(f.AuthorizeURL("revocation_id", "phone", "device_id", "phone"), "alice").Get("code"))
	f.Redeem("shop", browser.Authorize(f.AuthorizeURL(), "alice").Get("code"), "device_id", "tablet")
	f.Redeem("shop", browser.Authorize(f.AuthorizeURL(), "alice").Get("code"))
	record, err := grants.NewStored(f.State.Store(), f.Clock.Now).Load(t.Context(), "alice")
	require.NoError(t, err)
	var devices []string
	for _, family := range record.Clients["shop"].Families {
		devices = append(devices, family.Device)
	}
	assert.ElementsMatch(t, []string{"phone", "tablet", ""}, devices)
}

func TestE7_DevicesAreNamedOnce(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	code := browser.Authorize(f.AuthorizeURL("revocation_id", "phone"), "alice").Get("code")
	assert.Equal(t, "invalid_request", f.Redeem("shop", code, "revocation_id", "tablet").Get("error"), "not the one of the authorization request")
	for name, pairs := range map[string][]string{
		"two":       {"revocation_id", "phone", "device_id", "tablet"},
		"too long":  {"revocation_id", strings.Repeat("x", 129)},
		"no ASCII":  {"device_id", "tèl"},
		"a newline": {"device_id", "a\nb"},
	} {
		assert.Equal(t, "invalid_request", browser.Get(f.AuthorizeURL(pairs...)).Location.Query().Get("error"), name)
		assert.Equal(t, "invalid_request", f.Token("robot", append(pairs, "grant_type", "client_credentials")...).Get("error"), name)
	}
}

func TestE7_ADeviceIsRevokedByWhoMaySpeakForItsOwner(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	browser := f.NewBrowser()
	phone := grant(f, browser, "alice", "revocation_id", "phone")
	bobs := grant(f, f.NewBrowser(), "bob")
	revoke := func(client, token string) string {
		return f.Post("/revoke", client, url.Values{"token": {token}, "revocation_id": {"phone"}}).Get("error")
	}
	assert.Equal(t, "invalid_client", revoke("", phone.access))
	assert.Equal(t, "invalid_grant", revoke("rotating", phone.access), "another client's token")
	assert.Equal(t, "invalid_grant", revoke("shop", "garbage"), "that would end nothing, and say so to nobody")
	assert.Equal(t, "invalid_request", revoke("shop", ""))
	assert.Equal(t, "invalid_grant", revoke("robot", f.Token("robot", "grant_type", "client_credentials").Get("access_token")))
	assert.Empty(t, revoke("shop", bobs.refresh), "bob has no phone")
	assert.True(t, phone.lives(t, f))

	other := grant(f, browser, "alice")
	require.Empty(t, f.Post("/revoke", "shop", url.Values{"token": {other.refresh}}).Get("error"))
	assert.Equal(t, "invalid_grant", revoke("shop", other.refresh), "a dead token speaks for nobody")
	assert.Equal(t, "invalid_grant", revoke("shop", other.access))
	assert.True(t, phone.lives(t, f))
}

// slow is a store of users that lets a test act while somebody is looked up.
type slow struct {
	users.Store
	meanwhile func()
}

func (s *slow) Lookup(ctx context.Context, subject string) (*users.User, error) {
	if s.meanwhile != nil {
		s.meanwhile()
	}
	return s.Store.Lookup(ctx, subject)
}

func TestA78_AWithdrawalWinsOverWhatIsUnderWay(t *testing.T) {
	for name, withdraw := range map[string]func(s *authz.Server) error{
		"withdrawal": func(s *authz.Server) error { return s.Withdraw(t.Context(), "alice", "shop") },
		"client":     func(s *authz.Server) error { return s.RevokeClient(t.Context(), "shop") },
	} {
		t.Run(name, func(t *testing.T) {
			store := &slow{Store: people(t)}
			cfg := authztest.Config()
			cfg.Users = store
			f := authztest.New(t, cfg)
			code := f.NewBrowser().Authorize(f.AuthorizeURL(), "alice").Get("code")
			f.Clock.Advance(time.Second)
			store.meanwhile = func() { // the code is taken already
				store.meanwhile = nil
				require.NoError(t, withdraw(f.Server))
				f.Clock.Advance(2 * time.Second)
			}
			assert.Equal(t, "invalid_grant", f.Redeem("shop", code).Get("error"))
		})
	}
}

func TestA78_ARevocationWinsOverAnAnswerUnderWay(t *testing.T) {
	for name, revoke := range map[string]func(s *authz.Server) error{
		"user":       func(s *authz.Server) error { return s.RevokeUser(t.Context(), "alice") },
		"withdrawal": func(s *authz.Server) error { return s.Withdraw(t.Context(), "alice", "shop") },
		"client":     func(s *authz.Server) error { return s.RevokeClient(t.Context(), "shop") },
	} {
		for _, responseType := range []string{"token", "id_token", "code"} {
			t.Run(name+" "+responseType, func(t *testing.T) {
				store := &slow{Store: people(t)}
				cfg := implicitConfig()
				cfg.Users = store
				f := authztest.New(t, cfg)
				browser := f.NewBrowser()
				browser.Authorize(f.AuthorizeURL(), "alice")
				f.Clock.Advance(time.Second)
				store.meanwhile = func() { // the session is read already
					store.meanwhile = nil
					require.NoError(t, revoke(f.Server))
					f.Clock.Advance(2 * time.Second)
				}
				page := browser.Get(f.AuthorizeURL("response_type", responseType, "nonce", "n"))
				require.NotNil(t, page.Location, page.Body)
				if responseType == "code" {
					assert.Equal(t, "invalid_grant", f.Redeem("shop", page.Location.Query().Get("code")).Get("error"))
					return
				}
				answer, err := url.ParseQuery(page.Location.Fragment)
				require.NoError(t, err)
				assert.Equal(t, "access_denied", answer.Get("error"))
				assert.Empty(t, answer.Get(responseType))
			})
		}
	}
}
