package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
)

// Pairwise makes the pairwise subject identifiers of one issuer (OpenID Connect
// Core §8.1). A person has another one in each sector, and nobody can tell that
// they belong together, save the server: they are encrypted, not hashed, so that
// it finds the person again with nothing stored. The same person in the same
// sector always gets the same, also after keys have been rotated.
//
// The encryption is deterministic and authenticated: the initialization vector is
// a MAC of what is encrypted (SIV, after RFC 5297).
type Pairwise struct {
	mac   []byte
	block cipher.Block
}

// Sector stands for a sector identifier.
type Sector [8]byte

// Pairwise derives the keys of pairwise identifiers. Keep the result.
func (k *Keys) Pairwise() *Pairwise {
	block, err := aes.NewCipher(derive(k.master, "pairwise/encrypt", 32))
	if err != nil {
		panic(err) // the size is constant
	}
	return &Pairwise{mac: derive(k.master, "pairwise/mac", sha256.Size), block: block}
}

// Sector is keyed, so that nobody looks for a host whose Sector is another's.
func (p *Pairwise) Sector(identifier string) (s Sector) {
	copy(s[:], p.sum("sector", []byte(identifier)))
	return s
}

// Identifier is the sub of a person in a sector.
func (p *Pairwise) Identifier(s Sector, subject string) string {
	// Filled up, since the length of a name would tell much of it.
	plain := append(s[:], subject...)
	plain = append(plain, make([]byte, (aes.BlockSize-len(plain)%aes.BlockSize)%aes.BlockSize)...)
	iv := p.sum("identifier", plain)[:aes.BlockSize]
	cipher.NewCTR(p.block, iv).XORKeyStream(plain, plain)
	return encoding.EncodeToString(append(iv, plain...))
}

// Subject is the person that Identifier was given; ok is false for everything
// that this issuer's Identifier did not make.
func (p *Pairwise) Subject(identifier string) (subject string, ok bool) {
	// Two blocks at least, in base64url: subjects of other kinds are told apart by
	// their length already, nearly all of them.
	const least = 2 * aes.BlockSize * 4 / 3
	if len(identifier) < least {
		return "", false
	}
	raw, err := encoding.DecodeString(identifier)
	if err != nil || len(raw)%aes.BlockSize != 0 {
		return "", false
	}
	iv, plain := raw[:aes.BlockSize], raw[aes.BlockSize:]
	cipher.NewCTR(p.block, iv).XORKeyStream(plain, plain)
	if !hmac.Equal(iv, p.sum("identifier", plain)[:aes.BlockSize]) {
		return "", false
	}
	return strings.TrimRight(string(plain[len(Sector{}):]), "\x00"), true
}

func (p *Pairwise) sum(purpose string, text []byte) []byte {
	mac := hmac.New(sha256.New, p.mac)
	_, _ = mac.Write([]byte(purpose + "\x00"))
	_, _ = mac.Write(text)
	return mac.Sum(nil)
}

// Format prints "[redacted]" for every verb.
func (p *Pairwise) Format(f fmt.State, _ rune) { redact(f) }
