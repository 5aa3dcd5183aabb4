package foreign

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
	"github.com/gatewright/gatewright/tokeninject"
)

func TestW6_NewRefusesWhatCannotWork(t *testing.T) {
	for want, cfg := range map[string]Config{
		"https URL":            {URL: "http://idp.example"},
		"no address":           {URL: "https://"},
		"a client with":        {URL: "https://idp.example", Introspection: &Introspection{Client: Client{ID: "gate"}}},
		"cache is negative":    {URL: "https://idp.example", Introspection: &Introspection{Client: Client{"a", "b"}, Cache: -1}},
		`introspect "http://x`: {URL: "https://idp.example", Introspection: &Introspection{Client: Client{"a", "b"}, Endpoint: "http://x.example"}},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
	}
}

func TestW6_TokensAreVerifiedByTheIssuersKeys(t *testing.T) {
	s := newServer(t)
	i := s.issuer(nil)
	payload, until, err := i.Open(t.Context(), s.accessToken(nil), nil)
	require.NoError(t, err)
	require.Contains(t, string(payload), `"sub":"alice"`)
	require.Equal(t, s.clock.now().Add(aged), until, "not to the token's end: the key may be withdrawn")

	_, _, err = i.Open(t.Context(), s.sign("JWT", map[string]any{"iss": s.URL}), nil)
	require.ErrorIs(t, err, token.ErrType, "A6: an ID token is no access token")
	_, _, err = i.Open(t.Context(), "opaque", nil)
	require.ErrorIs(t, err, errOpaque)
	require.Equal(t, 1, s.called("/jwks"))
	require.Equal(t, 1, s.called("/.well-known/openid-configuration"))
}

func TestW6_MetadataIsFoundWhereRFC8414PutsIt(t *testing.T) {
	s := newServer(t)
	s.on("/.well-known/openid-configuration", nil)
	s.on("/.well-known/oauth-authorization-server", s.json(func() any { return s.document() }))
	require.NoError(t, s.issuer(nil).Ready(t.Context()))
}

func TestA53_AnIssuerElsewhereHasNoEndpointOnThisMachine(t *testing.T) {
	i, err := New(Config{URL: "https://id.example"})
	require.NoError(t, err)
	for _, endpoint := range []string{"http://127.0.0.1:2019/stop", "https://localhost/token", "https://[::1]:8443/token"} {
		_, err = i.readMetadata([]byte(`{"issuer":"https://id.example","token_endpoint":"` + endpoint + `"}`))
		require.ErrorContains(t, err, "on this machine", endpoint)
	}
}

func TestW6_MetadataOfSomebodyElseAreRefused(t *testing.T) {
	s := newServer(t)
	for name, change := range map[string]map[string]any{
		"another issuer":        {"issuer": "https://evil.example"},
		"no issuer":             {"issuer": nil},
		"an endpoint in clear":  {"token_endpoint": "http://evil.example/token"},
		"a key set in clear":    {"jwks_uri": "http://evil.example/jwks"},
		"an endpoint of a file": {"userinfo_endpoint": "file:///etc/passwd"},
	} {
		t.Run(name, func(t *testing.T) {
			s.on("/.well-known/openid-configuration", s.json(func() any { return with(s.document(), change) }))
			require.ErrorIs(t, s.issuer(nil).Ready(t.Context()), oauth.TemporarilyUnavailable)
		})
	}
	s.on("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.URL+"/elsewhere", http.StatusFound)
	})
	s.on("/elsewhere", s.json(func() any { return s.document() }))
	require.Error(t, s.issuer(nil).Ready(t.Context()), "no redirect is followed")
	s.on("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"issuer":"` + s.URL + `","x":"` + strings.Repeat("x", maxBody) + `"}`))
	})
	require.ErrorContains(t, s.issuer(nil).Ready(t.Context()), "too large")
}

