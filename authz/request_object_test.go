package authz_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/authztest"
)

// clientKey signs what the shop sends.
func clientKey(t *testing.T, kid string) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err, kid)
	return key
}

func publicJWKS(t *testing.T, kid string, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	doc, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: kid}}})
	require.NoError(t, err)
	return doc
}

// requestOf is the request of an authorization URL as members of a request object.
func requestOf(t *testing.T, authorizeURL string, change map[string]any) map[string]any {
	t.Helper()
	u, err := url.Parse(authorizeURL)
	require.NoError(t, err)
	claims := map[string]any{}
	for name, values := range u.Query() {
		claims[name] = values[0]
	}
	maps.Copy(claims, change)
	return claims
}

func unsigned(t *testing.T, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
}

func signedBy(t *testing.T, key *ecdsa.PrivateKey, kid, typ string, claims map[string]any) string {
	t.Helper()
	opts := new(jose.SignerOptions)
	if typ != "" {
		opts = opts.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, opts)
	require.NoError(t, err)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	jws, err := signer.Sign(payload)
	require.NoError(t, err)
	raw, err := jws.CompactSerialize()
	require.NoError(t, err)
	return raw
}

// encryptedTo encrypts to a key that the server publishes for it.
func encryptedTo(t *testing.T, f *authztest.Fixture, alg jose.KeyAlgorithm, raw string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, f.URL+"/jwks.json", nil)
	require.NoError(t, err)
	var set jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal([]byte(f.Do(req).Body), &set))
	for _, key := range set.Keys {
		_, ec := key.Key.(*ecdsa.PublicKey)
		if key.Use != "enc" || ec != strings.HasPrefix(string(alg), "ECDH") {
			continue
		}
		encrypter, err := jose.NewEncrypter(jose.A128CBC_HS256, jose.Recipient{Algorithm: alg, Key: key}, (&jose.EncrypterOptions{}).WithContentType("JWT"))
		require.NoError(t, err)
		jwe, err := encrypter.Encrypt([]byte(raw))
		require.NoError(t, err)
		text, err := jwe.CompactSerialize()
		require.NoError(t, err)
		return text
	}
	require.Fail(t, "no key for "+string(alg))
	return ""
}

func TestE1_RequestObjects(t *testing.T) {
	key := clientKey(t, "a")
	cfg := authztest.Config()
	cfg.Clients[0].JWKS = publicJWKS(t, "a", key)
	f := authztest.New(t, cfg)
	claims := func(change map[string]any) map[string]any {
		return requestOf(t, f.AuthorizeURL("nonce", "inner", "state", "inner-state", "max_age", "600"), change)
	}
	about := map[string]any{
		"iss": "shop", "aud": f.URL, "exp": f.Clock.Now().Add(time.Hour).Unix(), "iat": f.Clock.Now().Unix(), "nbf": f.Clock.Now().Unix(), "jti": "1",
	}
	for name, object := range map[string]string{
		"oidcc-unsigned-request-object":                unsigned(t, claims(nil)),
		"RFC 9101 §4 signed":                           signedBy(t, key, "a", "oauth-authz-req+jwt", claims(about)),
		"OIDC Core §6.1 signed, without typ":           signedBy(t, key, "a", "", claims(map[string]any{"aud": []string{f.URL, "other"}})),
		"signed without kid":                           signedBy(t, key, "", "JWT", claims(nil)),
		"max_age as a number, claims as an object":     signedBy(t, key, "a", "", claims(map[string]any{"max_age": 600, "claims": map[string]any{"userinfo": map[string]any{"nobody": nil}}})),
		"OIDC Core §6.1 encrypted, RSA-OAEP":           encryptedTo(t, f, jose.RSA_OAEP, signedBy(t, key, "a", "", claims(nil))),
		"OIDC Core §6.1 encrypted, RSA-OAEP-256":       encryptedTo(t, f, jose.RSA_OAEP_256, signedBy(t, key, "a", "", claims(nil))),
		"OIDC Core §6.1 encrypted, ECDH-ES":            encryptedTo(t, f, jose.ECDH_ES, signedBy(t, key, "a", "", claims(nil))),
		"OIDC Core §6.1 encrypted, ECDH-ES+A256KW":     encryptedTo(t, f, jose.ECDH_ES_A256KW, signedBy(t, key, "a", "", claims(nil))),
		"RFC 9101 §5 other members change nothing":     signedBy(t, key, "a", "", claims(map[string]any{"sub": "somebody", "jti": "2"})),
		"RFC 8707 §2 resource as a list, of one thing": signedBy(t, key, "a", "", claims(map[string]any{"resource": []string{"https://orders.example.com", "https://orders.example.com"}})),
	} {
		t.Run(name, func(t *testing.T) {
			// oidcc-ensure-request-object-with-redirect-uri, A31: only inner values are used.
			page := f.NewBrowser().SignIn(f.AuthorizeURL("request", object, "redirect_uri", "https://evil.example", "state", "outer", "scope", "openid email"), "alice")
			require.NotNil(t, page.Location, page.Body)
			assert.Equal(t, "https://shop.example.com/callback", strings.Split(page.Location.String(), "?")[0])
			got := page.Location.Query()
			assert.Equal(t, "inner-state", got.Get("state"))
			tokens := f.Redeem("shop", got.Get("code"))
			assert.Equal(t, "inner", f.Claims(tokens.Get("id_token"))["nonce"])
			assert.Equal(t, "openid orders.read", tokens.Get("scope"))
		})
	}
	alone := f.NewBrowser().SignIn(f.URL+"/authorize?client_id=shop&request="+signedBy(t, key, "a", "", claims(nil)), "alice")
	require.NotNil(t, alone.Location, "RFC 9101 §5: client_id is enough beside it")
}

