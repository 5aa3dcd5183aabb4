package token

import (
	"bytes"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

func TestG12_EveryAlgorithmAgreesWithGoJose(t *testing.T) {
	keys := testKeys()
	var set jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal(keys.JWKS(), &set))
	require.Len(t, set.Keys, len(everyAlgorithm))
	for _, alg := range everyAlgorithm {
		t.Run(string(alg), func(t *testing.T) {
			raw := goodJWS(t, alg)
			parsed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{alg})
			require.NoError(t, err)
			theirs, err := parsed.Verify(set)
			require.NoError(t, err)
			ours, err := keys.Verifier().Verify(raw, TypeAccessToken)
			require.NoError(t, err)
			require.Equal(t, theirs, ours)

			key, kid := private(t, alg)
			options := (&jose.SignerOptions{}).WithType("at+jwt")
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, options)
			require.NoError(t, err)
			signed, err := signer.Sign([]byte(`{"by":"go-jose"}`))
			require.NoError(t, err)
			compact, err := signed.CompactSerialize()
			require.NoError(t, err)
			payload, err := keys.Verifier().Verify(compact, TypeAccessToken)
			require.NoError(t, err)
			require.JSONEq(t, `{"by":"go-jose"}`, string(payload))

			verifier, err := NewVerifier(keys.JWKS())
			require.NoError(t, err)
			_, err = verifier.Verify(raw, TypeAccessToken)
			require.NoError(t, err, "by the published JWKS")
		})
	}
}

func TestVerify_AlteredAnywhereIsRefused(t *testing.T) {
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA} {
		raw := goodJWS(t, alg)
		_, err := testKeys().Verifier().Verify(raw, TypeAccessToken)
		require.NoError(t, err)
		for i := range raw {
			altered := []byte(raw)
			altered[i] ^= 1
			payload, err := testKeys().Verifier().Verify(string(altered), TypeAccessToken)
			require.Errorf(t, err, "%s byte %d", alg, i)
			require.Nil(t, payload)
		}
	}
}

func TestA1_NoneIsRefusedBeforeAnyKey(t *testing.T) {
	_, kid := private(t, jose.ES256)
	for _, alg := range []string{"none", "NONE", "None", "", "es256", "HS256", "HS512"} {
		head := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, kid)
		for _, signature := range []string{"", "AAAA", part(goodJWS(t, jose.ES256), 2)} {
			_, err := testKeys().Verifier().Verify(b64(head)+"."+b64("{}")+"."+signature, TypeAccessToken)
			require.ErrorIs(t, err, ErrAlgorithm, "%s", head)
		}
	}
	_, err := testKeys().Verifier().Verify(b64(`{"kid":"`+kid+`","typ":"at+jwt"}`)+"."+b64("{}")+".", TypeAccessToken)
	require.ErrorIs(t, err, ErrAlgorithm, "missing alg")
}

func TestA2_AlgorithmBelongsToTheKey(t *testing.T) {
	verifier := testKeys().Verifier()
	rsaKey, rsaKid := private(t, jose.RS256)
	der, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	require.NoError(t, err)
	for _, secret := range [][]byte{der, rsaKey.Public().(*rsa.PublicKey).N.Bytes(), testKeys().JWKS()} {
		input := b64(fmt.Sprintf(`{"alg":"HS256","kid":%q,"typ":"at+jwt"}`, rsaKid)) + "." + b64("{}")
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		_, err := verifier.Verify(input+"."+b64(string(mac.Sum(nil))), TypeAccessToken)
		require.ErrorIs(t, err, ErrAlgorithm)
	}
	// The RS256 key signs as PS256: good arithmetic, yet not what the key is for.
	input := b64(fmt.Sprintf(`{"alg":"PS256","kid":%q,"typ":"at+jwt"}`, rsaKid)) + "." + b64("{}")
	signature, err := algorithms["PS256"].sign(rsaKey, input)
	require.NoError(t, err)
	_, err = verifier.Verify(input+"."+b64(string(signature)), TypeAccessToken)
	require.ErrorIs(t, err, ErrAlgorithm)
}

