package tokeninject

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/token"
)

func TestW1_GoodTokenPasses(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.Headers = []HeaderInjection{{"X-User", subject}} })
	bearer := "Authorization: Bearer " + s.issuer.accessToken(t, nil)
	for range 3 {
		require.Equal(t, http.StatusOK, s.get("/orders?a=1", bearer).status)
		got := s.last()
		require.Equal(t, "/orders?a=1", got.uri)
		require.Equal(t, "bob-id", got.header.Get("X-User"))
		require.NotContains(t, got.header, "Authorization")
	}
	require.EqualValues(t, 1, s.issuer.opened.Load(), "seen before, so not verified again")
}

func TestW1_TokensThatAreRefused(t *testing.T) {
	s := newSite(t, nil)
	now := s.clock.now()
	idToken, err := s.issuer.keys.Sign(jose.ES256, "JWT", []byte(`{"iss":"`+testURL+`","sub":"bob-id","aud":"shop"}`))
	require.NoError(t, err)
	good := s.issuer.accessToken(t, nil)
	rows := []struct {
		rule, token, cause string
	}{
		{"A7 audience of another resource server", s.issuer.accessToken(t, func(a *token.AccessToken) { a.Audience = []string{testURL + "/rs/RS1"} }), "not valid"},
		{"A7 audience compares exactly", s.issuer.accessToken(t, func(a *token.AccessToken) { a.Audience = []string{testAudience + "/"} }), "not valid"},
		{"RFC 9068 §4 iss differs", s.issuer.accessToken(t, func(a *token.AccessToken) { a.Issuer = testURL + "/" }), "not valid"},
		{"RFC 9068 §4 exp", s.issuer.accessToken(t, func(a *token.AccessToken) { a.IssuedAt, a.ExpiresAt = now.Add(-time.Hour), now.Add(-time.Minute) }), "has expired"},
		{"exp a second ago is past, whatever the leeway", s.issuer.accessToken(t, func(a *token.AccessToken) { a.IssuedAt, a.ExpiresAt = now.Add(-time.Hour), now.Add(-time.Second) }), "has expired"},
		{"A15 nbf in the future", s.issuer.accessToken(t, func(a *token.AccessToken) { a.NotBefore = now.Add(time.Minute) }), "not valid"},
		{"A46 bound to a key", s.issuer.accessToken(t, func(a *token.AccessToken) { a.Extra["cnf"] = map[string]any{"jkt": "x"} }), "not valid"},
		{"A6 ID token", idToken, "not valid"},
		{"A1 unsigned", "eyJhbGciOiJub25lIn0.e30.", "not valid"},
		{"altered", good[:len(good)-6] + "AAAAAA", "not valid"},
		{"opaque", "some-opaque-token", "not valid"},
		{"A13 huge", strings.Repeat("a", token.MaxSize+1), "not valid"},
	}
	for _, row := range rows {
		t.Run(row.rule, func(t *testing.T) {
			got := s.get("/", "Authorization: Bearer "+row.token)
			if len(row.token) > token.MaxSize && got.status == http.StatusRequestHeaderFieldsTooLarge {
				return
			}
			require.Equal(t, http.StatusUnauthorized, got.status)
			require.Contains(t, got.header.Get("WWW-Authenticate"), `error="invalid_token"`)
			require.Contains(t, got.header.Get("WWW-Authenticate"), row.cause)
			require.Empty(t, got.header["Set-Cookie"])
			s.nothingArrived()
		})
	}
}

func TestW1_CachedTokenEndsAtItsExp(t *testing.T) {
	s := newSite(t, nil)
	bearer := "Authorization: Bearer " + s.issuer.accessToken(t, nil)
	require.Equal(t, http.StatusOK, s.get("/", bearer).status)
	s.clock.advance(10*time.Minute - time.Second)
	require.Equal(t, http.StatusOK, s.get("/", bearer).status)
	s.clock.advance(time.Second)
	require.Equal(t, http.StatusUnauthorized, s.get("/", bearer).status)
}

