package authz

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Contract is a named authentication procedure (C11, G13). Its URI is what acr says of a login by it.
type Contract struct {
	URI string
	// Name is what people call it; default: the URI.
	Name string
	// Methods in this order, each by its name, all of which must succeed: password, totp, webauthn, and those
	// of Config.Methods; default: password.
	Methods []string
	// Level orders contracts: whoever satisfies one satisfies every contract of a lower level.
	Level int
	// Timeout is how long a proof counts for this contract; 0: the lifetime of a session.
	Timeout time.Duration
	// Default is used where nobody asks for a contract. Without one, PasswordContract is.
	Default bool
}

// PasswordContract is a built-in contract of the lowest level: a password over TLS. It is there until
// another Contract is the default, so that acr_values can't name it to get around that one, or has its
// URI.
const PasswordContract = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"

// minTimeout is the shortest Timeout.
const minTimeout = 30 * time.Second

// Methods that are built in.
const (
	MethodPassword = "password"
	MethodTOTP     = "totp"     // a code of an authenticator app (RFC 6238)
	MethodWebAuthn = "webauthn" // a passkey or security key
)

// contract is a Contract, checked, with its defaults filled in.
type contract struct {
	Contract
	limit time.Duration // Timeout, or how long a session lasts
}

// compileContracts checks the contracts and fills in what is left out.
func (s *Server) compileContracts(cfg *Config) error {
	var errs []error
	list := cfg.Contracts
	if !slices.ContainsFunc(list, func(c Contract) bool { return c.Default || c.URI == PasswordContract }) {
		list = append(slices.Clip(list), Contract{URI: PasswordContract, Default: true})
	}
	for _, given := range list {
		c, err := s.compileContract(given)
		if err != nil {
			errs = append(errs, wrong("contract", given.URI, err))
			continue
		}
		s.contracts = append(s.contracts, c)
		if c.Default {
			s.defaultContract = c
		}
	}
	if s.defaultContract == nil {
		s.defaultContract = s.contractNamed(PasswordContract) // the operator's own
	}
	for _, uri := range cfg.PasswordGrantContracts {
		if s.contractNamed(uri) == nil {
			errs = append(errs, wrong("password_grant_contract", "", fmt.Errorf("contract %q is not defined", uri)))
		}
	}
	return errors.Join(errs...)
}

func (s *Server) compileContract(given Contract) (*contract, error) {
	c := &contract{Contract: given}
	if c.Name == "" {
		c.Name = c.URI
	}
	if c.limit = c.Timeout; c.limit == 0 {
		c.limit = s.cfg.Lifetimes.Session
	}
	if len(c.Methods) == 0 {
		c.Methods = []string{MethodPassword}
	}
	switch {
	case !validContractURI(c.URI):
		return nil, errors.New("a URI has 1 to 256 visible ASCII characters, but neither quote nor backslash")
	case s.contractNamed(c.URI) != nil:
		return nil, errors.New("the URI is taken")
	case c.Default && s.defaultContract != nil:
		return nil, fmt.Errorf("%s is the default already", s.defaultContract.URI)
	case c.Level < 0:
		return nil, errors.New("level must not be negative")
	case c.Timeout != 0 && c.Timeout < minTimeout:
		return nil, fmt.Errorf("timeout must be at least %s: nobody proves anything faster", minTimeout)
	}
	for i, name := range c.Methods {
		m := s.methods[name]
		switch {
		case m == nil:
			return nil, fmt.Errorf("method %q is unknown", name)
		case slices.Contains(c.Methods[:i], name):
			return nil, fmt.Errorf("method %s stands twice", name)
		case name == MethodWebAuthn && s.passkeys == nil:
			return nil, errors.New("method webauthn needs an issuer whose host is a name")
		case i == 0 && !m.identifies():
			return nil, fmt.Errorf("method %s can't be the first: it doesn't tell who somebody is", name)
		}
	}
	return c, nil
}

// validContractURI keeps to what acr_values can list and a challenge can quote.
func validContractURI(uri string) bool {
	return uri != "" && len(uri) <= maxHint && !strings.ContainsFunc(uri, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '"' || r == '\\'
	})
}

// first is the method that finds out who somebody is: a password for those without their passkey.
func (c *contract) first(ix *interaction) string {
	if ix.Recover && c.Methods[0] == MethodWebAuthn {
		return MethodPassword
	}
	return c.Methods[0]
}

func (s *Server) contractNamed(uri string) *contract {
	for _, c := range s.contracts {
		if c.URI == uri {
			return c
		}
	}
	return nil
}

func (s *Server) contractURIs() []string {
	uris := make([]string, len(s.contracts))
	for i, c := range s.contracts {
		uris[i] = c.URI
	}
	return uris
}

