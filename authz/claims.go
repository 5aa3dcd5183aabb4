package authz

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/token"
	"github.com/gatewright/gatewright/authz/users"
)

// claimSource computes one claim of a scope from a person.
type claimSource struct {
	claim string
	value func(u *users.User) (any, bool)
	to    Placement
}

// claimPermissions is the list that custom permissions go to (S3).
const claimPermissions = "claims"

// claimRoles has a person's roles (S7).
const claimRoles = "roles"

// standardClaims are the claims of the standard scopes (OpenID Connect Core §5.4) and the attributes
// they come from: the names of OpenID Connect first, then those of inetOrgPerson and Active
// Directory. Userinfo has them; tokens don't.
var standardClaims = map[string]map[string][]string{
	"profile": {
		"name":               {"name", "displayName", "cn"},
		"given_name":         {"given_name", "givenName"},
		"family_name":        {"family_name", "sn"},
		"middle_name":        {"middle_name", "initials"},
		"nickname":           {"nickname"},
		"profile":            {"profile"},
		"picture":            {"picture"},
		"website":            {"website"},
		"gender":             {"gender"},
		"birthdate":          {"birthdate"},
		"zoneinfo":           {"zoneinfo"},
		"locale":             {"locale", "preferredLanguage"},
		"updated_at":         {"updated_at", "whenChanged"},
		"preferred_username": {},
	},
	"email": {
		"email":          {"email", "mail"},
		"email_verified": {"email_verified"},
	},
	"phone": {
		"phone_number":          {"phone_number", "telephoneNumber", "mobile"},
		"phone_number_verified": {"phone_number_verified"},
	},
}

// typedClaims are the standard claims that are not strings (OpenID Connect Core §5.1).
var typedClaims = map[string]func(string) (any, bool){
	"email_verified":        truth,
	"phone_number_verified": truth,
	"updated_at":            seconds,
}

// truth reads a boolean as LDAP (RFC 4517 §3.3.3) and people write it.
func truth(value string) (any, bool) {
	b, err := strconv.ParseBool(value)
	return b, err == nil
}

// seconds reads a time in seconds since 1970, or as LDAP writes it (RFC 4517 §3.3.13).
func seconds(value string) (any, bool) {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return n, true
	}
	for _, layout := range []string{"20060102150405Z0700", "20060102150405.0Z0700"} {
		if t, err := time.Parse(layout, value); err == nil {
			return t.Unix(), true
		}
	}
	return nil, false
}

// compileClaims prepares what every scope gives.
func (s *Server) compileClaims() (map[string][]claimSource, error) {
	all := make(map[string][]claimSource)
	for name, claims := range standardClaims {
		for claim, attributes := range claims {
			all[name] = append(all[name], claimSource{claim: claim, value: firstAttribute(claim, attributes)})
		}
	}
	all["address"] = []claimSource{{claim: "address", value: address}}
	catalogue, err := newCatalogue(s.cfg.AttributeSets, s.cfg.Logger)
	errs := []error{err}
	for name, sc := range s.scopes {
		for _, attributes := range sc.Attributes {
			for _, written := range attributes.Claims {
				source, err := catalogue.find(written)
				if err != nil {
					errs = append(errs, wrong("scope", name, err))
					continue
				}
				source.to = attributes.To
				all[name] = append(all[name], source)
			}
		}
	}
	return all, errors.Join(errs...)
}

// firstAttribute takes the first attribute that is there.
func firstAttribute(claim string, attributes []string) func(*users.User) (any, bool) {
	if claim == "preferred_username" {
		return func(u *users.User) (any, bool) { return u.Username, u.Username != "" }
	}
	return func(u *users.User) (any, bool) {
		for _, name := range attributes {
			v := u.Attribute(name)
			if v == "" {
				continue
			}
			if read := typedClaims[claim]; read != nil {
				return read(v)
			}
			return v, true
		}
		return nil, false
	}
}

// address is the structured claim of OpenID Connect Core §5.1.1.
func address(u *users.User) (any, bool) {
	parts := map[string]string{}
	for member, attribute := range map[string]string{
		"formatted":      "postalAddress",
		"street_address": "street",
		"locality":       "l",
		"region":         "st",
		"postal_code":    "postalCode",
		"country":        "c",
	} {
		if v := cmp.Or(u.Attribute(member), u.Attribute(attribute)); v != "" {
			parts[member] = v
		}
	}
	return parts, len(parts) > 0
}

// catalogue finds a claim by name in the attribute sets.
type catalogue map[string]map[string]claimSource // set -> claim