func TestW7_CachedTokenDiesWithItsRevocation(t *testing.T) {
	revoke := map[string]func(s *site) error{
		"family": func(s *site) error {
			return s.issuer.feed.Revoke(t.Context(), revocation.Family, "grant-b", time.Time{})
		},
		"session": func(s *site) error {
			return s.issuer.feed.Revoke(t.Context(), revocation.Session, "sid-b", time.Time{})
		},
		"token": func(s *site) error {
			return s.issuer.feed.Revoke(t.Context(), revocation.Token, "jti-b", time.Time{})
		},
		"user": func(s *site) error {
			return s.issuer.feed.RevokeBefore(t.Context(), revocation.User, "bob-id", s.clock.now(), time.Time{})
		},
		"client": func(s *site) error {
			return s.issuer.feed.RevokeBefore(t.Context(), revocation.Client, "shop", s.clock.now(), time.Time{})
		},
	}
	for name, revoke := range revoke {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			bearer := "Authorization: Bearer " + s.issuer.accessToken(t, func(a *token.AccessToken) { a.ID = "jti-b" })
			other := "Authorization: Bearer " + s.issuer.accessToken(t, func(a *token.AccessToken) {
				a.GrantID, a.SessionID, a.Subject, a.ClientID = "grant-c", "sid-c", "carol-id", "other"
			})
			require.Equal(t, http.StatusOK, s.get("/", bearer).status)
			require.Equal(t, http.StatusOK, s.get("/", other).status)
			require.NoError(t, revoke(s))
			require.Equal(t, http.StatusUnauthorized, s.get("/", bearer).status)
			require.Equal(t, http.StatusUnauthorized, s.get("/", bearer).status)
			for range 2 {
				require.Equal(t, http.StatusOK, s.get("/", other).status)
			}
			require.EqualValues(t, 3, s.issuer.opened.Load(), "the other token stayed in the cache")
		})
	}
}

func TestR13_GateWithoutAudienceTakesNoBearerTokens(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.ResourceServer = ""; withSession(cfg) })
	got := s.get("/", "Authorization: Bearer "+s.issuer.accessToken(t, nil))
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.Zero(t, s.issuer.opened.Load())

	s = newSite(t, func(cfg *Config) { cfg.ResourceServer, cfg.Audiences = "", []string{"urn:a", testAudience} })
	require.Equal(t, http.StatusOK, s.get("/", "Authorization: Bearer "+s.issuer.accessToken(t, nil)).status)
}

// resourceKey is the key of a resource server: its private half as a JWKS, and what encrypts to it.
func resourceKey(t *testing.T) (private []byte, encrypt func(text string) string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	jwk := jose.JSONWebKey{Key: key, KeyID: "rs-key", Use: "enc", Algorithm: "RSA-OAEP-256"}
	private, err = json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk}})
	require.NoError(t, err)
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: key.Public(), KeyID: "rs-key"},
		(&jose.EncrypterOptions{}).WithContentType("JWT"))
	require.NoError(t, err)
	return private, func(text string) string {
		sealed, err := encrypter.Encrypt([]byte(text))
		require.NoError(t, err)
		raw, err := sealed.CompactSerialize()
		require.NoError(t, err)
		return raw
	}
}

func TestR3_TokensOfEveryEncryptionPass(t *testing.T) {
	private, encrypt := resourceKey(t)
	s := newSite(t, func(cfg *Config) { cfg.DecryptKey = private })
	raw := s.issuer.accessToken(t, nil)
	serverKey, err := s.issuer.keys.Encrypt(raw)
	require.NoError(t, err)
	for name, sent := range map[string]string{"none": raw, "server_key": serverKey, "resource_key": encrypt(raw)} {
		require.Equal(t, http.StatusOK, s.get("/", "Authorization: Bearer "+sent).status, name)
		require.Equal(t, http.StatusOK, s.get("/", "Authorization: Bearer "+sent).status, name)
	}
	payload := strings.Split(raw, ".")[1]
	require.Equal(t, http.StatusUnauthorized, s.get("/", "Authorization: Bearer "+encrypt("eyJhbGciOiJub25lIn0."+payload+".")).status, "A11")
}