// contractFor picks the contract of an authorization request: the client's own list overrides
// acr_values, of either the first one counts, and names that nobody knows are passed over (C11, OpenID
// Connect Core §3.1.2.1). What a gate asks for is the operator's own word and goes first. Where acr is
// an essential claim (§5.5.1.1) it is nil if there is no such contract, or none that the client's list
// has.
func (s *Server) contractFor(c *client, req *authorizationRequest) *contract {
	asked := s.firstContract(req.ACRValues)
	switch {
	case req.Gate && asked != nil:
		return asked
	case req.ACREssential && len(c.Contracts) > 0:
		return s.firstContract(slices.DeleteFunc(slices.Clone(c.Contracts), func(uri string) bool {
			return !slices.Contains(req.ACRValues, uri)
		}))
	case req.ACREssential:
		return asked
	case len(c.Contracts) > 0:
		return s.firstContract(c.Contracts)
	case asked != nil:
		return asked
	}
	return s.defaultContract
}

func (s *Server) firstContract(uris []string) *contract {
	for _, uri := range uris {
		if c := s.contractNamed(uri); c != nil {
			return c
		}
	}
	return nil
}

// proof is that somebody succeeded with a method.
type proof struct {
	At  time.Time `json:"at"`
	AMR []string  `json:"amr,omitempty"` // RFC 8176
	Via string    `json:"via,omitempty"` // the interaction that it was given in
	// Identifies: it told who somebody is, as the first of a contract must. A passkey may only have been
	// touched.
	Identifies bool `json:"identifies,omitempty"`
	// Kept is the device whose persistent cookie it comes from (C5).
	Kept string `json:"kept,omitempty"`
}

// counts tells whether a proof is still one for a request: it is not older than the contract allows,
// and was given for this very request unless prompt and max_age are content with an older one (A35).
func (p proof) counts(c *contract, ix *interaction, now time.Time) bool {
	age, limit, req := now.Sub(p.At), c.limit, &ix.Request
	if p.Kept != "" {
		limit = c.Timeout // it outlives a session, but not what the operator has set
		if !req.Persistent || req.Device != p.Kept {
			return false
		}
	}
	switch {
	case limit != 0 && age > limit:
		return false
	case p.Via == ix.ID:
		return true
	case req.prompts("login") || req.prompts("select_account"):
		return false
	}
	return req.MaxAge == nil || recent(age, time.Duration(*req.MaxAge)*time.Second)
}

// recent tells whether a login will still be young enough when it gets to whoever asks for it: a gate's challenge
// (RFC 9470) is not to be answered with a token that it refuses a moment later.
func recent(age, maxAge time.Duration) bool { return age <= maxAge-min(maxAge/10, 5*time.Second) }

// missing are the methods of a contract that a request still waits for.
func (c *contract) missing(proofs map[string]proof, ix *interaction, now time.Time) []string {
	return slices.DeleteFunc(slices.Clone(c.Methods), func(method string) bool {
		p, given := proofs[method]
		return given && p.counts(c, ix, now) && (p.Identifies || method != c.Methods[0])
	})
}

// satisfied is the contract by which the proofs are enough for a request that wants one: this one, or
// one of a higher level, the highest first; nil: they are not. Where acr is an essential claim, only
// one of the values that were asked for will do.
func (s *Server) satisfied(wanted *contract, proofs map[string]proof, ix *interaction) *contract {
	now := s.now()
	if len(wanted.missing(proofs, ix, now)) == 0 {
		return wanted
	}
	var best *contract
	for _, c := range s.contracts {
		will := c.Level > wanted.Level && (best == nil || c.Level > best.Level) &&
			(!ix.Request.ACREssential || slices.Contains(ix.Request.ACRValues, c.URI))
		if will && len(c.missing(proofs, ix, now)) == 0 {
			best = c
		}
	}
	return best
}

// Satisfies tells whether a login by the contract acr at some time is one by one of the wanted
// contracts, or by one of a higher level. maxAge, if not zero, says that it is, but was longer ago than
// its own timeout.
func (s *Server) Satisfies(wanted []string, acr string, at time.Time) (ok bool, maxAge time.Duration) {
	by := s.contractNamed(acr)
	if by == nil {
		return false, 0
	}
	enough := slices.ContainsFunc(wanted, func(uri string) bool {
		c := s.contractNamed(uri)
		return c != nil && (c == by || by.Level > c.Level)
	})
	if enough && by.Timeout != 0 && s.now().Sub(at) > by.Timeout {
		return false, by.Timeout
	}
	return enough, 0
}

// authContext is how and when somebody signed in, as tokens say it (OpenID Connect Core §2, RFC 9068
// §2.2.1).
type authContext struct {
	authTime time.Time // of the oldest proof
	acr      string
	amr      []string
}

func (c *contract) context(proofs map[string]proof) authContext {
	ctx := authContext{acr: c.URI}
	for _, method := range c.Methods {
		p := proofs[method]
		if ctx.authTime.IsZero() || p.At.Before(ctx.authTime) {
			ctx.authTime = p.At
		}
		for _, value := range p.AMR {
			if !slices.Contains(ctx.amr, value) {
				ctx.amr = append(ctx.amr, value)
			}
		}
	}
	if len(c.Methods) > 1 && !slices.Contains(ctx.amr, amrSeveral) {
		ctx.amr = append(ctx.amr, amrSeveral)
	}
	return ctx
}

// Values of amr (RFC 8176 §2).
const (
	amrPassword = "pwd"
	amrOneTime  = "otp"
	amrSeveral  = "mfa"
)