func newCatalogue(sets []AttributeSet, log *zap.Logger) (catalogue, error) {
	c := make(catalogue, len(sets))
	for _, set := range sets {
		if c[set.Name] != nil {
			return c, wrong("attribute_set", set.Name, errors.New("the name is taken"))
		}
		claims, err := set.compile(log)
		if err != nil {
			return c, wrong("attribute_set", set.Name, err)
		}
		c[set.Name] = claims
	}
	return c, nil
}

// ownClaims are what the server itself says in tokens, besides what every access token has.
var ownClaims = map[string]bool{
	claimPermissions: true, claimPrivate: true, "nonce": true, "at_hash": true, "c_hash": true, "s_hash": true,
	"azp": true, "amr": true, "cnf": true, "active": true, "token_type": true, "username": true,
}

// compile prepares the claims of a set; each is defined once and none is the server's own.
func (set AttributeSet) compile(log *zap.Logger) (map[string]claimSource, error) {
	claims := make(map[string]claimSource)
	define := func(claim string, value func(*users.User) (any, bool)) error {
		if _, taken := claims[claim]; taken {
			return fmt.Errorf("claim %s is defined twice", claim)
		}
		if token.Reserved(claim) || ownClaims[claim] {
			return fmt.Errorf("the claim %s is the server's own", claim)
		}
		claims[claim] = claimSource{claim: claim, value: value}
		return nil
	}
	var errs []error
	for attribute, claim := range set.Attributes {
		errs = append(errs, define(claim, attributeValue(attribute)))
	}
	for claim, constant := range set.Constants {
		errs = append(errs, define(claim, func(*users.User) (any, bool) { return constant, true }))
	}
	for claim, expression := range set.Virtual {
		value, err := compileVirtual(expression, log)
		if err != nil {
			err = fmt.Errorf("virtual %s: %w", claim, err)
		}
		errs = append(errs, err, define(claim, value))
	}
	return claims, errors.Join(errs...)
}

// attributeValue gives one value as a string and several as an array, so that multi-valued stay
// arrays (S2).
func attributeValue(name string) func(*users.User) (any, bool) {
	return func(u *users.User) (any, bool) {
		switch values := u.Attributes[name]; len(values) {
		case 0:
			return nil, false
		case 1:
			return values[0], true
		default:
			return values, true
		}
	}
}

// find resolves "claim" or "set/claim".
func (c catalogue) find(written string) (claimSource, error) {
	set, claim, qualified := strings.Cut(written, "/")
	if qualified {
		source, ok := c[set][claim]
		if !ok {
			return claimSource{}, fmt.Errorf("attribute_set %s defines no claim %s", set, claim)
		}
		return source, nil
	}
	var found []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if _, ok := c[name][written]; ok {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return claimSource{}, fmt.Errorf("no attribute_set defines the claim %s", written)
	case 1:
		return c[found[0]][written], nil
	default:
		return claimSource{}, fmt.Errorf("the claim %s is in several attribute_sets (%s): write set/claim", written, strings.Join(found, ", "))
	}
}

// everywhere selects claims for userinfo, which has them all.
func everywhere(Placement) bool { return true }

func inAccessToken(p Placement) bool { return p.AccessToken }

func inIDToken(p Placement) bool { return p.IDToken }

// insteadOfUserInfo: an ID token has what userinfo would (OpenID Connect Core §5.4), but for what is
// placed in access tokens alone.
func insteadOfUserInfo(p Placement) bool { return p.IDToken || !p.AccessToken }

// claimsOf gathers what the scopes give where the placement fits: of a person, or, with no person,
// what needs none (S6).
func (s *Server) claimsOf(scopes []string, u *users.User, wanted func(Placement) bool) map[string]any {
	claims := make(map[string]any)
	var permissions []string
	for _, name := range scopes {
		sc := s.scopes[name]
		if sc == nil {
			continue // the configuration lost it since
		}
		for _, p := range sc.Permissions {
			if wanted(p.To) {
				permissions = append(permissions, p.Permissions...)
			}
		}
		if u == nil {
			continue
		}
		if sc.Roles != nil && wanted(*sc.Roles) && len(u.Roles) > 0 {
			claims[claimRoles] = u.Roles
		}
		for _, source := range s.claims[name] {
			if v, ok := source.value(u); ok && wanted(source.to) {
				claims[source.claim] = v
			}
		}
	}
	if len(permissions) > 0 {
		slices.Sort(permissions)
		claims[claimPermissions] = slices.Compact(permissions)
	}
	return claims
}
