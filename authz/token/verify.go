package token

import (
	"crypto"
	"crypto/sha256"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"
)

const (
	// rememberedHeaders and rememberedHeaderSize bound what a Verifier keeps of
	// headers that it has seen under a good signature.
	rememberedHeaders    = 64
	rememberedHeaderSize = 512
)

// Verifier holds the public keys of one issuer, each pinned to one algorithm.
type Verifier struct {
	keys map[keyName]*verifyKey
	// alone has the key of an algorithm that only one key has.
	alone map[*algorithm]*verifyKey

	// known maps an encoded header to what it says. All tokens that a key signs
	// have the same header, so it is parsed once and looked up from then on.
	// Only a token whose signature was good can add to it.
	known    atomic.Pointer[map[string]signedHeader]
	learning sync.Mutex

	verified verifiedTokens
}

type keyName struct{ kid, alg string }

type verifyKey struct {
	algorithm *algorithm
	kid       string
	public    crypto.PublicKey
}

type signedHeader struct {
	key *verifyKey
	typ string
}

// NewVerifier takes the JWKS of a foreign issuer (RFC 7517 §5). A key without
// alg is taken for the algorithm that its type implies, RS256 for RSA. Keys for
// encryption, of unknown types, weak or private ones are left out, as RFC 7517
// §5 asks; ErrKey when none remains or two have the same kid and alg,
// ErrMalformed when the document is no JWKS.
func NewVerifier(jwks []byte) (*Verifier, error) {
	set, err := parseJWKS(jwks)
	if err != nil {
		return nil, err
	}
	var keys []*verifyKey
	for _, jwk := range set {
		if jwk.broken != nil || jwk.secret || jwk.Use == "enc" {
			continue
		}
		a := algorithmFor(jwk.Key)
		if jwk.Algorithm != "" {
			a = algorithms[jwk.Algorithm]
		}
		if a == nil || a.fits(jwk.Key) != nil {
			continue
		}
		keys = append(keys, &verifyKey{algorithm: a, kid: jwk.KeyID, public: jwk.Key})
	}
	if len(keys) == 0 {
		return nil, refuse(ErrKey, "no key of the JWKS verifies signatures")
	}
	return newVerifier(keys)
}

// NewClientVerifier takes the JWKS of a client. It is NewVerifier, but for keys
// without alg: those verify by every algorithm that fits them, since the
// algorithm is what the client registered, or chooses.
func NewClientVerifier(jwks []byte) (*Verifier, error) {
	set, err := parseJWKS(jwks)
	if err != nil {
		return nil, err
	}
	var keys []*verifyKey
	for _, jwk := range set {
		if jwk.broken != nil || jwk.secret || jwk.Use == "enc" {
			continue
		}
		for name, a := range algorithms {
			if (jwk.Algorithm == "" || jwk.Algorithm == name) && a.fits(jwk.Key) == nil {
				keys = append(keys, &verifyKey{algorithm: a, kid: jwk.KeyID, public: jwk.Key})
			}
		}
	}
	if len(keys) == 0 {
		return nil, refuse(ErrKey, "no key of the JWKS verifies signatures")
	}
	return newVerifier(keys)
}

func newVerifier(keys []*verifyKey) (*Verifier, error) {
	v := &Verifier{keys: make(map[keyName]*verifyKey), alone: make(map[*algorithm]*verifyKey)}
	count := make(map[*algorithm]int)
	for _, key := range keys {
		name := keyName{key.kid, string(key.algorithm.name)}
		if v.keys[name] != nil {
			return nil, refuse(ErrKey, "two keys have the same kid and alg")
		}
		v.keys[name] = key
		v.alone[key.algorithm] = key
		count[key.algorithm]++
	}
	maps.DeleteFunc(v.alone, func(a *algorithm, _ *verifyKey) bool { return count[a] > 1 })
	v.known.Store(&map[string]signedHeader{})
	return v, nil
}

