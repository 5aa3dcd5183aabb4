package e2e

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// tinySecret is of the client with binary tokens in testdata/resources.Caddyfile.
const tinySecret = "tiny-secret-tiny-secret-tiny-secret"

// resources runs testdata/resources.Caddyfile. rs1 and rs2 are words of the blocks of RS1 and RS2.
func resources(t *testing.T, rs1, rs2 string) *caddy {
	t.Helper()
	c := prepare(t, read(t, "testdata", "resources.Caddyfile"), aliceHash(t))
	writeResourceKeys(t, c.dir, "RS2")
	onP256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	key := jose.JSONWebKey{Key: onP256, KeyID: "RS1-key", Use: "enc"}
	writeHalves(t, c.dir, "RS1", key, key.Public())
	writeX25519(t, c.dir, "RS3")
	c.env = append(c.env, "DIR="+c.dir, "RS1="+rs1, "RS2="+rs2, "RS3="+read(t, c.dir, "RS3.jwks.json"),
		"RS2_JWKS=http://127.0.0.1:"+c.port["9000"]+"/RS2.jwks.json")
	c.run()
	return c
}

// Words of resource servers with keys of their own: on P-256, from a file, and RSA, by URL.
const (
	withKey1 = "encryption resource_key\njwks file {env.DIR}/RS1.jwks.json\nalg ECDH-ES+A256KW\n"
	withKey2 = "encryption resource_key\njwks {env.RS2_JWKS}\nalg RSA-OAEP-256\n"
)

// writeX25519 makes a key that go-jose doesn't know (RFC 8037 §2).
func writeX25519(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	public := map[string]string{"kty": "OKP", "crv": "X25519", "kid": name + "-key", "x": encode(key.PublicKey().Bytes())}
	private := maps.Clone(public)
	private["d"] = encode(key.Bytes())
	writeHalves(t, dir, name, private, public)
}

// script runs a function of resources.mjs.
func (c *caddy) script(t *testing.T, function string, in map[string]any, out any) {
	t.Helper()
	in["dir"] = c.dir
	in["secrets"] = map[string]string{"shop": shopSecret, "robot": serviceSecret}
	in["audiences"] = map[string]string{
		"RS1": c.issuer() + "/rs/RS1", "RS2": c.issuer() + "/rs/RS2", "RS3": "https://rs3.example.com",
	}
	c.node(t, "resources.mjs", function, in, out)
}

func TestR5_R13_TheThreeScenariosWithRealClients(t *testing.T) {
	for name, s := range map[string]struct{ rs1, rs2, named, recipient string }{
		"1: Scope1 of RS1, encrypted to RS2 by its name": {"encryption server_key", withKey2, "RS2", "RS2"},
		"2: RS1 is the default":                          {"default\n" + withKey1, withKey2, "", "RS1"},
		"3: RS1 by its name, RS2 is the default":         {withKey1, "default\n" + withKey2, "RS1", "RS1"},
	} {
		t.Run(name, func(t *testing.T) {
			c := resources(t, s.rs1, s.rs2)
			tokens := make(map[string]string)
			c.script(t, "scenario", map[string]any{"named": s.named, "recipient": s.recipient}, &tokens)
			require.Len(t, tokens, 4)
			for grant, raw := range tokens {
				claims := opened(t, c, s.recipient, raw)
				require.Equal(t, c.issuer(), claims["iss"], grant)
				require.Equal(t, c.issuer()+"/rs/"+s.recipient, claims["aud"], grant)
				require.Equal(t, "Scope1", claims["scope"], grant)
			}
		})
	}
}

// opened is what a resource server in Go does: it decrypts a token with its own key, and verifies it
// with the published ones.
func opened(t *testing.T, c *caddy, name, raw string) (claims map[string]any) {
	t.Helper()
	var own jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal([]byte(read(t, c.dir, name+".private.json")), &own))
	encrypted, err := jose.ParseEncryptedCompact(raw,
		[]jose.KeyAlgorithm{jose.RSA_OAEP_256, jose.ECDH_ES_A256KW}, []jose.ContentEncryption{jose.A256GCM})
	require.NoError(t, err)
	signed, err := encrypted.Decrypt(own.Keys[0])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(verified(t, c, string(signed)), &claims))
	return claims
}

// verified is the payload of an access token (RFC 9068 §4).
func verified(t *testing.T, c *caddy, signed string) []byte {
	t.Helper()
	parsed, err := jose.ParseSignedCompact(signed, []jose.SignatureAlgorithm{jose.ES256})
	require.NoError(t, err)
	require.Equal(t, "at+jwt", parsed.Signatures[0].Protected.ExtraHeaders[jose.HeaderType])
	ctx := oidc.ClientContext(t.Context(), c.client())
	payload, err := oidc.NewRemoteKeySet(ctx, c.issuer()+"/jwks.json").VerifySignature(ctx, signed)
	require.NoError(t, err)
	return payload
}

func TestS5_S4_AnOptionalScopeIsDeclinedAndOnlyNewScopesAreAsked(t *testing.T) {
	resources(t, "", "").script(t, "consent", map[string]any{}, nil)
}

func TestR10_C7_ABinaryTokenOpensAGateUntilItIsRevoked(t *testing.T) {
	c := resources(t, "", "")
	token := post(t, c, "/token", "tiny", tinySecret, "grant_type", "client_credentials").tokens(t)
	require.NotContains(t, token.AccessToken, ".")
	require.LessOrEqual(t, len(token.AccessToken), 256)
	opensUntilRevoked(t, c, "tiny", tinySecret, token.AccessToken)
}

func TestR3_R4_ATokenForAKeyOnX25519OpensTheGateWithThatKey(t *testing.T) {
	c := resources(t, "", "")
	opensUntilRevoked(t, c, "robot", serviceSecret, serviceToken(t, c, "scope", "Scope3"))
	foreign := serviceToken(t, c, "scope", "Scope3", "resourceServer", "RS1")
	require.Equal(t, http.StatusUnauthorized, call(t, c, "/", foreign).status, "A7")
}

// opensUntilRevoked sends a token to the gate before and after its client revokes it.
func opensUntilRevoked(t *testing.T, c *caddy, client, secret, token string) {
	t.Helper()
	let := call(t, c, "/", token)
	require.Equal(t, http.StatusOK, let.status)
	require.Equal(t, client, string(let.body))
	require.Equal(t, http.StatusOK, post(t, c, "/revoke", client, secret, "token", token).status)
	require.Equal(t, http.StatusUnauthorized, call(t, c, "/", token).status)
}
