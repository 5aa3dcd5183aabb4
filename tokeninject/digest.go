package tokeninject

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/rand"
	"crypto/sha256"
	"sync"
)

// digest tells texts apart: by it the gate finds tokens and handles that it has seen before. It is their GMAC
// (NIST SP 800-38D) under a key that only this process has, which takes a third of the time of SHA-256. Nobody gets to
// see one, and so all can have one nonce. Two texts, whoever chooses them, share one with a chance of 2^-128 for every
// 16 bytes of theirs.
type digest [16]byte

// digests is nil where FIPS 140-3 is enforced, which has no nonce of the caller's.
var digests = func() cipher.AEAD {
	if fips140.Enforced() {
		return nil
	}
	key := make([]byte, 16)
	_, _ = rand.Read(key) // it does not fail
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	mac, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return mac
}()

// scratch is what making a digest needs.
type scratch struct {
	text  []byte
	nonce [12]byte
	sum   digest
}

var scratches = sync.Pool{New: func() any { return &scratch{text: make([]byte, 0, 2<<10)} }}

func digestOf(text string) digest {
	if digests == nil {
		sum := sha256.Sum256([]byte(text))
		return digest(sum[:16])
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.text = append(s.text[:0], text...)
	digests.Seal(s.sum[:0], s.nonce[:], nil, s.text)
	clear(s.text)
	return s.sum
}
