package token

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// WithAlgorithms returns keys that sign with each of the algorithms: those that
// miss one are given a new one, the rest stay. added says whether there is
// anything new to be stored; if not, next is k itself.
func (k *Keys) WithAlgorithms(algs []jose.SignatureAlgorithm, now time.Time) (next *Keys, added bool, err error) {
	if len(algs) == 0 && len(k.signing) == 0 {
		return nil, false, refuse(ErrKey, "no signature algorithm")
	}
	signing := slices.Clone(k.signing)
	done := make(map[jose.SignatureAlgorithm]bool)
	for _, alg := range algs {
		if k.signer(alg) != nil || done[alg] {
			continue
		}
		done[alg] = true
		key, err := generateSigningKey(alg, now)
		if err != nil {
			return nil, false, err
		}
		signing = append(signing, key)
	}
	if len(signing) == len(k.signing) {
		return k, false, nil
	}
	next, err = k.withSigning(signing)
	return next, err == nil, err
}

// Rotate makes a new key for an algorithm and signs with it from now on. Its
// predecessor stays published until Prune. ErrAlgorithm as for GenerateKeys.
func (k *Keys) Rotate(alg jose.SignatureAlgorithm, now time.Time) (*Keys, error) {
	key, err := generateSigningKey(alg, now)
	if err != nil {
		return nil, err
	}
	return k.withSigning(append(slices.Clone(k.signing), key))
}

// RotateServerKey makes a new key for Encrypt, with the next kid of "0" to "10"
// in turn. Tokens of the ten keys before it still open.
func (k *Keys) RotateServerKey() (*Keys, error) {
	key, err := generateServerKey(nextServerKid(k.server[len(k.server)-1].kid))
	if err != nil {
		return nil, err
	}
	next := *k
	next.server = slices.DeleteFunc(slices.Clone(k.server), func(old *serverKey) bool { return old.kid == key.kid })
	next.server = append(next.server, key)
	return next.freeze()
}

// Prune drops the keys that stopped signing before the given time: pass now
// less the longest lifetime of what they signed. A key that signs always stays.
// dropped says whether there is anything to be stored.
func (k *Keys) Prune(before time.Time) (next *Keys, dropped bool, err error) {
	signing := make([]*signingKey, 0, len(k.signing))
	for i, key := range k.signing {
		successor := slices.IndexFunc(k.signing[i+1:], func(later *signingKey) bool { return later.algorithm == key.algorithm })
		if successor < 0 || !k.signing[i+1+successor].since.Before(before) {
			signing = append(signing, key)
		}
	}
	if len(signing) == len(k.signing) {
		return k, false, nil
	}
	next, err = k.withSigning(signing)
	return next, err == nil, err
}

// Import takes a key from a file of the operator's and signs with it from now
// on; alg "" stands for what the type of the key implies (RS256 for RSA). The
// certificate chain, if there is one, is published as x5c (RFC 7517 §4.7), leaf
// first. Marshal leaves the private half out, so import again after ParseKeys;
// that the key was there before keeps its place. changed says whether there is
// anything new to be stored. ErrKey when key, alg and chain don't go together.
func (k *Keys) Import(alg jose.SignatureAlgorithm, private crypto.Signer, chain []*x509.Certificate, now time.Time) (next *Keys, changed bool, err error) {
	a := algorithmFor(private.Public())
	if alg != "" {
		if a, err = algorithmOf(alg); err != nil {
			return nil, false, err
		}
	}
	if a == nil {
		return nil, false, refuse(ErrKey, fmt.Sprintf("no algorithm for a key of type %T", private.Public()))
	}
	key, err := newSigningKey(a, private, now)
	if err != nil {
		return nil, false, err
	}
	if len(chain) > 0 {
		if sum, err := thumbprint(chain[0].PublicKey); err != nil || sum != key.kid {
			return nil, false, refuse(ErrKey, "the certificate is not the key's")
		}
	}
	key.chain, key.imported = chain, true
	signing := slices.Clone(k.signing)
	if old := k.signers[a.name]; old != nil && old.kid == key.kid {
		key.since = old.since
		changed = !slices.EqualFunc(old.chain, chain, (*x509.Certificate).Equal)
		signing[slices.Index(signing, old)] = key
	} else {
		// A file that comes back after another one signs anew.
		same := func(old *signingKey) bool { return old.kid == key.kid && old.algorithm == a }
		signing = append(slices.DeleteFunc(signing, same), key)
		changed = true
	}
	next, err = k.withSigning(signing)
	return next, changed && err == nil, err
}

func (k *Keys) withSigning(signing []*signingKey) (*Keys, error) {
	next := &Keys{signing: signing, server: k.server, master: k.master}
	return next.freeze()
}

func generateSigningKey(alg jose.SignatureAlgorithm, now time.Time) (*signingKey, error) {
	a, err := algorithmOf(alg)
	if err != nil {
		return nil, err
	}
	private, err := a.generate()
	if err != nil {
		return nil, fmt.Errorf("generate key for %s: %w", alg, err)
	}
	return newSigningKey(a, private, now)
}
