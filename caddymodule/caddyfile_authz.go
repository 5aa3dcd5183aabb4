package caddymodule

import (
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/gatewright/gatewright/authz"
)

// parseAuthz sets up the global option authz: one authorization server. Syntax:
//
//	authz [<name>] {
//		issuer <url>
//		compat nam
//		storage bolt [<file>] | memory
//		users local {
//			file <path>
//			user <name> {
//				password <hash>
//				attribute <name> <value...>
//				role <name...>
//				totp <base32 secret>
//				disabled
//			}
//		}
//		users ldap { ... }               # see parseLDAP
//		attribute_set <name> {
//			<attribute> <claim>
//			constant <claim> <value>
//			virtual <claim> <CEL expression over user>
//		}
//		contract <uri> { ... }           # see parseContract
//		password_grant_contract <uri...>
//		signing { ... }                  # see signing
//		lifetime {
//			code|access_token|id_token|refresh_token|refresh_idle|session|session_idle|refresh_grace <duration>
//		}
//		token_format jwt|binary
//		grant_type <type...>
//		token_type <type...>
//		cors none | * | <origin...>
//		cors_credentials
//		registration off|protected|open
//		role_names <developer> <admin>
//		fetch {
//			allow_host <host[:port]...>
//			ca <pem file...>
//		}
//		lockout <guesses> <window> <pause>
//		rate_limit {
//			total|client|address <n>/s
//		}
//		revocation on|off {
//			check_after <duration>
//		}
//		logout {
//			consent on|off
//			revoke_tokens on|off
//		}
//		brand {
//			name <text>
//			logo <url>
//			color <css color>
//		}
//		saml_issuer <entity id> {
//			certificate <pem file...>
//			audience <value>
//			user_attribute <attribute>
//		}
//		jwt_issuer <issuer> {
//			jwks <url> | file <path> | inline <json>
//			audience <value>
//			user_attribute <attribute>
//		}
//		resource_server <name> { ... }   # see parseResourceServer
//		client <id> { ... }              # see parseClient
//	}
//
// A second server needs a name; a server without one is called "default".
func parseAuthz(d *caddyfile.Dispenser, existing any) (any, error) {
	app := App{Servers: make(map[string]*ServerConfig)}
	if previous, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(previous.Value, &app); err != nil {
			return nil, err
		}
	}
	d.Next() // the option's own name
	server := defaultServer
	if d.NextArg() {
		server = d.Val()
	}
	if app.Servers[server] != nil {
		if server == defaultServer {
			return nil, d.Err("a second authz block needs a name: authz <name> { ... }")
		}
		return nil, d.Errf("authz %s is defined already", server)
	}
	p := authzParser{config: new(ServerConfig)}
	if err := p.parse(d); err != nil {
		return nil, err
	}
	app.Servers[server] = p.config
	return httpcaddyfile.App{Name: "authz", Value: caddyconfig.JSON(app, nil)}, nil
}

// authzParser holds what the words of one authz block have in common.
type authzParser struct {
	config *ServerConfig

	attributeSets   map[string]bool
	resourceServers map[string]bool
	clients         map[string]bool
	contracts       map[string]bool
	scopes          map[string]string // name -> the resource server that defines it
	// wanted are resource servers that clients name, each with the error for when there is none:
	// the block that defines it may come later.
	wanted []wantedResource
}

type wantedResource struct {
	name    string
	missing error
}

func (p *authzParser) parse(d *caddyfile.Dispenser) error {
	p.attributeSets = make(map[string]bool)
	p.resourceServers = map[string]bool{authz.IssuerResource: true} // built in
	p.clients = make(map[string]bool)
	p.contracts = make(map[string]bool)
	p.scopes = make(map[string]string)
	p.config.Places = make(map[string]string)
	c := p.config
	err := words{
		"issuer":                  text(&c.Issuer),
		"storage":                 p.storage,
		"users":                   p.users,
		"attribute_set":           p.attributeSet,
		"contract":                p.parseContract,
		"password_grant_contract": list(&c.PasswordGrantContracts),
		"compat":                  text(&c.Compat),
		"token_format":            text(&c.TokenFormat),
		"signing":                 p.signing,
		"saml_issuer":             p.samlIssuer,
		"jwt_issuer":              p.jwtIssuer,
		"lifetime":                lifetime(&c.Lifetime),
		"grant_type":              list(&c.GrantTypes),
		"token_type":              list(&c.TokenTypes),
		"cors":                    p.cors,
		"cors_credentials":        present(&c.CORSCredentials),
		"fetch":                   p.fetch,
		"registration":            text(&c.Registration),
		"role_names":              p.roleNames,
		"lockout":                 p.lockout,
		"rate_limit":              p.rateLimit,
		"revocation":              p.revocation,
		"logout":                  p.logout,
		"brand":                   p.brand,
		"resource_server":         p.parseResourceServer,
		"client":                  p.parseClient,
	}.placed(c.Places, "client", "resource_server", "attribute_set", "contract", "saml_issuer", "jwt_issuer").only(d)
	if err != nil {
		return err
	}
	if c.Issuer == "" {
		return d.Err("authz needs an issuer")
	}
	for _, wanted := range p.wanted {
		if !p.resourceServers[wanted.name] && !strings.Contains(wanted.name, "{") {
			return wanted.missing
		}
	}
	return nil
}