// Verify checks a compact JWS (RFC 7515 §5.2) and returns its payload. The typ
// of its header must be one of those given, compared as RFC 7515 §4.1.9 says;
// "" stands for a header without typ, and no typ at all refuses every token.
// Whatever else the header holds is not used: jwk, jku, x5u and x5c are never
// looked at, crit and b64 are refused.
//
// Errors: ErrMalformed, ErrAlgorithm, ErrUnknownKey, ErrType, ErrSignature.
func (v *Verifier) Verify(raw string, typ ...string) ([]byte, error) {
	var parts [3]string
	if err := split(raw, parts[:]); err != nil {
		return nil, err
	}
	head, known := (*v.known.Load())[parts[0]]
	if !known {
		var err error
		if head, err = v.header(parts[0]); err != nil {
			return nil, err
		}
	}
	if !HasType(head.typ, typ) {
		return nil, refuse(ErrType, "typ is not one that is taken here")
	}
	payload, err := decode(parts[1])
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(raw))
	if v.verified.has(&hash) {
		return payload, nil
	}
	signature, err := decode(parts[2])
	if err != nil {
		return nil, err
	}
	input := raw[:len(parts[0])+1+len(parts[1])]
	if !head.key.algorithm.verify(head.key.public, input, signature) {
		return nil, refuse(ErrSignature, string(head.key.algorithm.name))
	}
	v.verified.add(&hash)
	if !known {
		v.remember(parts[0], head)
	}
	return payload, nil
}

// header reads an encoded JWS header and finds the key it names.
func (v *Verifier) header(part string) (signedHeader, error) {
	var alg, kid, typ string
	err := header(part, func(p *parser, name string) (err error) {
		switch name {
		case "alg":
			alg, err = p.str()
		case "kid":
			kid, err = p.str()
		case "typ":
			typ, err = p.str()
		case "b64":
			// RFC 7797 §6 wants it in crit; alone it would mean different
			// things to different readers.
			err = refuse(ErrMalformed, "header has b64")
		default:
			_, err = p.value()
		}
		return err
	})
	if err != nil {
		return signedHeader{}, err
	}
	key, err := v.key(alg, kid)
	return signedHeader{key: key, typ: mediaType(typ)}, err
}

// key finds the key for an algorithm and a kid. The algorithm is judged first,
// so "none" and HMAC never get as far as a key.
func (v *Verifier) key(alg, kid string) (*verifyKey, error) {
	a := algorithms[alg]
	if a == nil {
		return nil, refuse(ErrAlgorithm, "alg is not one that is taken here")
	}
	if kid == "" {
		if key := v.alone[a]; key != nil {
			return key, nil
		}
		return nil, refuse(ErrUnknownKey, "token has no kid, and not exactly one key has its alg")
	}
	if key := v.keys[keyName{kid, alg}]; key != nil {
		return key, nil
	}
	for name := range v.keys {
		if name.kid == kid {
			return nil, refuse(ErrAlgorithm, "the key has another alg than the token")
		}
	}
	return nil, refuse(ErrUnknownKey, "no key has this kid")
}

// remember keeps a header that came with a good signature, as long as there is
// room; an issuer whose headers all differ gains nothing and costs nothing.
func (v *Verifier) remember(part string, head signedHeader) {
	if len(part) > rememberedHeaderSize || len(*v.known.Load()) >= rememberedHeaders {
		return
	}
	v.learning.Lock()
	defer v.learning.Unlock()
	old := *v.known.Load()
	if len(old) >= rememberedHeaders {
		return
	}
	next := maps.Clone(old)
	// Cloned, since the part and the typ share the memory of a whole token.
	next[strings.Clone(part)] = signedHeader{key: head.key, typ: strings.Clone(head.typ)}
	v.known.Store(&next)
}

// HasType tells whether a typ is one of a list, in any of its spellings.
func HasType(typ string, list []string) bool {
	for _, want := range list {
		if strings.EqualFold(mediaType(typ), mediaType(want)) {
			return true
		}
	}
	return false
}

// mediaType drops the "application/" that may be left out (RFC 7515 §4.1.9).
func mediaType(typ string) string {
	const prefix = "application/"
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) && !strings.Contains(typ[len(prefix):], "/") {
		return typ[len(prefix):]
	}
	return typ
}

// publicJWK is how a verification key is published.
func (k *verifyKey) publicJWK() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.public, KeyID: k.kid, Algorithm: string(k.algorithm.name), Use: "sig"}
}
