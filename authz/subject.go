package authz

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// SubjectType says what sub a client knows a person by (OpenID Connect Core §8).
type SubjectType string

// Subject types.
const (
	SubjectPublic SubjectType = "public" // the default: the same for every client
	// SubjectPairwise is another one for each sector. Whatever leaves the server for such a client, or
	// with a token of it, has that sub, and no user name; the server itself finds the person by it.
	SubjectPairwise SubjectType = "pairwise"
)

// prepareSubject finds the sector of a client (OpenID Connect Core §8.1): the host of its
// sector_identifier_uri, else the one host of its redirect URIs.
func (c *client) prepareSubject() error {
	switch c.SubjectType {
	case SubjectPublic, "":
		return nil
	case SubjectPairwise:
	default:
		return fmt.Errorf("subject_type: %q is none of public, pairwise", c.SubjectType)
	}
	if c.SectorIdentifierURI != "" {
		u, err := url.Parse(c.SectorIdentifierURI)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" {
			return fmt.Errorf("sector_identifier_uri: %q must be an https URL", c.SectorIdentifierURI)
		}
		c.sector = strings.ToLower(u.Hostname())
		return nil
	}
	for _, uri := range c.RedirectURIs {
		u, err := url.Parse(uri)
		if err != nil || u.Hostname() == "" || c.sector != "" && c.sector != strings.ToLower(u.Hostname()) {
			return errors.New("subject_type pairwise: redirect URIs of one host are needed, or a sector_identifier_uri")
		}
		c.sector = strings.ToLower(u.Hostname())
	}
	if c.sector == "" {
		return errors.New("subject_type pairwise: a redirect_uri or a sector_identifier_uri is needed")
	}
	return nil
}

// subjectFor is the sub of a person towards a client.
func (s *Server) subjectFor(c *client, subject string) string {
	if c == nil || c.sector == "" {
		return subject
	}
	return s.run.pairwise.Identifier(s.run.pairwise.Sector(c.sector), subject)
}

// tokenSubject is the sub of an access token: the person as the client knows them, or the client that
// acts for itself (RFC 9068 §2.2).
func (s *Server) tokenSubject(a *Authorization) string {
	if a.user == nil {
		return a.client.ID
	}
	return s.subjectFor(a.client, a.user.Subject)
}

// Account is the person that a sub means, whichever client it was made for.
func (s *Server) Account(sub string) string {
	if subject, ok := s.run.pairwise.Subject(sub); ok {
		return subject
	}
	return sub
}
