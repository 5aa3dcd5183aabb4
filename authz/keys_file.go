package authz

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/gatewright/gatewright/authz/token"
)

// Reasons why a key file is refused, besides those of token.NewFileKey.
var (
	// ErrKeyFile is a file that holds no signing key, or none in a known form.
	ErrKeyFile = errors.New("no signing key")
	// ErrKeyPassword is a password that is wrong, missing, or not asked for.
	ErrKeyPassword = errors.New("password")
)

// ReadSigningKey reads the operator's own signing key from the content of a file:
//
//   - PEM with one private key (PKCS#8, PKCS#1 of RFC 8017 or SEC 1 of RFC 5915) and any certificates,
//   - PKCS#8 in DER (RFC 5958),
//   - PKCS#12 in DER (RFC 7292), which has the password.
//
// alg "" stands for what the type of the key implies, RS256 for RSA. Certificates that lead from the
// key's own upwards are published as x5c; others in the file are left out. The error is ErrKeyFile,
// ErrKeyPassword, or one of token.NewFileKey.
func ReadSigningKey(content []byte, alg jose.SignatureAlgorithm, password string) (*token.FileKey, error) {
	private, certificates, err := readKeyFile(content, password)
	if err != nil {
		return nil, err
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: a key of type %T can't sign", ErrKeyFile, private)
	}
	return token.NewFileKey(alg, signer, chainOf(signer, certificates))
}

func readKeyFile(content []byte, password string) (private any, certificates []*x509.Certificate, err error) {
	if bytes.Contains(content, []byte("-----BEGIN ")) {
		if password != "" {
			return nil, nil, fmt.Errorf("%w: only a PKCS#12 file has one, and this is PEM", ErrKeyPassword)
		}
		return readPEM(content)
	}
	if private, err := x509.ParsePKCS8PrivateKey(content); err == nil {
		return private, nil, nil
	}
	private, leaf, others, err := pkcs12.DecodeChain(content, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && password == "":
		return nil, nil, fmt.Errorf("%w: the PKCS#12 file has one, which is missing", ErrKeyPassword)
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, nil, fmt.Errorf("%w: it is not that of the PKCS#12 file", ErrKeyPassword)
	case err != nil:
		return nil, nil, fmt.Errorf("%w: it is neither PEM nor PKCS#8, and as PKCS#12: %w", ErrKeyFile, err)
	}
	return private, append([]*x509.Certificate{leaf}, others...), nil
}

func readPEM(content []byte) (private any, certificates []*x509.Certificate, err error) {
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, fmt.Errorf("%w: certificate: %w", ErrKeyFile, err)
			}
			certificates = append(certificates, certificate)
			continue
		}
		key, err := readPrivateBlock(block)
		switch {
		case err != nil:
			return nil, nil, err
		case key != nil && private != nil:
			return nil, nil, fmt.Errorf("%w: there are two, and each needs a file of its own", ErrKeyFile)
		case key != nil:
			private = key
		}
	}
	if private == nil {
		return nil, nil, fmt.Errorf("%w: the PEM has no private key", ErrKeyFile)
	}
	return private, certificates, nil
}

// readPrivateBlock returns the private key of a PEM block; nil for a block of another kind, such as
// the EC PARAMETERS that stand before a key of SEC 1.
func readPrivateBlock(block *pem.Block) (private any, err error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, fmt.Errorf("%w: encrypted PEM is not supported; keep the key in a PKCS#12 file", ErrKeyPassword)
	}
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return private, nil
}

// chainOf puts certificates in the order of x5c (RFC 7517 §4.7): the key's own first, each further one
// certifying the one before it. Where none is the key's own it leaves them as they are, to be refused.
func chainOf(private crypto.Signer, certificates []*x509.Certificate) []*x509.Certificate {
	own := slices.IndexFunc(certificates, func(c *x509.Certificate) bool {
		public, ok := c.PublicKey.(interface {
			Equal(other crypto.PublicKey) bool
		})
		return ok && public.Equal(private.Public())
	})
	if own < 0 {
		return certificates
	}
	chain := []*x509.Certificate{certificates[own]}
	for {
		last := chain[len(chain)-1]
		next := slices.IndexFunc(certificates, func(c *x509.Certificate) bool {
			return !slices.Contains(chain, c) && bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if next < 0 {
			return chain
		}
		chain = append(chain, certificates[next])
	}
}