func TestA5_RefusedTokenIsRememberedForAMoment(t *testing.T) {
	s := newSite(t, nil)
	bad := "Authorization: Bearer " + s.issuer.accessToken(t, func(a *token.AccessToken) { a.Audience = []string{"elsewhere"} })
	for range 5 {
		require.Equal(t, http.StatusUnauthorized, s.get("/", bad).status)
	}
	require.EqualValues(t, 1, s.issuer.opened.Load())
	s.clock.advance(refusedFor)
	require.Equal(t, http.StatusUnauthorized, s.get("/", bad).status)
	require.EqualValues(t, 2, s.issuer.opened.Load(), "a key may have been published meanwhile")
}

func TestA5_FloodOfBadTokensNeedsNoMemory(t *testing.T) {
	s := newSite(t, nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil)
	require.NoError(t, err)
	heap := func() int64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	flood := func(from int) {
		for i := range 20_000 {
			r.Header["Authorization"] = []string{fmt.Sprintf("Bearer bad-%d", from+i)}
			require.False(t, s.enforcer.Check(nil, r, Verdict{}).Pass)
		}
	}
	flood(0)
	before := heap()
	flood(20_000)
	require.Less(t, heap()-before, int64(256<<10))
}

func TestA9_DecryptionsInFlightAreBounded(t *testing.T) {
	private, encrypt := resourceKey(t)
	s := newSite(t, func(cfg *Config) { cfg.DecryptKey = private })
	for range cap(s.enforcer.decrypting) {
		s.enforcer.decrypting <- struct{}{}
	}
	sealed := encrypt(s.issuer.accessToken(t, nil))
	got := s.get("/", "Authorization: Bearer "+sealed)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, s.get("/", "Authorization: Bearer "+s.issuer.accessToken(t, nil)).status, "others don't wait")
	serverKey, err := s.issuer.keys.Encrypt(s.issuer.accessToken(t, nil))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, s.get("/", "Authorization: Bearer "+serverKey).status, "nor does who needs none")
	<-s.enforcer.decrypting
	require.Equal(t, http.StatusOK, s.get("/", "Authorization: Bearer "+sealed).status, "what was busy was not refused")
}

func TestA9_AnAddressBringsOnlySoManyTokensOfNoUse(t *testing.T) {
	private, encrypt := resourceKey(t)
	s := newSite(t, func(cfg *Config) {
		cfg.DecryptKey = private
		cfg.Seen = func(r *http.Request) Seen {
			seen := seenDirectly(r)
			seen.ClientIP = r.Header.Get("X-From")
			return seen
		}
	})
	sealed := encrypt(s.issuer.accessToken(t, nil))
	bad := func(i int) string {
		if i%2 == 0 { // anybody can encrypt to a public key
			return "Authorization: Bearer " + encrypt(fmt.Sprint("rubbish-", i))
		}
		parts := strings.Split(sealed, ".") // another key's cipher text
		parts[1] = fmt.Sprintf("%04d", i) + parts[1][4:]
		return "Authorization: Bearer " + strings.Join(parts, ".")
	}
	for i := range undecryptableBurst {
		require.Equal(t, http.StatusUnauthorized, s.get("/", bad(i), "X-From: 192.0.2.1").status)
	}
	got := s.get("/", bad(undecryptableBurst), "X-From: 192.0.2.1")
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, s.get("/", "Authorization: Bearer "+sealed, "X-From: 192.0.2.2").status)
	require.Equal(t, http.StatusOK, s.get("/", "Authorization: Bearer "+sealed, "X-From: 192.0.2.1").status, "it was seen before")
	s.clock.advance(time.Second)
	require.Equal(t, http.StatusUnauthorized, s.get("/", bad(undecryptableBurst), "X-From: 192.0.2.1").status)
}