func TestA3_KeysInTheHeaderAreNeverUsed(t *testing.T) {
	attacker := newEC(t, algorithms["ES256"].curve)
	jwk, err := json.Marshal(jose.JSONWebKey{Key: &attacker.PublicKey})
	require.NoError(t, err)
	_, kid := private(t, jose.ES256)
	members := fmt.Sprintf(`"jwk":%s,"jku":"https://evil.example/jwks","x5u":"https://evil.example/x","x5c":["MIIB"]`, jwk)
	for name, key := range map[string]string{"our kid": kid, "their kid": "evil", "no kid": ""} {
		head := fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt",%s}`, key, members)
		input := b64(head) + "." + b64(`{"sub":"admin"}`)
		signature, err := algorithms["ES256"].sign(attacker, input)
		require.NoError(t, err)
		_, err = testKeys().Verifier().Verify(input+"."+b64(string(signature)), TypeAccessToken)
		require.Error(t, err, name)
		if key == "evil" {
			require.ErrorIs(t, err, ErrUnknownKey)
		} else {
			require.ErrorIs(t, err, ErrSignature, name)
		}
	}
	// Beside a good signature they are simply of no interest.
	raw := forge(t, jose.ES256, fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt",%s}`, kid, members), `{}`)
	_, err = testKeys().Verifier().Verify(raw, TypeAccessToken)
	require.NoError(t, err)
}

func TestA6_TypTellsTokensApart(t *testing.T) {
	for _, c := range []struct {
		name, typ string
		wanted    []string
		ok        bool
	}{
		{"RFC 9068 §4 at+jwt", `"at+jwt"`, []string{"at+jwt"}, true},
		{"RFC 9068 §4 with application/", `"application/at+jwt"`, []string{"at+jwt"}, true},
		{"RFC 7515 §4.1.9 case", `"Application/AT+JWT"`, []string{"at+jwt"}, true},
		{"one of several", `"logout+jwt"`, []string{"JWT", "logout+jwt"}, true},
		{"typ left out where it may be", "", []string{"JWT", ""}, true},
		{"ID token as access token", `"JWT"`, []string{"at+jwt"}, false},
		{"access token as ID token", `"at+jwt"`, []string{"JWT", ""}, false},
		{"logout token as access token", `"logout+jwt"`, []string{"at+jwt"}, false},
		{"DPoP proof as access token", `"dpop+jwt"`, []string{"at+jwt"}, false},
		{"introspection JWT as access token", `"token-introspection+jwt"`, []string{"at+jwt"}, false},
		{"no typ as access token", "", []string{"at+jwt"}, false},
		{"prefix before a slash", `"application/x/at+jwt"`, []string{"x/at+jwt"}, false},
		{"white space", `" at+jwt"`, []string{"at+jwt"}, false},
		{"nothing wanted takes nothing", `"at+jwt"`, nil, false},
		{"typ is no string", `["at+jwt"]`, []string{"at+jwt"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, kid := private(t, jose.ES256)
			head := fmt.Sprintf(`{"alg":"ES256","kid":%q}`, kid)
			if c.typ != "" {
				head = fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":%s}`, kid, c.typ)
			}
			raw := forge(t, jose.ES256, head, `{}`)
			// Twice: the second time the header is remembered.
			for range 2 {
				_, err := testKeys().Verifier().Verify(raw, c.wanted...)
				if c.ok {
					require.NoError(t, err)
				} else if !strings.HasPrefix(c.typ, "[") {
					require.ErrorIs(t, err, ErrType)
				} else {
					require.ErrorIs(t, err, ErrMalformed)
				}
			}
		})
	}
}

func TestA6_RememberedHeaderIsStillCheckedForTyp(t *testing.T) {
	verifier, err := NewVerifier(testKeys().JWKS())
	require.NoError(t, err)
	raw := goodJWS(t, jose.ES256)
	_, err = verifier.Verify(raw, TypeAccessToken)
	require.NoError(t, err)
	require.Len(t, *verifier.known.Load(), 1)
	_, err = verifier.Verify(raw, "JWT")
	require.ErrorIs(t, err, ErrType)
	_, err = verifier.Verify(withPart(raw, 2, part(goodJWS(t, jose.ES256), 2)[:80]+"AAAAAA"), TypeAccessToken)
	require.ErrorIs(t, err, ErrSignature)
}

func TestA13_StrictParsing(t *testing.T) {
	verifier := testKeys().Verifier()
	_, kid := private(t, jose.ES256)
	head := func(more string) string {
		return fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt"%s}`, kid, more)
	}
	deep := strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)
	for name, header := range map[string]string{
		"duplicate member":          head(`,"alg":"ES256"`),
		"duplicate unknown member":  head(`,"a":1,"a":1`),
		"duplicate by escape":       head(`,"\u0061lg":"none"`),
		"duplicate, nested":         head(`,"x":{"a":1,"a":2}`),
		"invalid UTF-8":             head(",\"x\":\"\xff\""),
		"lone surrogate":            head(`,"x":"\ud800"`),
		"too deep":                  head(`,"x":` + deep),
		"crit, unknown":             head(`,"crit":["exp"],"exp":1`),
		"crit, empty":               head(`,"crit":[]`),
		"b64":                       head(`,"b64":false`),
		"b64 and crit":              head(`,"b64":false,"crit":["b64"]`),
		"trailing bytes":            head("") + "x",
		"second object":             head("") + "{}",
		"array":                     `["ES256"]`,
		"alg is no string":          `{"alg":["ES256"]}`,
		"kid is no string":          `{"alg":"ES256","kid":1}`,
		"comment":                   head("/**/"),
		"trailing comma":            head(","),
		"control character":         head(",\"x\":\"\n\""),
		"not JSON":                  "alg=ES256",
		"empty":                     "",
		"member without a value":    `{"alg"}`,
		"unterminated":              `{"alg":"ES256`,
		"leading zero":              head(`,"x":01`),
		"number without a fraction": head(`,"x":1.`),
	} {
		_, err := verifier.Verify(forge(t, jose.ES256, header, `{}`), TypeAccessToken)
		require.ErrorIs(t, err, ErrMalformed, name)
	}
	_, err := verifier.Verify(forge(t, jose.ES256, head(`,"x":{"y":[1.5e3,-0,true,null,"\ud83d\ude00"]}`), `{}`), TypeAccessToken)
	require.NoError(t, err, "a strange header that breaks no rule")
}