func (p *authzParser) jwtIssuer(d *caddyfile.Dispenser) error {
	return trusted(d, "the iss of its JWTs", &p.config.JWTIssuers, func(i *JWTIssuer) (*string, words) {
		return &i.Issuer, words{"jwks": jwks(&i.JWKS), "audience": text(&i.Audience), "user_attribute": text(&i.UserAttribute)}
	})
}

func (p *authzParser) samlIssuer(d *caddyfile.Dispenser) error {
	return trusted(d, "an entity ID", &p.config.SAMLIssuers, func(i *SAMLIssuer) (*string, words) {
		return &i.EntityID, words{"certificate": list(&i.Certificates), "audience": text(&i.Audience), "user_attribute": text(&i.UserAttribute)}
	})
}

// trusted reads a directive that names one of those whose assertions are taken, each of them once.
func trusted[T any](d *caddyfile.Dispenser, needs string, all *[]T, parts func(*T) (name *string, lines words)) error {
	directive := d.Val()
	if !d.NextArg() || d.Val() == "" {
		return d.Errf("%s needs %s", directive, needs)
	}
	for i := range *all {
		if name, _ := parts(&(*all)[i]); *name == d.Val() {
			return d.Errf("%s %s is there already", directive, *name)
		}
	}
	var one T
	name, lines := parts(&one)
	*name = d.Val()
	err := lines.only(d)
	*all = append(*all, one)
	return err
}

func (p *authzParser) storage(d *caddyfile.Dispenser) error {
	if p.config.StorageRaw != nil {
		return d.Err("storage is set already")
	}
	if !d.NextArg() {
		return d.Err("storage needs a kind: bolt or memory")
	}
	kind := d.Val()
	switch kind {
	case "bolt":
		storage := new(BoltStorage)
		if d.NextArg() {
			storage.File = d.Val()
		}
		p.config.StorageRaw = caddyconfig.JSONModuleObject(storage, "module", kind, nil)
	case "memory":
		p.config.StorageRaw = caddyconfig.JSONModuleObject(new(MemoryStorage), "module", kind, nil)
	default:
		return d.Errf("unrecognized storage: %s", kind)
	}
	return lineEnds(d)
}

func (p *authzParser) users(d *caddyfile.Dispenser) error {
	if p.config.UsersRaw != nil {
		return d.Err("users is set already")
	}
	if !d.NextArg() {
		return d.Err("users needs a kind: local or ldap")
	}
	kind := d.Val()
	switch kind {
	case "local":
		return p.localUsers(d)
	case "ldap":
		directory, err := parseLDAP(d)
		p.config.UsersRaw = caddyconfig.JSONModuleObject(directory, "module", kind, nil)
		return err
	default:
		return d.Errf("unrecognized users: %s", kind)
	}
}

func (p *authzParser) localUsers(d *caddyfile.Dispenser) error {
	local := new(LocalUsers)
	taken := make(map[string]bool)
	err := words{
		"file": text(&local.File),
		"user": func(d *caddyfile.Dispenser) error {
			given, err := name(d, taken)
			if err != nil {
				return err
			}
			user, err := parseUser(d, given)
			local.People = append(local.People, user)
			return err
		},
	}.only(d)
	p.config.UsersRaw = caddyconfig.JSONModuleObject(local, "module", "local", nil)
	return err
}