func TestIssuerThatIsNotReadyOpensNothing(t *testing.T) {
	s := newSite(t, nil)
	s.issuer.notReady = errors.New("starting")
	bearer := "Authorization: Bearer " + s.issuer.accessToken(t, nil)
	got := s.get("/", bearer)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.NotContains(t, got.body, "starting")
	s.issuer.set(func() { s.issuer.notReady = nil })
	require.Equal(t, http.StatusOK, s.get("/", bearer).status)
}

func TestUnknownResourceServerOpensNothing(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.ResourceServer = "nobody" })
	require.Equal(t, http.StatusServiceUnavailable, s.get("/", "Authorization: Bearer "+s.issuer.accessToken(t, nil)).status)
	s.nothingArrived()
}

func TestIdentitySaysWhatTheTokenSays(t *testing.T) {
	s := newSite(t, nil)
	raw := s.issuer.accessToken(t, func(a *token.AccessToken) { a.Subject = "b\"ö\\b"; a.ScopeAsArray = true })
	for _, round := range []string{"verified", "from the cache"} {
		id := s.check(raw).Identity
		require.Equal(t, "b\"ö\\b", id.Subject, round)
		require.Equal(t, "shop", id.ClientID)
		require.Equal(t, "bob", id.Username)
		require.Equal(t, "sid-b", id.SessionID)
		require.Equal(t, "grant-b", id.GrantID)
		require.Equal(t, "orders.read orders.list", id.Scope)
		require.Equal(t, s.clock.now().Add(10*time.Minute).Unix(), id.Expires.Unix())
		require.Equal(t, s.clock.now().Unix(), id.IssuedAt.Unix())
		require.Equal(t, []string{"buyer"}, id.Roles())
		claims, ok := id.Claim("claims")
		require.True(t, ok)
		require.Equal(t, []any{"read"}, claims)
		level, ok := id.Claim("level")
		require.True(t, ok)
		require.Equal(t, json.Number("7"), level)
		_, ok = id.Claim("none")
		require.False(t, ok)
		require.Nil(t, id.Session())
	}
	require.EqualValues(t, 1, s.issuer.opened.Load())
}

// check takes a bearer token straight through the gate.
func (s *site) check(raw string) Verdict {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://localhost/", nil)
	require.NoError(s.t, err)
	r.Header.Set("Authorization", "Bearer "+raw)
	verdict := s.enforcer.Check(nil, r, Verdict{})
	require.True(s.t, verdict.Pass)
	verdict.Done()
	return verdict
}

func TestPolicyOfOneGateIsNotAnothers(t *testing.T) {
	s := newSite(t, nil)
	raw := s.issuer.accessToken(t, nil)
	s.check(raw)
	strict := s.gate(func(cfg *Config) { cfg.Require = []Requirement{{Kind: RequireScope, Values: []string{"orders.write"}}} })
	for range 2 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+raw)
		require.False(t, strict.Check(nil, r, Verdict{}).Pass)
	}
}

func TestTokensAreVerifiedFromManyGoroutines(t *testing.T) {
	s := newSite(t, nil)
	tokens := make([]string, 8)
	for i := range tokens {
		tokens[i] = s.issuer.accessToken(t, func(a *token.AccessToken) { a.Subject = fmt.Sprint("user-", i) })
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				n := (g + i) % len(tokens)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil)
				if err != nil {
					panic(err)
				}
				r.Header.Set("Authorization", "Bearer "+tokens[n])
				verdict := s.enforcer.Check(nil, r, Verdict{})
				if !verdict.Pass || verdict.Identity.Subject != fmt.Sprint("user-", n) {
					t.Errorf("token %d: %+v", n, verdict)
					return
				}
				verdict.Done()
			}
		})
	}
	wg.Wait()
}
