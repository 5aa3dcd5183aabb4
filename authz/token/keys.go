package token

import (
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Keys is everything secret that one issuer owns: its signing keys, the keys of
// encryption "server_key", and a master secret for what only the server reads.
// They are as of one time, which At changes; a Plan makes other ones of them.
type Keys struct {
	// signing has all keys that are published; those of one algorithm stand in
	// the order in which they sign.
	signing []*signingKey
	server  []*serverKey // in the order in which they encrypt
	master  []byte
	// interval between rotations, as the configuration that was last started
	// wants it; 0 for never.
	interval time.Duration

	signers    map[jose.SignatureAlgorithm]*signingKey
	encrypting *serverKey
	jwks       []byte
	verifier   *Verifier
}

type signingKey struct {
	verifyKey
	keyTimes
	private crypto.Signer // nil for a key that is only published any more
	chain   []*x509.Certificate
	// imported is a key whose private half lives in a file of the operator.
	imported bool
}

// GenerateKeys makes the keys of a new issuer, one for each algorithm.
// ErrAlgorithm for one that isn't RS, PS or ES with 256, 384 or 512, or EdDSA.
func GenerateKeys(algs []jose.SignatureAlgorithm, now time.Time) (*Keys, error) {
	return (&Plan{Algorithms: algs}).Generate(now)
}

// freeze checks the parts and prepares what is derived from them.
func (k *Keys) freeze(now time.Time) (*Keys, error) {
	if len(k.master) != masterSize || len(k.server) == 0 {
		return nil, refuse(ErrKey, "master secret or encryption key is missing")
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	verify := make([]*verifyKey, 0, len(k.signing))
	kids := make(map[string]bool)
	for _, key := range k.signing {
		if kids[key.kid] {
			return nil, refuse(ErrKey, "one key for two algorithms (RFC 8725 §3.1)")
		}
		kids[key.kid] = true
		verify = append(verify, &key.verifyKey)
		set.Keys = append(set.Keys, key.publicJWK())
	}
	var err error
	if k.jwks, err = json.Marshal(set); err != nil {
		return nil, fmt.Errorf("JWKS: %w", err)
	}
	if k.verifier, err = newVerifier(verify); err != nil {
		return nil, err
	}
	k.signers, k.encrypting = k.choose(now)
	return k, nil
}

// At returns the same keys as of another time: a key that was published ahead
// signs once its time has come. It is k itself where that makes no difference.
func (k *Keys) At(now time.Time) *Keys {
	signers, encrypting := k.choose(now)
	if encrypting == k.encrypting && maps.Equal(signers, k.signers) {
		return k
	}
	next := *k
	next.signers, next.encrypting = signers, encrypting
	return &next
}

// choose finds what signs and encrypts at a time: the last key that has begun
// and whose private half is at hand. Before any has, by a clock that is behind
// those of other nodes, it is the first.
func (k *Keys) choose(now time.Time) (map[jose.SignatureAlgorithm]*signingKey, *serverKey) {
	signers := make(map[jose.SignatureAlgorithm]*signingKey)
	for _, key := range k.signing {
		if key.private == nil {
			continue
		}
		if signers[key.algorithm.name] == nil || key.begun(now) {
			signers[key.algorithm.name] = key
		}
	}
	encrypting := k.server[0]
	for _, key := range k.server {
		if key.begun(now) {
			encrypting = key
		}
	}
	return signers, encrypting
}

// SameIssuer tells whether other has the same master secret, as all keys that
// one issuer ever has.
func (k *Keys) SameIssuer(other *Keys) bool {
	return subtle.ConstantTimeCompare(k.master, other.master) == 1
}

func (k *signingKey) publicJWK() jose.JSONWebKey {
	jwk := k.verifyKey.publicJWK()
	jwk.Certificates = k.chain
	return jwk
}

// newSigningKey checks that a private key is sound by using it once.
func newSigningKey(a *algorithm, private crypto.Signer) (*signingKey, error) {
	key, err := newPublishedKey(a, private.Public())
	if err != nil {
		return nil, err
	}
	const probe = "probe"
	signature, err := a.sign(private, probe)
	if err != nil || !a.verify(key.public, probe, signature) {
		return nil, refuse(ErrKey, "the private key doesn't match its public key")
	}
	key.private = private
	return key, nil
}

func newPublishedKey(a *algorithm, public crypto.PublicKey) (*signingKey, error) {
	if err := a.fits(public); err != nil {
		return nil, err
	}
	kid, err := thumbprint(public)
	if err != nil {
		return nil, err
	}
	return &signingKey{verifyKey: verifyKey{algorithm: a, kid: kid, public: public}}, nil
}

// Algorithms lists what Sign takes, sorted.
func (k *Keys) Algorithms() []jose.SignatureAlgorithm {
	return slices.Sorted(maps.Keys(k.signers))
}

// JWKS is the public JWK Set document (RFC 7517 §5) with every signing key,
// those that sign later or only verify any more included. The caller must not
// change it.
func (k *Keys) JWKS() []byte { return k.jwks }

// Verifier verifies what Sign signed. It is the same one at every call.
func (k *Keys) Verifier() *Verifier { return k.verifier }

// Sign makes a compact JWS (RFC 7515 §3.1) whose header has alg, kid and typ
// only; "" leaves typ out. ErrKey when no key signs with alg, ErrType when typ
// is no media type, ErrMalformed when the result would be over MaxSize.
func (k *Keys) Sign(alg jose.SignatureAlgorithm, typ string, payload []byte) (string, error) {
	key := k.signers[alg]
	if key == nil {
		return "", refuse(ErrKey, fmt.Sprintf("no key signs with %q", alg))
	}
	head, err := key.header(typ)
	if err != nil {
		return "", err
	}
	raw := make([]byte, 0, len(head)*2+len(payload)*2+encoding.EncodedLen(maxRSABits/8))
	raw = encoding.AppendEncode(raw, head)
	raw = append(raw, '.')
	raw = encoding.AppendEncode(raw, payload)
	signature, err := key.algorithm.sign(key.private, string(raw))
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", alg, err)
	}
	raw = append(raw, '.')
	raw = encoding.AppendEncode(raw, signature)
	if len(raw) > MaxSize {
		return "", refuse(ErrMalformed, "token would be too large")
	}
	return string(raw), nil
}

// header writes a JWS header. No part of it needs escaping.
func (k *signingKey) header(typ string) ([]byte, error) {
	head := make([]byte, 0, 128)
	head = append(head, `{"alg":"`...)
	head = append(head, k.algorithm.name...)
	head = append(head, `","kid":"`...)
	head = append(head, k.kid...)
	if typ != "" {
		if !plainType(typ) {
			return nil, refuse(ErrType, "typ is no media type")
		}
		head = append(head, `","typ":"`...)
		head = append(head, typ...)
	}
	return append(head, `"}`...), nil
}

func plainType(typ string) bool {
	for _, c := range []byte(typ) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		if !letter && !digit && c != '+' && c != '-' && c != '.' && c != '/' {
			return false
		}
	}
	return true
}

// Format prints "[redacted]" for every verb.
func (k *Keys) Format(f fmt.State, _ rune) { redact(f) }
