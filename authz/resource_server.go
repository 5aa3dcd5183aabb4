package authz

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/gatewright/gatewright/authz/fetch"
	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// resource is a ResourceServer, checked and ready to mint for.
type resource struct {
	ResourceServer
	audience string
	keys     *keySet[token.Encrypter] // of EncryptionResourceKey
}

// compileResources checks the resource servers and adds the built-in one, the issuer itself (R2),
// as the last.
func compileResources(cfg *Config, fetcher *fetch.Fetcher) ([]*resource, error) {
	var errs []error
	var list []*resource
	named := map[string]bool{IssuerResource: true}
	identified := map[string]string{oauth.NormalResource(cfg.Issuer): IssuerResource}
	defaultName := ""
	for _, rs := range cfg.ResourceServers {
		r, err := compileResource(cfg, fetcher, rs)
		if err == nil && named[rs.Name] {
			err = errors.New("the name is taken or reserved")
		}
		if err == nil && rs.Default && defaultName != "" {
			err = fmt.Errorf("resource_server %s is the default already", defaultName)
		}
		for _, id := range rs.Identifiers {
			normal := oauth.NormalResource(id)
			if err == nil && identified[normal] != "" {
				err = fmt.Errorf("identifier %s belongs to resource_server %s", id, identified[normal])
			}
			identified[normal] = rs.Name
		}
		if err != nil {
			errs = append(errs, wrong("resource_server", rs.Name, err))
			continue
		}
		named[rs.Name] = true
		if rs.Default {
			defaultName = rs.Name
		}
		list = append(list, r)
	}
	self := &resource{ResourceServer: ResourceServer{
		Name:        IssuerResource,
		Identifiers: []string{cfg.Issuer},
		Encryption:  EncryptionServerKey,
		Signed:      cfg.Signing.AccessToken,
	}, audience: cfg.Issuer}
	return append(list, self), errors.Join(errs...)
}

func compileResource(cfg *Config, fetcher *fetch.Fetcher, rs ResourceServer) (*resource, error) {
	if !validName(rs.Name) {
		return nil, errors.New("a name has 1 to 64 of the characters A-Z a-z 0-9 . _ -")
	}
	if rs.Signed == "" {
		rs.Signed = cfg.Signing.AccessToken
	}
	if !slices.Contains(cfg.Signing.Algorithms, rs.Signed) {
		return nil, fmt.Errorf("signed %s: signing has no key for it", rs.Signed)
	}
	r := &resource{ResourceServer: rs, audience: cfg.Issuer + "/rs/" + rs.Name}
	for _, id := range rs.Identifiers {
		if u, err := url.Parse(id); err != nil || !u.IsAbs() || u.Fragment != "" {
			return nil, fmt.Errorf("identifier %q must be an absolute URI without fragment (RFC 8707 §2)", id)
		}
	}
	if len(rs.Identifiers) > 0 {
		r.audience = rs.Identifiers[0]
	}
	return r, r.prepareEncryption(cfg, fetcher)
}

func (r *resource) prepareEncryption(cfg *Config, fetcher *fetch.Fetcher) (err error) {
	hasKeys := len(r.JWKS) > 0 || r.JWKSURL != "" || r.KeyAlgorithm != "" || r.ContentEncryption != ""
	switch r.Encryption {
	case "":
		r.Encryption = EncryptionServerKey
		fallthrough
	case EncryptionNone, EncryptionServerKey:
		if hasKeys {
			return errors.New("jwks, alg and enc belong to encryption resource_key")
		}
	case EncryptionResourceKey:
		r.keys, err = newRecipientKeys(keySource{r.JWKS, r.JWKSURL, fetcher, cfg.Now}, r.KeyAlgorithm, r.ContentEncryption)
	default:
		return fmt.Errorf("encryption %q is none of none, server_key, resource_key", r.Encryption)
	}
	return err
}

// resourceNamed finds a resource server by name, nil when there is none.
func (s *Server) resourceNamed(name string) *resource {
	for _, r := range s.resources {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// requestedResource is the resource server that a request names by resourceServer (R5) or resource
// (RFC 8707 §2), nil when it names none. Unknown ones, and two different ones, are invalid_target.
func (s *Server) requestedResource(p oauth.Params) (*resource, error) {
	var found []*resource
	if name := p.Get("resourceServer"); name != "" {
		found = append(found, s.resourceNamed(name))
	}
	for _, id := range p.Values("resource") {
		i := slices.IndexFunc(s.resources, func(r *resource) bool { return r.identifiedBy(id) })
		if i < 0 {
			found = append(found, nil)
			continue
		}
		found = append(found, s.resources[i])
	}
	for _, r := range found {
		if r == nil {
			return nil, oauth.Errorf(oauth.InvalidTarget, "no such resource server")
		}
		if r != found[0] {
			return nil, oauth.Errorf(oauth.InvalidTarget, "one token is for one resource server")
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found[0], nil
}

// identifiedBy compares URLs in their normal form: MCP clients name an API without a path by a "/".
func (r *resource) identifiedBy(id string) bool {
	normal := oauth.NormalResource(id)
	return r.audience == id || slices.ContainsFunc(r.Identifiers, func(own string) bool { return oauth.NormalResource(own) == normal })
}

// chooseResource is R13: the one named, else the client's own, else the default, else the only one
// whose scopes are asked for (not with compat nam), else the issuer itself. A token for the registration
// endpoint is for nobody else: whoever else got it could use it there (A7).
func (s *Server) chooseResource(named *resource, c *client, scopes []string) (*resource, error) {
	registers := slices.ContainsFunc(scopes, isRegistrationScope)
	switch {
	case registers && named != nil && named.Name != IssuerResource:
		return nil, oauth.Errorf(oauth.InvalidTarget, "the scopes registration.read and registration.full belong to the resource server issuer")
	case named != nil:
		return named, nil
	case registers:
		return s.resourceNamed(IssuerResource), nil
	}
	if c.resource != nil {
		return c.resource, nil
	}
	if s.defaultResource != nil {
		return s.defaultResource, nil
	}
	if s.cfg.Compat == CompatNAM {
		return s.resourceNamed(IssuerResource), nil
	}
	var only *resource
	for _, name := range scopes {
		sc := s.scopes[name]
		if sc == nil || sc.resource == nil || sc.resource == only {
			continue
		}
		if only != nil {
			return nil, oauth.Errorf(oauth.InvalidTarget, "the scopes belong to several resource servers: name one by resource or resourceServer").Because(errSeveral)
		}
		only = sc.resource
	}
	if only != nil {
		return only, nil
	}
	return s.resourceNamed(IssuerResource), nil
}

// errSeveral: no one resource server fits all scopes.
var errSeveral = errors.New("scopes of several resource servers")

func validName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