func parseUser(d *caddyfile.Dispenser, given string) (LocalUser, error) {
	user := LocalUser{Name: given}
	err := words{
		"password": text(&user.Password),
		"role":     list(&user.Roles),
		"totp":     text(&user.TOTP),
		"disabled": present(&user.Disabled),
		"attribute": func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) < 2 {
				return d.Err("attribute needs a name and a value")
			}
			if user.Attributes == nil {
				user.Attributes = make(map[string][]string)
			}
			user.Attributes[args[0]] = append(user.Attributes[args[0]], args[1:]...)
			return nil
		},
	}.block(d)
	if err == nil && user.Password == "" {
		err = d.Errf("user %s needs a password", given)
	}
	return user, err
}

func (p *authzParser) attributeSet(d *caddyfile.Dispenser) error {
	given, err := name(d, p.attributeSets)
	if err != nil {
		return err
	}
	set := AttributeSet{
		Name: given, Attributes: make(map[string]string), Constants: make(map[string]string), Virtual: make(map[string]string),
	}
	byWord := map[string]map[string]string{"constant": set.Constants, "virtual": set.Virtual}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		into, from := set.Attributes, d.Val()
		if other, ok := byWord[from]; ok {
			if !d.NextArg() {
				return d.Errf("%s needs a claim and a value", from)
			}
			into, from = other, d.Val()
		}
		if _, taken := into[from]; taken {
			return d.Errf("%s is mapped already", from)
		}
		if !d.NextArg() {
			return d.Errf("%s needs what it becomes", from)
		}
		into[from] = d.Val()
		if err := lineEnds(d); err != nil {
			return err
		}
	}
	p.config.AttributeSets = append(p.config.AttributeSets, set)
	return nil
}

func (p *authzParser) logout(d *caddyfile.Dispenser) error {
	logout := made(&p.config.Logout)
	return words{"consent": onOff(&logout.Consent), "revoke_tokens": onOff(&logout.RevokeTokens)}.only(d)
}

func (p *authzParser) roleNames(d *caddyfile.Dispenser) error {
	if p.config.DeveloperRole != "" {
		return d.Err("role_names is set already")
	}
	if !d.AllArgs(&p.config.DeveloperRole, &p.config.AdminRole) {
		return d.Err("role_names needs two values: <developer> <admin>")
	}
	return nil
}

func (p *authzParser) fetch(d *caddyfile.Dispenser) error {
	fetch := made(&p.config.Fetch)
	return words{"allow_host": list(&fetch.AllowHosts), "ca": list(&fetch.CA)}.only(d)
}

func (p *authzParser) brand(d *caddyfile.Dispenser) error {
	brand := made(&p.config.Brand)
	return words{
		"name":  text(&brand.Name),
		"logo":  text(&brand.Logo),
		"color": text(&brand.Color),
	}.only(d)
}

func (p *authzParser) cors(d *caddyfile.Dispenser) error {
	var origins []string
	if err := list(&origins)(d); err != nil {
		return err
	}
	for _, origin := range origins {
		if len(origins) > 1 && (origin == "none" || origin == "*") {
			return d.Errf("cors %s stands alone", origin)
		}
		if origin != "none" {
			p.config.CORS = append(p.config.CORS, origin)
		}
	}
	return nil
}

func (p *authzParser) lockout(d *caddyfile.Dispenser) (err error) {
	if p.config.Lockout != nil {
		return d.Err("lockout is set already")
	}
	lockout := made(&p.config.Lockout)
	const syntax = "lockout needs three values: <guesses> <window> <pause>"
	if !d.NextArg() {
		return d.Err(syntax)
	}
	if lockout.Guesses, err = parseCount(d); err != nil {
		return err
	}
	for _, dst := range []*caddy.Duration{&lockout.Window, &lockout.Pause} {
		if !d.NextArg() {
			return d.Err(syntax)
		}
		if *dst, err = parseSpan(d); err != nil {
			return err
		}
	}
	return lineEnds(d)
}

// lifetime parses a block of lifetimes, of a server or of a client.
func lifetime(dst **Lifetime) parser {
	return func(d *caddyfile.Dispenser) error {
		l := made(dst)
		return words{
			"code":          span(&l.Code),
			"access_token":  span(&l.AccessToken),
			"id_token":      span(&l.IDToken),
			"refresh_token": span(&l.RefreshToken),
			"refresh_idle":  span(&l.RefreshIdle),
			"session":       span(&l.Session),
			"session_idle":  span(&l.SessionIdle),
			"refresh_grace": span(&l.RefreshGrace),
		}.only(d)
	}
}