func TestA13_OneSpellingOnly(t *testing.T) {
	raw := goodJWS(t, jose.ES256)
	verifier := testKeys().Verifier()
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", raw[len(raw)-1])
	loose := raw[:len(raw)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last+1])
	for name, spelling := range map[string]string{
		"stray bits in the last character": loose,
		"padding":                          raw + "=",
		"line break":                       raw[:9] + "\n" + raw[9:],
		"carriage return at the end":       raw + "\r\n",
		"space":                            raw + " ",
		"standard alphabet":                strings.ReplaceAll(raw, ".", "+."),
		"fourth part":                      raw + ".",
		"two parts":                        part(raw, 0) + "." + part(raw, 1),
		"no part":                          "",
		"JSON serialization":               `{"payload":"` + part(raw, 1) + `","protected":"` + part(raw, 0) + `","signature":"` + part(raw, 2) + `"}`,
	} {
		_, err := verifier.Verify(spelling, TypeAccessToken)
		require.ErrorIs(t, err, ErrMalformed, name)
	}
}

func TestA13_TenMegabytesCostNothing(t *testing.T) {
	huge := strings.Repeat("A", 10<<20)
	verifier := testKeys().Verifier()
	allocations := testing.AllocsPerRun(10, func() {
		_, err := verifier.Verify(huge, TypeAccessToken)
		if err == nil {
			t.Error("accepted")
		}
	})
	require.LessOrEqual(t, allocations, 8.0)
	_, err := verifier.Verify(huge, TypeAccessToken)
	require.ErrorIs(t, err, ErrMalformed)
}

func TestVerify_ECDSASignatureHasExactlyItsSize(t *testing.T) {
	raw := goodJWS(t, jose.ES256)
	signature, err := decode(part(raw, 2))
	require.NoError(t, err)
	require.Len(t, signature, 64)
	for name, other := range map[string][]byte{
		"empty": {}, "short": signature[:63], "long": append(bytes.Clone(signature), 0),
		"zeros": make([]byte, 64), "padded halves": append(append([]byte{0}, signature[:32]...), append([]byte{0}, signature[32:]...)...),
	} {
		_, err := testKeys().Verifier().Verify(withPart(raw, 2, b64(string(other))), TypeAccessToken)
		require.ErrorIs(t, err, ErrSignature, name)
	}
}

func TestVerify_KidMissing(t *testing.T) {
	raw := forge(t, jose.ES256, `{"alg":"ES256","typ":"at+jwt"}`, `{}`)
	_, err := testKeys().Verifier().Verify(raw, TypeAccessToken)
	require.NoError(t, err, "one key has this alg")

	rotated, _, err := (&Plan{Algorithms: []jose.SignatureAlgorithm{jose.ES256}}).Rotate(testKeys(), testNow)
	require.NoError(t, err)
	_, err = rotated.Verifier().Verify(raw, TypeAccessToken)
	require.ErrorIs(t, err, ErrUnknownKey, "two keys have this alg")
	_, err = otherKeys().Verifier().Verify(goodJWS(t, jose.ES256), TypeAccessToken)
	require.ErrorIs(t, err, ErrUnknownKey, "another issuer")
}

