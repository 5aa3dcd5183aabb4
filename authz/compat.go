package authz

import (
	"errors"
	"maps"
	"net/url"
	"strings"
)

// Paths of NetIQ Access Manager (E12): applications written for it find our endpoints there.
const (
	namIssuerPath = "/nidp/oauth/nam"
	namV1Path     = "/nidp/oauth/v1/nam"
)

func (c *Config) checkCompat(issuer *url.URL) error {
	switch c.Compat {
	case "":
		return nil
	case CompatNAM:
		if issuer.Path != namIssuerPath {
			return errors.New("nam: the issuer is then https://<host>" + namIssuerPath)
		}
		return nil
	default:
		return errors.New("only nam is known")
	}
}

// addCompat serves the endpoints under their other names too.
func (s *Server) addCompat(routes map[string]route) {
	if s.cfg.Compat != CompatNAM {
		return
	}
	aliases := make(map[string]route)
	for alias, path := range map[string]string{
		namIssuerPath + "/authz":   pathAuthorize,
		namIssuerPath + "/keys":    pathJWKS,
		namV1Path + "/introspect":  pathIntrospect,
		namV1Path + "/end_session": pathEndSession,
	} {
		aliases[alias] = routes[s.base+path]
	}
	maps.Copy(routes, aliases) // token, userinfo, tokeninfo and revoke have the same name in both
}

// relative is the path of a request below the issuer, under our own names.
func (s *Server) relative(path string) string {
	if s.cfg.Compat == CompatNAM && path == namIssuerPath+"/authz" {
		return pathAuthorize
	}
	return strings.TrimPrefix(path, s.base)
}