func TestA31_RequestObjects(t *testing.T) {
	key, other := clientKey(t, "a"), clientKey(t, "a")
	cfg := authztest.Config()
	cfg.Clients[0].JWKS = publicJWKS(t, "a", key)
	strict := cfg.Clients[0]
	strict.ID, strict.RequireSignedRequest, strict.RequestObjectAlg = "strict", true, jose.ES256
	keyless := cfg.Clients[0]
	keyless.ID, keyless.JWKS = "keyless", nil
	cfg.Clients = append(cfg.Clients, strict, keyless)
	f := authztest.New(t, cfg)
	now := f.Clock.Now()
	sign := func(change map[string]any) string {
		return signedBy(t, key, "a", "", requestOf(t, f.AuthorizeURL(), change))
	}
	good := sign(nil)
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct {
		object string
		pairs  []string
		want   string
	}{
		"alg none where signing is required":   {unsigned(t, requestOf(t, f.AuthorizeURL("client_id", "strict"), nil)), []string{"client_id", "strict"}, ""},
		"no object where signing is required":  {"", []string{"client_id", "strict"}, "invalid_request"},
		"another client's key":                 {signedBy(t, other, "a", "", requestOf(t, f.AuthorizeURL(), nil)), nil, ""},
		"of a client without keys":             {signedBy(t, key, "a", "", requestOf(t, f.AuthorizeURL("client_id", "keyless"), nil)), []string{"client_id", "keyless"}, ""},
		"without its signature":                {parts[0] + "." + parts[1] + ".", nil, ""},
		"signature cut off, alg none (A1)":     {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"None"}`)) + "." + parts[1] + ".", nil, ""},
		"encrypted and unsigned (A11)":         {encryptedTo(t, f, jose.RSA_OAEP_256, unsigned(t, requestOf(t, f.AuthorizeURL(), nil))), nil, ""},
		"another typ (A6)":                     {signedBy(t, key, "a", "at+jwt", requestOf(t, f.AuthorizeURL(), nil)), nil, ""},
		"nested request_uri":                   {sign(map[string]any{"request_uri": "https://shop.example.com/r"}), nil, ""},
		"nested request":                       {sign(map[string]any{"request": good}), nil, ""},
		"sub is the client: an assertion":      {sign(map[string]any{"sub": "shop"}), nil, ""},
		"client_id of another client inside":   {sign(map[string]any{"client_id": "spa"}), nil, ""},
		"iss is another client":                {sign(map[string]any{"iss": "spa"}), nil, ""},
		"aud is another server":                {sign(map[string]any{"aud": "https://other.example"}), nil, ""},
		"aud is a list of others":              {sign(map[string]any{"aud": []string{f.URL + "/x"}}), nil, ""},
		"response_type differs from the query": {sign(map[string]any{"response_type": "none"}), nil, ""},
		"expired":                              {sign(map[string]any{"exp": now.Add(-time.Minute).Unix()}), nil, ""},
		"not valid yet":                        {sign(map[string]any{"nbf": now.Add(time.Minute).Unix()}), nil, ""},
		"of the future":                        {sign(map[string]any{"iat": now.Add(time.Minute).Unix()}), nil, ""},
		"good for more than an hour":           {sign(map[string]any{"exp": now.Add(2 * time.Hour).Unix()}), nil, ""},
		"was good for more than an hour":       {sign(map[string]any{"iat": now.Add(-50 * time.Minute).Unix(), "exp": now.Add(50 * time.Minute).Unix()}), nil, ""},
		"older than an hour":                   {sign(map[string]any{"iat": now.Add(-2 * time.Hour).Unix()}), nil, ""},
		"exp as text (A15)":                    {sign(map[string]any{"exp": "soon"}), nil, ""},
		"a list where a text belongs":          {sign(map[string]any{"scope": []string{"openid"}}), nil, ""},
		"a NUL":                                {sign(map[string]any{"state": "a\x00b"}), nil, ""},
		"registration, by name":                {sign(map[string]any{"registration": map[string]any{}}), nil, "registration_not_supported"},
		"what is inside is checked like any":   {sign(map[string]any{"prompt": "dance"}), nil, "invalid_request"},
		"not even a JWT":                       {"hello", nil, ""},
		"too large for a token (A13)":          {strings.Repeat("x", 60<<10), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			page := f.NewBrowser().Get(f.AuthorizeURL(append(c.pairs, "request", c.object)...))
			require.NotNil(t, page.Location, page.Body)
			want := c.want
			if want == "" {
				want = "invalid_request_object"
			}
			assert.Equal(t, want, page.Location.Query().Get("error"))
			assert.Equal(t, "the-state", page.Location.Query().Get("state"))
		})
	}
	outside := f.NewBrowser().Get(f.AuthorizeURL("request", "hello", "redirect_uri", "https://evil.example/cb"))
	assert.Equal(t, "error", outside.ID(), "nowhere to send the error: a page")
	assert.Equal(t, http.StatusBadRequest, outside.Status)
	inside := f.NewBrowser().Get(f.AuthorizeURL("request", sign(map[string]any{"redirect_uri": "https://evil.example/cb"})))
	assert.Equal(t, "error", inside.ID(), "A18: a signature registers no redirect URI")
	assert.Nil(t, inside.Location)
}

func TestE1_RequestURI(t *testing.T) {
	key := clientKey(t, "a")
	var object atomic.Value
	var status atomic.Int32
	var asked atomic.Int32
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/request", http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "application/oauth-authz-req+jwt")
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte(object.Load().(string)))
	}))
	t.Cleanup(site.Close)
	cfg := authztest.Config()
	cfg.Fetch.Roots = x509.NewCertPool()
	cfg.Fetch.Roots.AddCert(site.Certificate())
	cfg.Clients[0].JWKS = publicJWKS(t, "a", key)
	cfg.Clients[0].RequestURIs = []string{site.URL + "/request#of-another-day", site.URL + "/moved"}
	f := authztest.New(t, cfg)
	get := func(uri string) *authztest.Page {
		return f.NewBrowser().Get(f.AuthorizeURL("request_uri", uri))
	}
	code := func(page *authztest.Page) string {
		require.NotNil(t, page.Location, page.Body)
		assert.NotContains(t, page.Location.Query().Get("error_description"), "status", "A51: what it led to stays here")
		return page.Location.Query().Get("error")
	}
	status.Store(http.StatusOK)
	claims := requestOf(t, f.AuthorizeURL("nonce", "fetched"), nil)
	for name, raw := range map[string]string{
		"oidcc-request-uri-signed":   signedBy(t, key, "a", "", claims),
		"oidcc-request-uri-unsigned": unsigned(t, claims),
	} {
		object.Store(raw)
		page := f.NewBrowser().SignIn(f.AuthorizeURL("request_uri", site.URL+"/request#today"), "alice")
		require.NotNil(t, page.Location, name)
		tokens := f.Redeem("shop", page.Location.Query().Get("code"))
		assert.Equal(t, "fetched", f.Claims(tokens.Get("id_token"))["nonce"], name)
	}
	before := asked.Load()
	for name, uri := range map[string]string{
		"another path": site.URL + "/other", "a query added": site.URL + "/request?x=1", "http": strings.Replace(site.URL, "https", "http", 1) + "/request",
		"A51 metadata of a cloud": "https://169.254.169.254/request", "a file": "file:///etc/passwd",
	} {
		assert.Equal(t, "invalid_request_uri", code(get(uri)), name)
	}
	assert.Equal(t, before, asked.Load(), "what is not registered is not asked for")

	assert.Equal(t, "invalid_request_uri", code(get(site.URL+"/moved")), "A51: no redirects")
	status.Store(http.StatusNotFound)
	assert.Equal(t, "invalid_request_uri", code(get(site.URL+"/request")))
	status.Store(http.StatusOK)
	object.Store(strings.Repeat("x", 6<<10))
	assert.Equal(t, "invalid_request_uri", code(get(site.URL+"/request")), "A51: 5 KB")
	object.Store("<html>")
	assert.Equal(t, "invalid_request_object", code(get(site.URL+"/request")))
}

func TestE1_ClientsRotateTheKeysThatSignRequests(t *testing.T) {
	first, second := clientKey(t, "a"), clientKey(t, "b")
	var document atomic.Value
	document.Store(publicJWKS(t, "a", first))
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(document.Load().([]byte)) }))
	t.Cleanup(site.Close)
	cfg := authztest.Config()
	cfg.Fetch.Roots = x509.NewCertPool()
	cfg.Fetch.Roots.AddCert(site.Certificate())
	cfg.Clients[0].JWKSURL = site.URL
	f := authztest.New(t, cfg)
	ask := func(key *ecdsa.PrivateKey, kid string) string {
		raw := signedBy(t, key, kid, "", requestOf(t, f.AuthorizeURL("prompt", "none"), nil))
		return f.NewBrowser().Get(f.AuthorizeURL("request", raw)).Location.Query().Get("error")
	}
	require.Equal(t, "login_required", ask(first, "a"))
	document.Store(publicJWKS(t, "b", second))
	assert.Equal(t, "invalid_request_object", ask(second, "b"), "A5: asked a moment ago")
	f.Clock.Advance(time.Minute)
	assert.Equal(t, "login_required", ask(second, "b"), "oidcc-refresh-token-rp-key-rotation: a new kid is looked for")
}

func TestE1_RequestObjectsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		edit    func(*authz.Client)
		problem string
	}{
		"an unknown algorithm":       {func(c *authz.Client) { c.RequestObjectAlg = "HS1" }, "unknown"},
		"by a secret that is hashed": {func(c *authz.Client) { c.RequestObjectAlg = jose.HS256 }, "request_object signed HS256 needs the secret itself, its hash is not enough"},
		"by a secret that is short":  {func(c *authz.Client) { c.RequestObjectAlg, c.Secret = jose.HS512, authztest.Secret }, "at least 64 bytes"},
		"by a secret and no secret": {func(c *authz.Client) {
			*c = authz.Client{ID: "spa", RedirectURIs: c.RedirectURIs, RequestObjectAlg: jose.HS256}
		}, "a public client (auth_method none) can't keep one"},
		"signed without keys":          {func(c *authz.Client) { c.RequestObjectAlg = jose.ES256 }, "need jwks"},
		"required without keys":        {func(c *authz.Client) { c.RequireSignedRequest = true }, "need jwks"},
		"required, and by none":        {func(c *authz.Client) { c.RequireSignedRequest, c.RequestObjectAlg = true, authz.AlgNone }, "exclude"},
		"keys to encrypt to only":      {func(c *authz.Client) { c.RequireSignedRequest, c.JWKS = true, newResourceKey("one").jwks(t) }, "need jwks"},
		"request_uri without TLS":      {func(c *authz.Client) { c.RequestURIs = []string{"http://shop.example.com/r"} }, "https"},
		"request_uri without a scheme": {func(c *authz.Client) { c.RequestURIs = []string{"/r"} }, "https"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := authztest.Config()
			cfg.Issuer, cfg.Users = "https://login.example.com", people(t)
			c.edit(&cfg.Clients[0])
			_, err := authz.New(cfg)
			require.ErrorContains(t, err, c.problem)
		})
	}
}

// TestA51_RequestURIOfAClientThatRegisteredItself: it chose the address, so that has to be a public one,
// unless the operator names the host.
func TestA51_RequestURIOfAClientThatRegisteredItself(t *testing.T) {
	var object atomic.Value
	object.Store("")
	var asked atomic.Int32
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(object.Load().(string)))
	}))
	t.Cleanup(site.Close)
	for name, c := range map[string]struct {
		hosts []string
		page  string
	}{
		"a private address":               {nil, ""},
		"a private one that is let alone": {[]string{"127.0.0.1"}, "login"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := registryConfig(t, authz.RegistrationOpen)
			cfg.Fetch.Roots = x509.NewCertPool()
			cfg.Fetch.Roots.AddCert(site.Certificate())
			cfg.Fetch.AllowHosts = c.hosts
			g := &registry{authztest.New(t, cfg), t}
			const callback = "https://app.example.com/callback"
			app := g.register("", members{"redirect_uris": []string{callback}, "request_uris": []string{site.URL + "/request"}})
			request := g.AuthorizeURL("client_id", app.Get("client_id"), "redirect_uri", callback, "scope", "openid")
			object.Store(unsigned(t, requestOf(t, request, nil)))
			before := asked.Load()
			page := g.NewBrowser().Get(request + "&request_uri=" + url.QueryEscape(site.URL+"/request"))
			assert.Equal(t, c.page, page.ID(), page.Body)
			if c.page == "" {
				assert.Equal(t, "invalid_request_uri", page.Location.Query().Get("error"))
				assert.Equal(t, before, asked.Load(), "nobody is connected to")
			}
		})
	}
}

func TestE1_MembersThatNoParameterHasAreIgnored(t *testing.T) {
	f := authztest.New(t, authztest.Config())
	for name, row := range map[string]struct {
		member string
		value  any
		code   string
	}{
		"RFC 6749 §3.1 a bool":           {"x_flag", true, "login_required"},
		"RFC 6749 §3.1 null":             {"x_null", nil, "login_required"},
		"RFC 6749 §3.1 an array":         {"amr", []string{"pwd"}, "login_required"},
		"a parameter that is a bool":     {"prompt", true, "invalid_request_object"},
		"a parameter that is an array":   {"scope", []string{"openid"}, "invalid_request_object"},
		"a parameter that may be listed": {"resource", []string{"https://orders.example.com"}, "login_required"},
	} {
		t.Run(name, func(t *testing.T) {
			raw := unsigned(t, requestOf(t, f.AuthorizeURL("prompt", "none"), map[string]any{row.member: row.value}))
			assert.Equal(t, row.code, f.NewBrowser().Get(f.AuthorizeURL("request", raw)).Location.Query().Get("error"))
		})
	}
}

func TestE1_RequestObjectsSignedByTheSecret(t *testing.T) {
	cfg := authztest.Config()
	cfg.Clients[0].RequestObjectAlg, cfg.Clients[0].Secret, cfg.Clients[0].RequireSignedRequest = jose.HS256, authztest.Secret, true
	f := authztest.New(t, cfg)
	request := func(client string, change map[string]any) map[string]any {
		return requestOf(t, f.AuthorizeURL("client_id", client, "prompt", "none"), change)
	}
	ask := func(client, raw string) string {
		page := f.NewBrowser().Get(f.AuthorizeURL("client_id", client, "redirect_uri", "https://"+client+".example.com/callback", "request", raw))
		require.NotNil(t, page.Location, page.Body)
		return page.Location.Query().Get("error")
	}
	by := func(alg jose.SignatureAlgorithm, key any) string { return jws(t, alg, key, request("shop", nil)) }
	assert.Equal(t, "login_required", ask("shop", by(jose.HS256, []byte(authztest.Secret))))
	for name, raw := range map[string]string{
		"another secret":              by(jose.HS256, []byte(strings.Repeat("x", 40))),
		"another algorithm":           by(jose.HS384, []byte(authztest.Secret)),
		"A2 a key":                    by(jose.ES256, assertionKeys()[0]),
		"A31 none":                    unsigned(t, request("shop", nil)),
		"A31 an assertion of its own": jws(t, jose.HS256, []byte(authztest.Secret), request("shop", map[string]any{"sub": "shop"})),
	} {
		assert.Equal(t, "invalid_request_object", ask("shop", raw), name)
	}
	rotating := request("rotating", map[string]any{"redirect_uri": "https://rotating.example.com/callback"})
	assert.Equal(t, "invalid_request_object", ask("rotating", jws(t, jose.HS256, []byte(authztest.Secret), rotating)), "who has not registered it")
	for supported, cfg := range map[bool]authz.Config{true: cfg, false: authztest.Config()} {
		document := authztest.New(t, cfg).Bearer(http.MethodGet, "/.well-known/openid-configuration", "").JSON
		list := document["request_object_signing_alg_values_supported"].([]any)
		assert.Equal(t, supported, slices.Contains(list, any("HS256")))
	}
}

func TestE1_ARegisteredClientSignsRequestsByItsSecret(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	const callback = "https://app.example.com/callback"
	app := g.register("", members{"redirect_uris": []string{callback}, "request_object_signing_alg": "HS512"})
	request := g.AuthorizeURL("client_id", app.Get("client_id"), "redirect_uri", callback, "scope", "openid")
	raw := jws(t, jose.HS512, []byte(app.Get("client_secret")), requestOf(t, request, nil))
	assert.Equal(t, "login", g.NewBrowser().Get(request+"&request="+raw).ID())
}

// The secret is for request objects alone: OpenID Connect Dynamic Client Registration §3.2 has one issued also where
// it is not the way to authenticate.
func TestE1_C15_ASecretBesideAKeySignsRequestsOnly(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	key, keys := assertionKeys()[0], json.RawMessage(jwksOf(t, assertionKeys()[0].Public()))
	body := func(alg string) members {
		return members{
			"redirect_uris": app["redirect_uris"], "token_endpoint_auth_method": "private_key_jwt", "jwks": keys, "request_object_signing_alg": alg,
		}
	}
	c := g.register("", body("HS256"))
	id, secret, own := c.Get("client_id"), c.Get("client_secret"), c.Get("registration_access_token")
	assert.InDelta(t, 0, c.JSON["client_secret_expires_at"], 0)
	request := g.AuthorizeURL("client_id", id, "redirect_uri", "https://app.example.com/callback", "scope", "openid", "prompt", "none")
	ask := func(raw string) string {
		return g.NewBrowser().Get(request + "&request=" + raw).Location.Query().Get("error")
	}
	bySecret := func(secret string) string { return jws(t, jose.HS256, []byte(secret), requestOf(t, request, nil)) }
	assert.Equal(t, "login_required", ask(bySecret(secret)))
	assert.Equal(t, "invalid_request_object", ask(jws(t, jose.ES256, key, requestOf(t, request, nil))), "not what it registered")

	claims := func() map[string]any { return assertionClaims(g.Fixture, id, nil) }
	assert.Equal(t, http.StatusOK, g.signInAs(id, jws(t, jose.ES256, key, claims())).Status)
	assert.Equal(t, "invalid_client", g.signInAs(id, jws(t, jose.HS256, []byte(secret), claims())).Get("error"), "A2")
	form := map[string]string{"grant_type": "authorization_code", "code": "x"}
	assert.Equal(t, "invalid_client", g.asClient(id, secret, form).Get("error"), "A42: Basic")
	posted := url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "client_id": {id}, "client_secret": {secret}}
	assert.Equal(t, "invalid_client", g.Post("/token", "", posted).Get("error"), "A42: post")

	renewed := g.call(http.MethodPost, "/register/"+id+"/secret", own, members{"overlap": 0})
	assert.Equal(t, "login_required", ask(bySecret(renewed.Get("client_secret"))))
	assert.Equal(t, "invalid_request_object", ask(bySecret(secret)))
	assert.NotContains(t, g.update(own, id, body("ES256")).JSON, "client_secret", "nothing to sign by it any more")
	assert.Equal(t, "login_required", ask(jws(t, jose.ES256, key, requestOf(t, request, nil))))
	again := g.update(own, id, body("HS512"))
	require.Equal(t, http.StatusOK, again.Status, again.JSON)
	assert.Equal(t, "login_required", ask(jws(t, jose.HS512, []byte(again.Get("client_secret")), requestOf(t, request, nil))))
}

func TestE1_C15_APublicClientHasNoSecretToSignBy(t *testing.T) {
	g := newRegistry(t, authz.RegistrationOpen)
	c := g.register("", members{"redirect_uris": app["redirect_uris"], "token_endpoint_auth_method": "none"})
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		body := members{"redirect_uris": app["redirect_uris"], "request_object_signing_alg": alg, "token_endpoint_auth_method": "none"}
		for name, answer := range map[string]authztest.Answer{
			"registered": g.call(http.MethodPost, "/register", "", body), "updated": g.update(c.Get("registration_access_token"), c.Get("client_id"), body),
		} {
			assert.Equal(t, http.StatusBadRequest, answer.Status, name)
			assert.Equal(t, "invalid_client_metadata", answer.Get("error"), name)
			assert.Contains(t, answer.Get("error_description"), "request_object signed "+alg+" needs a secret, and a public client (auth_method none) can't keep one", name)
		}
	}
}