func TestVerify_RemembersABoundedNumberOfHeaders(t *testing.T) {
	verifier, err := NewVerifier(testKeys().JWKS())
	require.NoError(t, err)
	_, kid := private(t, jose.EdDSA)
	for i := range 2 * rememberedHeaders {
		head := fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"at+jwt","n":%d}`, kid, i)
		_, err := verifier.Verify(b64(head)+"."+b64("{}")+"."+b64("bad"), TypeAccessToken)
		require.ErrorIs(t, err, ErrSignature)
	}
	require.Empty(t, *verifier.known.Load(), "headers under bad signatures are forgotten")
	long := fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"at+jwt","n":%q}`, kid, strings.Repeat("x", rememberedHeaderSize))
	_, err = verifier.Verify(forge(t, jose.EdDSA, long, `{}`), TypeAccessToken)
	require.NoError(t, err)
	require.Empty(t, *verifier.known.Load(), "long headers are not kept")
	for i := range 2 * rememberedHeaders {
		head := fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"at+jwt","n":%d}`, kid, i)
		_, err := verifier.Verify(forge(t, jose.EdDSA, head, `{}`), TypeAccessToken)
		require.NoError(t, err)
	}
	require.Len(t, *verifier.known.Load(), rememberedHeaders)
}

func TestNewVerifier_ForeignKeySets(t *testing.T) {
	ec := newEC(t, algorithms["ES256"].curve)
	good := jose.JSONWebKey{Key: &ec.PublicKey, KeyID: "good"}
	compactOf := func(alg string) string {
		input := b64(`{"alg":"`+alg+`","kid":"good"}`) + "." + b64("{}")
		signature, err := algorithms["ES256"].sign(ec, input)
		require.NoError(t, err)
		return input + "." + b64(string(signature))
	}
	set := string(jwksOf(t, good, jose.JSONWebKey{Key: &testRSA().PublicKey, KeyID: "enc", Use: "enc"}))
	set = strings.Replace(set, `{"keys":[`, `{"keys":[{"kty":"OKP","crv":"X25519","x":"AAAA"},{"kty":"XYZ"},{"kty":"RSA","n":"","e":""},`, 1)
	verifier, err := NewVerifier([]byte(set))
	require.NoError(t, err, "unknown, broken and encryption keys don't take the good one down")
	require.Len(t, verifier.keys, 1)
	_, err = verifier.Verify(compactOf("ES256"), "")
	require.NoError(t, err, "alg derived from the curve")
	_, err = verifier.Verify(compactOf("ES384"), "")
	require.ErrorIs(t, err, ErrAlgorithm)

	small := `{"keys":[{"kty":"RSA","kid":"small","alg":"RS256","e":"AQAB","n":"` + b64(strings.Repeat("\xc1", 128)) + `"}]}`
	for name, c := range map[string]struct {
		doc  string
		kind error
	}{
		"no JSON":         {"nothing", ErrMalformed},
		"no keys":         {`{"keys":[]}`, ErrKey},
		"no member":       {`{}`, ErrKey},
		"keys no array":   {`{"keys":{}}`, ErrMalformed},
		"duplicate":       {`{"keys":[],"keys":[]}`, ErrMalformed},
		"too many":        {`{"keys":[` + strings.Repeat("{},", maxKeys) + `{}]}`, ErrMalformed},
		"too large":       {`{"keys":[],"x":"` + strings.Repeat("x", MaxSize) + `"}`, ErrMalformed},
		"1024 bits":       {small, ErrKey},
		"private":         {string(jwksOf(t, jose.JSONWebKey{Key: ec, KeyID: "a"})), ErrKey},
		"symmetric":       {`{"keys":[{"kty":"oct","alg":"HS256","k":"AAAA"}]}`, ErrKey},
		"other alg":       {string(jwksOf(t, jose.JSONWebKey{Key: &ec.PublicKey, Algorithm: "ES512"})), ErrKey},
		"ECDH alg":        {string(jwksOf(t, jose.JSONWebKey{Key: &ec.PublicKey, Algorithm: "ECDH-ES"})), ErrKey},
		"two of one name": {string(jwksOf(t, good, good)), ErrKey},
	} {
		_, err := NewVerifier([]byte(c.doc))
		require.ErrorIs(t, err, c.kind, name)
	}
}