// A5: a key that is not at hand makes the gate look again, but not more often than it may.
func TestA5_UnknownKeysAreLookedForNowAndThen(t *testing.T) {
	s := newServer(t)
	i := s.issuer(nil)
	old := s.accessToken(nil)
	_, _, err := i.Open(t.Context(), old, nil)
	require.NoError(t, err)

	s.rotate()
	fresh := s.accessToken(nil)
	_, _, err = i.Open(t.Context(), fresh, nil)
	require.ErrorIs(t, err, token.ErrUnknownKey, "it looked a moment ago")
	s.clock.advance(retryAfter)
	_, _, err = i.Open(t.Context(), fresh, nil)
	require.NoError(t, err)
	require.Equal(t, 2, s.called("/jwks"))
	for range 100 {
		_, _, err = i.Open(t.Context(), old, nil)
		require.ErrorIs(t, err, token.ErrUnknownKey)
	}
	require.Equal(t, 2, s.called("/jwks"), "a flood fetches nothing")
	_, _, err = i.Open(t.Context(), fresh, nil)
	require.NoError(t, err)
}

// newOpened is an issuer whose keys are at hand, since a token of its was opened.
func newOpened(t *testing.T) (s *server, i *Issuer, raw string) {
	t.Helper()
	s = newServer(t)
	i = s.issuer(nil)
	raw = s.accessToken(nil)
	_, _, err := i.Open(t.Context(), raw, nil)
	require.NoError(t, err)
	return s, i, raw
}

func TestW6_AWithdrawnKeyCountsNoMore(t *testing.T) {
	s, i, raw := newOpened(t)
	s.clock.advance(fresh - time.Second)
	_, until, err := i.Open(t.Context(), raw, nil)
	require.NoError(t, err)
	require.Equal(t, aged-fresh+time.Second, until.Sub(s.clock.now()), "from when the keys were fetched, not from now on")
	keys, _, _ := i.keys.look(fresh)
	last := s.clock.now().Add(aged - fresh)
	require.Equal(t, last.Add(time.Second), keys.counts(last), "to the second")
	s.rotate()
	s.clock.advance(until.Sub(s.clock.now())) // whoever remembers the token asks again
	_, _, err = i.Open(t.Context(), raw, nil)
	require.ErrorIs(t, err, token.ErrUnknownKey, "after a silence, the first who asks waits for the newer keys")
}

func TestW6_AnIssuerThatIsAwayHoldsUpNobodyTwice(t *testing.T) {
	s, i, raw := newOpened(t)
	s.on("/jwks", status(http.StatusBadGateway))
	for range 3 {
		s.clock.advance(aged)
		_, until, err := i.Open(t.Context(), raw, nil)
		require.NoError(t, err)
		require.Equal(t, s.clock.now().Add(retryAfter), until, "it is asked again soon")
	}
	silent := make(chan struct{})
	t.Cleanup(func() { close(silent) })
	s.on("/jwks", func(http.ResponseWriter, *http.Request) { <-silent })
	s.clock.advance(retryAfter)
	began := time.Now()
	_, _, err := i.Open(t.Context(), raw, nil)
	require.NoError(t, err)
	require.Less(t, time.Since(began), newerWait, "that it failed is known, and the next try is behind who asks")
	s.rotate()
	began = time.Now()
	_, _, err = i.Open(t.Context(), s.accessToken(nil), nil)
	require.ErrorIs(t, err, tokeninject.ErrBusy, "nobody can tell whether it is a new key")
	require.Less(t, time.Since(began), fetchTimeout/2, "nor do tokens of unknown keys wait for it to the end")
}

func TestW6_AFailureThatTakesItsTimeIsFollowedByAPause(t *testing.T) {
	s, i, _ := newOpened(t)
	s.on("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		s.clock.advance(fetchTimeout)
		w.WriteHeader(http.StatusBadGateway)
	})
	s.rotate()
	s.clock.advance(retryAfter)
	for range 3 {
		_, _, err := i.Open(t.Context(), s.accessToken(nil), nil)
		require.ErrorIs(t, err, tokeninject.ErrBusy)
	}
	require.Equal(t, 2, s.called("/jwks"))
	_, _, err := i.Open(t.Context(), s.accessToken(nil)+"x", nil)
	require.ErrorIs(t, err, tokeninject.ErrBusy, "it names the key that nobody knows")
}

