package token

import (
	"crypto"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	josecipher "github.com/go-jose/go-jose/v4/cipher"
)

// agreement is the sender's side of ECDH-ES (RFC 7518 §4.6) with one key.
type agreement struct {
	public *ecdh.PublicKey
	curve  string // as crv names it
}

// newAgreement checks that the key is a point of its curve.
func newAgreement(key crypto.PublicKey) (*agreement, error) {
	ec, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("is no EC key")
	}
	public, err := ec.ECDH()
	if err != nil {
		return nil, errors.New("is no point of a supported curve")
	}
	return &agreement{public: public, curve: ec.Params().Name}, nil
}

// agree derives a key with a fresh ephemeral one, whose public half it puts in
// the header as epk. The id is enc for a key that encrypts content itself and
// alg for one that wraps.
func (a *agreement) agree(head map[string]any, id string, size int) ([]byte, error) {
	ephemeral, err := a.public.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ephemeral key: %w", err)
	}
	shared, err := ephemeral.ECDH(a.public)
	if err != nil {
		return nil, fmt.Errorf("key agreement: %w", err)
	}
	// Bytes is 4, X, Y: the uncompressed form of SEC 1 §2.3.3.
	point := ephemeral.PublicKey().Bytes()[1:]
	head["epk"] = map[string]string{
		"kty": "EC", "crv": a.curve,
		"x": encoding.EncodeToString(point[:len(point)/2]),
		"y": encoding.EncodeToString(point[len(point)/2:]),
	}
	return deriveAgreed(shared, id, size)
}

// deriveAgreed is the Concat KDF with empty apu and apv (RFC 7518 §4.6.2).
func deriveAgreed(shared []byte, id string, size int) ([]byte, error) {
	algorithmID := binary.BigEndian.AppendUint32(nil, uint32(len(id))) //nolint:gosec // a name of this package
	algorithmID = append(algorithmID, id...)
	bits := binary.BigEndian.AppendUint32(nil, uint32(size)*8) //nolint:gosec // at most 64 bytes
	empty := make([]byte, 4)
	kdf := josecipher.NewConcatKDF(crypto.SHA256, shared, algorithmID, empty, empty, bits, nil)
	key := make([]byte, size)
	if _, err := io.ReadFull(kdf, key); err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return key, nil
}

// wrap agrees on a key and wraps the content key with it (RFC 7518 §4.6.2, §4.4).
func (a *agreement) wrap(head map[string]any, alg string, size int, contentKey []byte) ([]byte, error) {
	key, err := a.agree(head, alg, size)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("key wrap: %w", err)
	}
	return josecipher.KeyWrap(block, contentKey)
}
