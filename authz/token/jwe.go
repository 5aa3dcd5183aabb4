package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
	josecipher "github.com/go-jose/go-jose/v4/cipher"
)

// IsJWE reports whether a token has the five parts of a compact JWE; a compact
// JWS has three (RFC 7516 §9). It says nothing about whether it is a good one.
func IsJWE(raw string) bool { return strings.Count(raw, ".") == 4 }

// contentCipher is a content encryption algorithm (RFC 7518 §5.1).
type contentCipher struct {
	name    jose.ContentEncryption
	keySize int // bytes
	tagSize int // bytes
	aead    func(key []byte) (cipher.AEAD, error)
}

var contentCiphers = map[string]*contentCipher{}

func init() {
	for _, c := range []*contentCipher{
		{jose.A128GCM, 16, 16, newGCM},
		{jose.A192GCM, 24, 16, newGCM},
		{jose.A256GCM, 32, 16, newGCM},
		{jose.A128CBC_HS256, 32, 16, newCBC},
		{jose.A192CBC_HS384, 48, 24, newCBC},
		{jose.A256CBC_HS512, 64, 32, newCBC},
	} {
		contentCiphers[string(c.name)] = c
	}
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func newCBC(key []byte) (cipher.AEAD, error) {
	return josecipher.NewCBCHMAC(key, aes.NewCipher)
}

// jweHeader is what the readers of a JWE header need of it.
type jweHeader struct {
	alg, enc, kid, owner string
	epk                  ephemeralKey
	apu, apv             string // base64url
}

// ownerMember is the header member with the content key sealed to the server
// that made the token. Others ignore it, as RFC 7516 §4 asks.
const ownerMember = "gwk"

// jwe is a compact JWE in its five parts, the first still encoded.
type jwe struct {
	jweHeader
	cipher                            *contentCipher
	protected                         string
	encryptedKey, iv, ciphertext, tag []byte
}

// parseJWE reads a compact JWE (RFC 7516 §7.1) and refuses, before any
// arithmetic, an unknown enc, zip, crit, and a tag of another size than enc
// gives it.
func parseJWE(raw string) (*jwe, error) {
	var parts [5]string
	if err := split(raw, parts[:]); err != nil {
		return nil, err
	}
	j := &jwe{protected: parts[0]}
	err := header(parts[0], j.member)
	if err != nil {
		return nil, err
	}
	if j.cipher = contentCiphers[j.enc]; j.cipher == nil {
		return nil, refuse(ErrAlgorithm, "enc is not one that is taken here")
	}
	for i, part := range []*[]byte{&j.encryptedKey, &j.iv, &j.ciphertext, &j.tag} {
		if *part, err = decode(parts[i+1]); err != nil {
			return nil, err
		}
	}
	// Cut elsewhere, ciphertext and tag might open all the same, and one token
	// would have several spellings.
	if len(j.tag) != j.cipher.tagSize {
		return nil, refuse(ErrMalformed, "tag has another size than enc gives it")
	}
	return j, nil
}

func (h *jweHeader) member(p *parser, name string) (err error) {
	switch name {
	case "alg":
		h.alg, err = p.str()
	case "enc":
		h.enc, err = p.str()
	case "kid":
		h.kid, err = p.str()
	case ownerMember:
		h.owner, err = p.str()
	case "epk":
		err = p.object(func(name string) error { return h.epk.member(p, name) })
	case "apu":
		h.apu, err = p.str()
	case "apv":
		h.apv, err = p.str()
	case "zip":
		// A few bytes could become megabytes (RFC 8725 §3.6 has other reasons).
		err = refuse(ErrMalformed, "header has zip")
	default:
		_, err = p.value()
	}
	return err
}

// unwrap decrypts the content key with AES key wrap (RFC 7518 §4.4), which has
// several rounds for every 8 bytes: what is no content key for enc is refused
// before the first.
func (j *jwe) unwrap(block cipher.Block) ([]byte, error) {
	const integrity = 8 // bytes that wrapping adds
	if len(j.encryptedKey) != j.cipher.keySize+integrity {
		return nil, refuse(ErrDecrypt, "content key has another size than enc asks for")
	}
	contentKey, err := josecipher.KeyUnwrap(block, j.encryptedKey)
	if err != nil {
		return nil, refuse(ErrDecrypt, "content key")
	}
	return contentKey, nil
}

// open decrypts the content, which must be a compact JWS: encryption to a public
// key, or a content key that was handed out, proves nothing about who made it.
func (j *jwe) open(contentKey []byte) (string, error) {
	if len(contentKey) != j.cipher.keySize {
		return "", refuse(ErrDecrypt, "content key has another size than enc asks for")
	}
	aead, err := j.cipher.aead(contentKey)
	if err != nil {
		return "", refuse(ErrDecrypt, "content key is refused")
	}
	if len(j.iv) != aead.NonceSize() {
		return "", refuse(ErrMalformed, "IV has another size than enc gives it")
	}
	content, err := aead.Open(nil, j.iv, append(j.ciphertext, j.tag...), []byte(j.protected))
	if err != nil {
		return "", refuse(ErrDecrypt, "content")
	}
	return nested(content)
}

// nested checks that decrypted content is a compact JWS and returns it.
func nested(content []byte) (string, error) {
	if text := string(content); isJWS(text) {
		return text, nil
	}
	return "", refuse(ErrMalformed, "an encrypted token holds no signed one")
}

var errUnsigned = refuse(ErrMalformed, "only a signed token can be encrypted")

// sealJWE encrypts under a content key and writes the JWE.
func sealJWE(c *contentCipher, protected string, contentKey, encryptedKey []byte, content string) (string, error) {
	aead, err := c.aead(contentKey)
	if err != nil {
		return "", fmt.Errorf("encrypt content: %w", err)
	}
	iv := make([]byte, aead.NonceSize())
	if _, err := rand.Read(iv); err != nil {
		return "", fmt.Errorf("encrypt content: %w", err)
	}
	sealed := aead.Seal(nil, iv, []byte(content), []byte(protected))
	cut := len(sealed) - c.tagSize
	raw := make([]byte, 0, len(protected)+encoding.EncodedLen(len(encryptedKey)+len(iv)+len(sealed))+8)
	raw = append(raw, protected...)
	for _, part := range [][]byte{encryptedKey, iv, sealed[:cut], sealed[cut:]} {
		raw = append(raw, '.')
		raw = encoding.AppendEncode(raw, part)
	}
	if len(raw) > MaxSize {
		return "", refuse(ErrMalformed, "token would be too large")
	}
	return string(raw), nil
}
