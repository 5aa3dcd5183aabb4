package caddymodule

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/gatewright/gatewright/authz"
)

// SAMLIssuer is an identity provider whose SAML 2.0 assertions are taken as grants (RFC 7522).
type SAMLIssuer struct {
	// Its entity ID.
	EntityID string `json:"entity_id"`
	// PEM files with its certificates, any of which may have signed.
	Certificates []string `json:"certificate,omitempty"`
	// What its assertions call this server; default: the issuer URL.
	Audience string `json:"audience,omitempty"`
	// The attribute that the NameID is a value of; default: the NameID is the login name.
	UserAttribute string `json:"user_attribute,omitempty"`
}

func (i SAMLIssuer) domain() (authz.SAMLIssuer, error) {
	issuer := authz.SAMLIssuer{EntityID: i.EntityID, Audience: i.Audience, UserAttribute: i.UserAttribute}
	for _, file := range i.Certificates {
		found, err := readCertificates(file)
		if err != nil {
			return issuer, fmt.Errorf("certificate: %w", err)
		}
		issuer.Certificates = append(issuer.Certificates, found...)
	}
	return issuer, nil
}

// JWTIssuer is somebody whose JWTs about people are taken as grants (RFC 7523).
type JWTIssuer struct {
	// The iss of its JWTs.
	Issuer string `json:"issuer"`
	// Its public keys.
	JWKS *JWKS `json:"jwks,omitempty"`
	// What its JWTs call this server; default: the issuer URL.
	Audience string `json:"audience,omitempty"`
	// The attribute that sub is a value of; default: sub is the login name.
	UserAttribute string `json:"user_attribute,omitempty"`
}

func (i JWTIssuer) domain() (authz.JWTIssuer, error) {
	issuer := authz.JWTIssuer{Issuer: i.Issuer, Audience: i.Audience, UserAttribute: i.UserAttribute}
	var err error
	if issuer.JWKS, err = i.JWKS.read(); err != nil {
		return issuer, err
	}
	if i.JWKS != nil {
		issuer.JWKSURL = i.JWKS.URL
	}
	return issuer, nil
}

// readCertificates reads all of a PEM file.
func readCertificates(file string) ([]*x509.Certificate, error) {
	rest, err := readBounded(file, maxKeyFile)
	if err != nil {
		return nil, err
	}
	var found []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return found, nil
}
