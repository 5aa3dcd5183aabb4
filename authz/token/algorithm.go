package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

const (
	// generatedRSABits is the size of RSA keys made here; RFC 7518 §3.3 asks
	// for 2048 at least.
	generatedRSABits = 2048
	// maxRSABits bounds what a foreign JWKS can make one verification cost.
	maxRSABits = 8192
)

type family int

const (
	familyPKCS1 family = iota
	familyPSS
	familyECDSA
	familyEdDSA
)

// algorithm is one signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1). There is
// neither "none" nor an HMAC among them: an issuer's keys are asymmetric.
type algorithm struct {
	name   jose.SignatureAlgorithm
	family family
	hash   crypto.Hash
	curve  elliptic.Curve // ECDSA only
}

var algorithms = map[string]*algorithm{}

func init() {
	for _, a := range []*algorithm{
		{jose.RS256, familyPKCS1, crypto.SHA256, nil},
		{jose.RS384, familyPKCS1, crypto.SHA384, nil},
		{jose.RS512, familyPKCS1, crypto.SHA512, nil},
		{jose.PS256, familyPSS, crypto.SHA256, nil},
		{jose.PS384, familyPSS, crypto.SHA384, nil},
		{jose.PS512, familyPSS, crypto.SHA512, nil},
		{jose.ES256, familyECDSA, crypto.SHA256, elliptic.P256()},
		{jose.ES384, familyECDSA, crypto.SHA384, elliptic.P384()},
		{jose.ES512, familyECDSA, crypto.SHA512, elliptic.P521()},
		{jose.EdDSA, familyEdDSA, 0, nil},
	} {
		algorithms[string(a.name)] = a
	}
}

func algorithmOf(name jose.SignatureAlgorithm) (*algorithm, error) {
	a := algorithms[string(name)]
	if a == nil {
		return nil, refuse(ErrAlgorithm, fmt.Sprintf("%q is no signature algorithm of this package", name))
	}
	return a, nil
}

// SignatureAlgorithms lists what a Verifier takes, sorted.
func SignatureAlgorithms() []jose.SignatureAlgorithm {
	names := make([]jose.SignatureAlgorithm, 0, len(algorithms))
	for _, a := range algorithms {
		names = append(names, a.name)
	}
	slices.Sort(names)
	return names
}

// CheckSignature tells whether alg is one that keys sign with here; ErrAlgorithm
// if not.
func CheckSignature(alg jose.SignatureAlgorithm) error {
	_, err := algorithmOf(alg)
	return err
}

// algorithmFor is what a key signs with when nobody says: RS256 is what OpenID
// Connect expects of an RSA key (OIDC Core §15.1), the others leave no choice.
func algorithmFor(public crypto.PublicKey) *algorithm {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return algorithms[string(jose.RS256)]
	case *ecdsa.PublicKey:
		for _, a := range algorithms {
			if a.family == familyECDSA && a.curve == key.Curve {
				return a
			}
		}
	case ed25519.PublicKey:
		return algorithms[string(jose.EdDSA)]
	}
	return nil
}

// fits tells whether a key can be one of this algorithm.
func (a *algorithm) fits(public crypto.PublicKey) error {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < generatedRSABits || bits > maxRSABits {
			return refuse(ErrKey, fmt.Sprintf("RSA key of %d bits, want %d to %d", bits, generatedRSABits, maxRSABits))
		}
		if a.family == familyPKCS1 || a.family == familyPSS {
			return nil
		}
	case *ecdsa.PublicKey:
		if a.family == familyECDSA && a.curve == key.Curve {
			return nil
		}
	case ed25519.PublicKey:
		if a.family == familyEdDSA && len(key) == ed25519.PublicKeySize {
			return nil
		}
	}
	return refuse(ErrKey, fmt.Sprintf("a key of type %T is not for %s", public, a.name))
}

func (a *algorithm) generate() (crypto.Signer, error) {
	switch a.family {
	case familyECDSA:
		return ecdsa.GenerateKey(a.curve, rand.Reader)
	case familyEdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	default:
		return rsa.GenerateKey(rand.Reader, generatedRSABits)
	}
}

// digest is called with constant-size sums rather than through hash.Hash, which
// would cost two allocations and a copy a token.
func (a *algorithm) digest(input string) []byte {
	switch a.hash {
	case crypto.SHA384:
		sum := sha512.Sum384([]byte(input))
		return sum[:]
	case crypto.SHA512:
		sum := sha512.Sum512([]byte(input))
		return sum[:]
	default:
		sum := sha256.Sum256([]byte(input))
		return sum[:]
	}
}

// sign makes the signature of a signing input in the form of RFC 7518 §3.
func (a *algorithm) sign(signer crypto.Signer, input string) ([]byte, error) {
	switch key := signer.(type) {
	case *rsa.PrivateKey:
		if a.family == familyPSS {
			return rsa.SignPSS(rand.Reader, key, a.hash, a.digest(input), a.pss())
		}
		return rsa.SignPKCS1v15(rand.Reader, key, a.hash, a.digest(input))
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, a.digest(input))
		if err != nil {
			return nil, err
		}
		size := a.coordinate()
		out := make([]byte, 2*size)
		r.FillBytes(out[:size])
		s.FillBytes(out[size:])
		return out, nil
	case ed25519.PrivateKey:
		return ed25519.Sign(key, []byte(input)), nil
	}
	return nil, errors.New("key can't sign")
}

// verify checks a signature over a signing input. The key fits the algorithm.
func (a *algorithm) verify(public crypto.PublicKey, input string, signature []byte) bool {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if a.family == familyPSS {
			return rsa.VerifyPSS(key, a.hash, a.digest(input), signature, a.pss()) == nil
		}
		return rsa.VerifyPKCS1v15(key, a.hash, a.digest(input), signature) == nil
	case *ecdsa.PublicKey:
		size := a.coordinate()
		if len(signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		return ecdsa.Verify(key, a.digest(input), r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(key, []byte(input), signature)
	}
	return false
}

// pss: the salt is as long as the hash, no other length (RFC 7518 §3.5).
func (a *algorithm) pss() *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash}
}

// coordinate is the size in bytes of R and of S (RFC 7518 §3.4).
func (a *algorithm) coordinate() int {
	return (a.curve.Params().BitSize + 7) / 8
}