func TestW6_ASilentIssuerIsWaitedForLongByOneQuestion(t *testing.T) {
	s := newServer(t)
	release := s.hold("/introspect", s.json(func() any { return map[string]any{"active": false} }))
	i := s.issuer(func(c *Config) { c.Introspection = &Introspection{Client: Client{"api", "secret"}} })
	i.silent.Store(true) // as after a first question
	first := make(chan error, 1)
	go func() {
		_, _, err := i.Open(context.Background(), "first", nil)
		first <- err
	}()
	require.Eventually(t, func() bool { return s.called("/introspect") == 1 }, 10*time.Second, time.Millisecond)
	began := time.Now()
	_, _, err := i.Open(t.Context(), "second", nil)
	require.ErrorIs(t, err, oauth.TemporarilyUnavailable)
	require.Less(t, time.Since(began), fetchTimeout/2)
	release()
	require.ErrorIs(t, <-first, errInactive, "which is its word")
	require.False(t, i.silent.Load())
}

func TestW6_OnlyALongWaitTellsThatAnIssuerIsSilent(t *testing.T) {
	s := newServer(t)
	var called func()
	s.on("/introspect", func(_ http.ResponseWriter, r *http.Request) {
		called()
		<-r.Context().Done()
	})
	i := s.issuer(func(c *Config) { c.Introspection = &Introspection{Client: Client{"api", "secret"}} })
	ctx, cancel := context.WithCancel(t.Context())
	called = cancel // it is waited for to the end
	_, err := i.askBounded(ctx, "opaque", [32]byte{})
	require.ErrorIs(t, err, oauth.TemporarilyUnavailable)
	require.True(t, i.silent.Load())

	i.listening.Store(true)
	called = func() { i.silent.Store(false) } // whoever listens has an answer, while we wait a moment
	_, err = i.askBounded(t.Context(), "opaque", [32]byte{})
	require.ErrorIs(t, err, oauth.TemporarilyUnavailable)
	require.False(t, i.silent.Load(), "it is slow, and no more")
}

func TestW6_ANewKeyMayHaveTheNameOfTheOld(t *testing.T) {
	s := newServer(t)
	i := s.issuer(nil)
	_, _, err := i.Open(t.Context(), s.accessToken(nil), nil)
	require.NoError(t, err)
	payload := []byte(`{"iss":"` + s.URL + `"}`)
	for range 2 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		jwk := jose.JSONWebKey{Key: key, KeyID: "k1", Algorithm: "ES256", Use: "sig"}
		s.on("/jwks", s.json(func() any { return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk.Public()}} }))
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jwk}, (&jose.SignerOptions{}).WithType(token.TypeAccessToken))
		require.NoError(t, err)
		signed, err := signer.Sign(payload)
		require.NoError(t, err)
		raw, err := signed.CompactSerialize()
		require.NoError(t, err)
		s.clock.advance(retryAfter)
		opened, _, err := i.Open(t.Context(), raw, nil)
		require.NoError(t, err)
		require.JSONEq(t, string(payload), string(opened))
	}
	asked := s.called("/jwks")
	for range 100 {
		_, _, err = i.Open(t.Context(), s.accessToken(nil)+"x", nil)
		require.Error(t, err)
	}
	require.Equal(t, asked, s.called("/jwks"), "a flood fetches nothing")
}

func TestW6_AnIssuerThatIsAwayIsRemembered(t *testing.T) {
	s, i, raw := newOpened(t)
	s.on("/jwks", status(http.StatusBadGateway))
	s.on("/.well-known/openid-configuration", status(http.StatusBadGateway))
	s.clock.advance(staleBound - time.Minute)
	_, _, err := i.Open(t.Context(), raw, nil)
	require.NoError(t, err, "stale keys serve on")
	s.clock.advance(time.Hour)
	_, _, err = i.Open(t.Context(), raw, nil)
	require.ErrorIs(t, err, oauth.TemporarilyUnavailable, "but not for ever")
}

