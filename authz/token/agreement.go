package token

import (
	"crypto"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	josecipher "github.com/go-jose/go-jose/v4/cipher"
)

// curveX25519 is the crv of X25519, a curve of kty OKP (RFC 8037 §2).
const curveX25519 = "X25519"

// curveNames are the curves of ECDH-ES as crv names them (RFC 7518 §6.2.1.1,
// RFC 8037 §3.2).
var curveNames = map[ecdh.Curve]string{
	ecdh.P256():   "P-256",
	ecdh.P384():   "P-384",
	ecdh.P521():   "P-521",
	ecdh.X25519(): curveX25519,
}

// agree is the sender's side of ECDH-ES (RFC 7518 §4.6): it derives a key with a
// fresh ephemeral one, whose public half it puts in the header as epk.
func agree(public *ecdh.PublicKey, head map[string]any, id string, size int) ([]byte, error) {
	ephemeral, err := public.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ephemeral key: %w", err)
	}
	shared, err := ephemeral.ECDH(public)
	if err != nil {
		return nil, fmt.Errorf("key agreement: %w", err)
	}
	head["epk"] = writeEphemeral(ephemeral.PublicKey())
	return deriveAgreed(shared, id, nil, nil, size)
}

// agreed is the recipient's side: the key that the sender derived. The header
// may name the parties in apu and apv (RFC 7518 §4.6.1.2, §4.6.1.3).
func (h *jweHeader) agreed(private *ecdh.PrivateKey, id string, size int) ([]byte, error) {
	public, err := h.epk.on(private.Curve())
	if err != nil {
		return nil, err
	}
	// Refuses the points of X25519 that give the same secret for every key.
	shared, err := private.ECDH(public)
	if err != nil {
		return nil, refuse(ErrDecrypt, "epk is a point of low order")
	}
	apu, err := decodeText(h.apu)
	if err != nil {
		return nil, err
	}
	apv, err := decodeText(h.apv)
	if err != nil {
		return nil, err
	}
	return deriveAgreed(shared, id, apu, apv, size)
}

// deriveAgreed is the Concat KDF of RFC 7518 §4.6.2.
func deriveAgreed(shared []byte, id string, apu, apv []byte, size int) ([]byte, error) {
	bits := binary.BigEndian.AppendUint32(nil, uint32(size)*8) //nolint:gosec // at most 64 bytes
	kdf := josecipher.NewConcatKDF(crypto.SHA256, shared, prefixed([]byte(id)), prefixed(apu), prefixed(apv), bits, nil)
	key := make([]byte, size)
	if _, err := io.ReadFull(kdf, key); err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return key, nil
}

// prefixed puts the length of a value before it.
func prefixed(value []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(value))), value...) //nolint:gosec // at most MaxSize
}

// wrap encrypts a content key under an agreed one (RFC 7518 §4.4).
func wrap(agreed, contentKey []byte) ([]byte, error) {
	block, err := aes.NewCipher(agreed)
	if err != nil {
		return nil, fmt.Errorf("key wrap: %w", err)
	}
	return josecipher.KeyWrap(block, contentKey)
}

// ephemeralKey is the epk of a JWE header, as it is written there (RFC 7518
// §4.6.1.1).
type ephemeralKey struct{ kty, crv, x, y string }

func (e *ephemeralKey) member(p *parser, name string) (err error) {
	switch name {
	case "kty":
		e.kty, err = p.str()
	case "crv":
		e.crv, err = p.str()
	case "x":
		e.x, err = p.str()
	case "y":
		e.y, err = p.str()
	case "d":
		err = refuse(ErrMalformed, "epk has a private part")
	default:
		_, err = p.value()
	}
	return err
}

// on reads the point, which must be one of the curve that the recipient's key
// is on: a point of another one could leak that key (RFC 8725 §3.4).
func (e *ephemeralKey) on(curve ecdh.Curve) (*ecdh.PublicKey, error) {
	kty := "EC"
	if curve == ecdh.X25519() {
		kty = "OKP"
	}
	if e.kty != kty || e.crv != curveNames[curve] {
		return nil, refuse(ErrDecrypt, "epk is of another curve than the key")
	}
	x, errX := decodeText(e.x)
	y, errY := decodeText(e.y)
	if errX != nil || errY != nil {
		return nil, refuse(ErrDecrypt, "epk is not base64url")
	}
	point := x
	if kty == "EC" {
		// Both have the full size; with bytes moved from one to the other a
		// point would have several spellings (RFC 7518 §6.2.1.2).
		if len(x) != len(y) {
			return nil, refuse(ErrDecrypt, "epk has x and y of different sizes")
		}
		point = slices.Concat([]byte{4}, x, y)
	}
	public, err := curve.NewPublicKey(point)
	if err != nil {
		return nil, refuse(ErrDecrypt, "epk is no point of its curve")
	}
	return public, nil
}

// writeEphemeral is the epk for a public key.
func writeEphemeral(public *ecdh.PublicKey) map[string]string {
	crv, point := curveNames[public.Curve()], public.Bytes()
	if crv == curveX25519 {
		return map[string]string{"kty": "OKP", "crv": crv, "x": encoding.EncodeToString(point)}
	}
	// Bytes is 4, X, Y: the uncompressed form of SEC 1 §2.3.3.
	half := 1 + len(point)/2
	return map[string]string{
		"kty": "EC", "crv": crv,
		"x": encoding.EncodeToString(point[1:half]),
		"y": encoding.EncodeToString(point[half:]),
	}
}
