package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// parseClient parses a registered application. Syntax:
//
//	client <id> {
//		name <text>
//		access_type user|service
//		type web|native|browser
//		resource_server <name>
//		access_token_type bearer
//		secret <secret> | secret_hash sha256:<digest>
//		auth_method client_secret_basic|client_secret_post|client_secret_jwt|private_key_jwt|none [<alg>]
//		redirect_uri <uri...>
//		post_logout_redirect_uri <uri...>
//		grant_type <type...>
//		token_type <type...>
//		response_type <type...>
//		scope <scope...>
//		contract <uri...>
//		cors <origin...>
//		id_token {
//			signed <alg>|none
//			encrypted <alg> [<enc>]
//		}
//		userinfo {
//			signed <alg>
//			encrypted <alg> [<enc>]
//		}
//		request_object {
//			signed <alg>|none
//			required
//		}
//		request_uri <url...>
//		jwks <url> | file <path> | inline <json>
//		lifetime { ... }
//		token_format default|jwt|binary
//		refresh_token on|off
//		rotate_refresh_token
//		require_pkce
//		plain_pkce
//		persistent_cookie
//		allow role|user <name...>
//		prompt_user on|off
//		default_max_age <duration>
//		subject_type public|pairwise
//		sector_identifier_uri <url>
//		initiate_login_uri <url>
//		logo <url>
//		policy <url>
//		terms <url>
//		contact <mail...>
//		disabled
//	}
func (p *authzParser) parseClient(d *caddyfile.Dispenser) error {
	id, err := name(d, p.clients)
	if err != nil {
		return err
	}
	c := Client{ID: id}
	err = words{
		"name":                     text(&c.Name),
		"access_type":              text(&c.AccessType),
		"type":                     text(&c.Type),
		"resource_server":          p.clientResourceServer(&c),
		"access_token_type":        text(&c.AccessTokenType),
		"secret":                   secret(&c.Secret, &c),
		"secret_hash":              secret(&c.SecretHash, &c),
		"auth_method":              authMethod(&c),
		"redirect_uri":             list(&c.RedirectURIs),
		"post_logout_redirect_uri": list(&c.PostLogoutRedirectURIs),
		"grant_type":               list(&c.GrantTypes),
		"token_type":               list(&c.TokenTypes),
		"response_type":            list(&c.ResponseTypes),
		"scope":                    list(&c.Scopes),
		"contract":                 list(&c.Contracts),
		"cors":                     list(&c.CORS),
		"id_token":                 tokenForm(&c.IDToken),
		"userinfo":                 tokenForm(&c.UserInfo),
		"request_object":           requestObject(&c.RequestObject),
		"request_uri":              list(&c.RequestURIs),
		"jwks":                     jwks(&c.JWKS),
		"lifetime":                 lifetime(&c.Lifetime),
		"token_format":             text(&c.TokenFormat),
		"refresh_token":            onOff(&c.RefreshToken),
		"rotate_refresh_token":     present(&c.RotateRefreshToken),
		"require_pkce":             present(&c.RequirePKCE),
		"plain_pkce":               present(&c.PlainPKCE),
		"persistent_cookie":        present(&c.PersistentCookie),
		"allow":                    allow(&c.Allow),
		"prompt_user":              onOff(&c.PromptUser),
		"default_max_age":          span(&c.DefaultMaxAge),
		"subject_type":             text(&c.SubjectType),
		"sector_identifier_uri":    text(&c.SectorIdentifierURI),
		"initiate_login_uri":       text(&c.InitiateLoginURI),
		"logo":                     text(&c.Logo),
		"policy":                   text(&c.Policy),
		"terms":                    text(&c.Terms),
		"contact":                  list(&c.Contacts),
		"disabled":                 present(&c.Disabled),
	}.block(d)
	p.config.Clients = append(p.config.Clients, c)
	return err
}

// clientResourceServer remembers the name for when all blocks have been read.
func (p *authzParser) clientResourceServer(c *Client) parser {
	return func(d *caddyfile.Dispenser) error {
		if err := text(&c.ResourceServer)(d); err != nil {
			return err
		}
		missing := d.Errf("client %s: there is no resource_server %s", c.ID, c.ResourceServer)
		p.wanted = append(p.wanted, wantedResource{c.ResourceServer, missing})
		return nil
	}
}

// secret takes a secret or its hash, but one of them only.
func secret(dst *string, c *Client) parser {
	return func(d *caddyfile.Dispenser) error {
		if c.Secret != "" || c.SecretHash != "" {
			return d.Errf("client %s has a secret already", c.ID)
		}
		return text(dst)(d)
	}
}

func authMethod(c *Client) parser {
	return func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if c.AuthMethod != "" || len(args) < 1 || len(args) > 2 {
			return d.Err("auth_method needs a method and, where it signs, may have an algorithm, once")
		}
		c.AuthMethod = args[0]
		if len(args) == 2 {
			c.AuthAlg = args[1]
		}
		return nil
	}
}

func tokenForm(dst **TokenForm) parser {
	return func(d *caddyfile.Dispenser) error {
		form := made(dst)
		return words{"signed": text(&form.Signed), "encrypted": encrypted(form)}.only(d)
	}
}

func requestObject(dst **RequestObject) parser {
	return func(d *caddyfile.Dispenser) error {
		object := made(dst)
		return words{"signed": text(&object.Signed), "required": present(&object.Required)}.only(d)
	}
}

// encrypted takes a key management algorithm, and a content encryption if need be.
func encrypted(form *TokenForm) parser {
	return func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if form.Alg != "" || len(args) < 1 || len(args) > 2 {
			return d.Err("encrypted needs, once: <alg> [<enc>]")
		}
		form.Alg = args[0]
		if len(args) == 2 {
			form.Enc = args[1]
		}
		return nil
	}
}

func allow(dst **Allow) parser {
	return func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if len(args) < 2 {
			return d.Err("allow needs role or user, and a name")
		}
		switch allowed := made(dst); args[0] {
		case "role":
			allowed.Roles = append(allowed.Roles, args[1:]...)
		case "user":
			allowed.Users = append(allowed.Users, args[1:]...)
		default:
			return d.Errf("allow role or user, not %s", args[0])
		}
		return nil
	}
}