func TestW6_AFetchIsOneFlight(t *testing.T) {
	s := newServer(t)
	held := make(chan struct{})
	s.on("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		<-held
		_, _ = w.Write(s.keys.JWKS())
	})
	i := s.issuer(nil)
	raw := s.accessToken(nil)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, _, err := i.Open(context.Background(), raw, nil); err != nil {
				t.Error(err)
			}
		})
	}
	require.Eventually(t, func() bool { return s.called("/jwks") == 1 }, 10*time.Second, time.Millisecond)
	close(held)
	all.Wait()
	require.Equal(t, 1, s.called("/jwks"))
}

func TestW6_Introspection(t *testing.T) {
	s := newServer(t)
	i := s.issuer(func(c *Config) { c.Introspection = &Introspection{Client: Client{"api", "api secret"}} })
	active := func(change map[string]any) http.HandlerFunc {
		return s.json(func() any {
			return with(map[string]any{"active": true, "aud": "https://api.example", "sub": "alice", "client_id": "shop", "scope": "a b", "username": "al"}, change)
		})
	}
	s.on("/introspect", active(nil))
	payload, until, err := i.Open(t.Context(), "opaque-1", nil)
	require.NoError(t, err)
	require.Equal(t, s.clock.now().Add(defaultCache), until)
	require.Equal(t, "opaque-1", s.lastForm()["token"])
	require.Equal(t, "api:api+secret", s.lastForm()["basic"], "RFC 6749 §2.3.1")
	at, err := token.ParseAccessToken(payload, s.clock.now(), 0)
	require.NoError(t, err)
	require.Equal(t, "alice", at.Subject)
	require.Equal(t, []string{"a", "b"}, at.Scope)
	require.Equal(t, s.URL, at.Issuer)

	// A JWT of another profile is asked about, too.
	_, _, err = i.Open(t.Context(), s.sign("JWT", map[string]any{"iss": s.URL}), nil)
	require.NoError(t, err)
	// One whose signature is bad is not.
	asked := s.called("/introspect")
	_, _, err = i.Open(t.Context(), s.accessToken(nil)+"x", nil)
	require.Error(t, err)
	require.Equal(t, asked, s.called("/introspect"))

	for name, row := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"inactive":                    {s.json(func() any { return map[string]any{"active": false} }), errInactive},
		"active as a word":            {active(map[string]any{"active": "true"}), errInactive},
		"no active":                   {active(map[string]any{"active": nil}), errInactive},
		"of another issuer":           {active(map[string]any{"iss": "https://evil.example"}), errAnotherIss},
		"for nobody in special":       {active(map[string]any{"aud": nil}), errNoAudience},
		"a refresh token of Hydra":    {active(map[string]any{"token_use": "refresh_token"}), errNotAccess},
		"a refresh token of Keycloak": {active(map[string]any{"typ": "Refresh"}), errNotAccess},
		"an ID token of Keycloak":     {active(map[string]any{"typ": "ID"}), errNotAccess},
		"for a client with a key":     {active(map[string]any{"token_type": "DPoP"}), errNotAccess},
		"no JSON":                     {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, errAnswer},
		"active twice": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"active":false,"active":true,"aud":"https://api.example"}`))
		}, errAnswer},
		"our secret is wrong": {status(http.StatusUnauthorized), oauth.TemporarilyUnavailable},
		"broken":              {status(http.StatusInternalServerError), oauth.TemporarilyUnavailable},
		"a redirect":          {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/introspect2", http.StatusFound) }, oauth.TemporarilyUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s.on("/introspect", row.answer)
			_, _, err := i.Open(t.Context(), "opaque", nil)
			require.ErrorIs(t, err, row.want)
		})
	}
}

func TestW6_SignedIntrospectionIsForThisGateOnly(t *testing.T) {
	s := newServer(t)
	i := s.issuer(func(c *Config) { c.Introspection = &Introspection{Client: Client{"api", "secret"}} })
	answer := func(typ string, change map[string]any) error {
		raw := s.sign(typ, with(map[string]any{
			"iss": s.URL, "aud": "api", "iat": s.clock.now().Unix(),
			"token_introspection": map[string]any{"active": true, "aud": "https://api.example", "sub": "alice", "client_id": "shop"},
		}, change))
		s.on("/introspect", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/token-introspection+jwt")
			_, _ = w.Write([]byte(raw))
		})
		_, _, err := i.Open(t.Context(), "opaque", nil)
		return err
	}
	require.NoError(t, answer(typIntrospection, nil))
	require.ErrorIs(t, answer(typIntrospection, map[string]any{"aud": "other"}), errAnswerToWho)
	require.ErrorIs(t, answer(typIntrospection, map[string]any{"iss": "https://evil.example"}), errAnswerToWho)
	require.ErrorIs(t, answer(typIntrospection, map[string]any{"token_introspection": "yes"}), errAnswer)
	require.ErrorIs(t, answer(token.TypeAccessToken, nil), token.ErrType, "A6")
	require.ErrorIs(t, answer(typIntrospection, map[string]any{"token_introspection": map[string]any{"active": false}}), errInactive)
}

func TestW6_IntrospectionIsOneFlightAToken(t *testing.T) {
	s := newServer(t)
	held := make(chan struct{})
	s.on("/introspect", func(w http.ResponseWriter, r *http.Request) {
		<-held
		s.json(func() any { return map[string]any{"active": true, "aud": "a", "sub": "s", "client_id": "c"} })(w, r)
	})
	i := s.issuer(func(c *Config) { c.Introspection = &Introspection{Client: Client{"api", "secret"}} })
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, _, err := i.Open(ctx, "opaque", nil)
		gone <- err
	}()
	require.Eventually(t, func() bool { return s.called("/introspect") == 1 }, 10*time.Second, time.Millisecond)
	var all, begun sync.WaitGroup
	begun.Add(20)
	for range 20 {
		all.Go(func() {
			begun.Done()
			if _, _, err := i.Open(context.Background(), "opaque", nil); err != nil {
				t.Error(err)
			}
		})
	}
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled, "whoever goes away waits no longer")
	begun.Wait()
	require.Equal(t, 1, s.called("/introspect"), "everybody waits for the first")
	close(held)
	all.Wait()
}

func TestA5_AFloodAsksTheIssuerForAFewAtOnce(t *testing.T) {
	s := newServer(t)
	release := s.hold("/introspect", s.json(func() any { return map[string]any{"active": false} }))
	i := s.issuer(func(c *Config) { c.Introspection = &Introspection{Client: Client{"api", "secret"}} })
	var all sync.WaitGroup
	var busy atomic.Int64
	for n := range 10 * maxAsking {
		all.Go(func() {
			if _, _, err := i.Open(context.Background(), fmt.Sprint("opaque-", n), nil); errors.Is(err, oauth.TemporarilyUnavailable) {
				busy.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return busy.Load() >= 9*maxAsking }, 10*time.Second, time.Millisecond)
	release()
	all.Wait()
	require.Equal(t, maxAsking, s.called("/introspect"))
	_, _, err := i.Open(t.Context(), "opaque", nil)
	require.ErrorIs(t, err, errInactive, "it is over")
}

func TestW6_AgeingKeysAreFetchedByOneWhoWaitsForNobody(t *testing.T) {
	s, i, raw := newOpened(t)
	release := s.hold("/jwks", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(s.keys.JWKS()) })
	s.clock.advance(fresh)
	before := runtime.NumGoroutine()
	for range 1000 {
		_, _, err := i.Open(t.Context(), raw, nil)
		require.NoError(t, err)
	}
	require.Less(t, runtime.NumGoroutine(), before+100)
	release()
	require.Eventually(t, func() bool { return len(i.keys.flight) == 0 && s.called("/jwks") == 2 }, 10*time.Second, time.Millisecond)
}
