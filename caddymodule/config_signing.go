package caddymodule

import (
	"fmt"
	"io"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/go-jose/go-jose/v4"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/token"
)

// Signing says which keys the server has, what they sign and how they are replaced.
type Signing struct {
	// The algorithms to have a key for; default: RS256 and ES256. Those of key files are added.
	Algorithms []string `json:"algorithm,omitempty"`
	// What signs ID tokens; default: RS256.
	IDToken string `json:"id_token,omitempty"`
	// What signs access tokens; default: ES256.
	AccessToken string `json:"access_token,omitempty"`
	// Keys of your own, in place of generated ones. The last one of an algorithm signs, ten minutes
	// after it was first published; until then the one listed before it does. So a key is replaced by
	// adding the new file, and by removing the old one later. Files are read when a config is loaded.
	Keys []SigningKey `json:"key,omitempty"`
	// How long a generated key signs until the next one does, at least 1h; default: for ever. The next
	// one is published ten minutes ahead. Access tokens encrypted to the server are rotated alike.
	Rotate caddy.Duration `json:"rotate,omitempty"`
	// How long a key is still published after it ceased to sign; default, and at least: the longest
	// lifetime of a token, and ten minutes.
	Overlap caddy.Duration `json:"overlap,omitempty"`
}

// SigningKey is a signing key in a file.
type SigningKey struct {
	// PEM with a private key (PKCS#8, PKCS#1 or SEC 1) and any certificates, PKCS#8 in DER, or PKCS#12.
	// Certificates of the key are published as x5c.
	File string `json:"file"`
	// What the key signs; default: what its type implies, RS256 for RSA.
	Algorithm string `json:"algorithm,omitempty"`
	// Opens a PKCS#12 file.
	Password string `json:"password,omitempty"`
}

func (s *Signing) domain() (authz.Signing, error) {
	if s == nil {
		return authz.Signing{}, nil
	}
	signing := authz.Signing{
		Algorithms:  named[jose.SignatureAlgorithm](s.Algorithms),
		IDToken:     jose.SignatureAlgorithm(s.IDToken),
		AccessToken: jose.SignatureAlgorithm(s.AccessToken),
		Rotate:      duration(s.Rotate),
		Overlap:     duration(s.Overlap),
	}
	for _, key := range s.Keys {
		read, err := key.read()
		if err != nil {
			return authz.Signing{}, fmt.Errorf("signing: key %q: %w", key.File, err)
		}
		signing.Keys = append(signing.Keys, read)
	}
	return signing, nil
}

// maxKeyFile bounds what is read, so that a wrong path doesn't fill the memory.
const maxKeyFile = 1 << 20

func (k *SigningKey) read() (*token.FileKey, error) {
	content, err := readBounded(k.File, maxKeyFile)
	if err != nil {
		return nil, err
	}
	return authz.ReadSigningKey(content, jose.SignatureAlgorithm(k.Algorithm), k.Password)
}

// readBounded reads a file of at most so many bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return content, err
}
