package tokeninject

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
)

// Policy is what `require` lines can't say (W2). The rules are asked by priority, deny before permit, and
// the first that fits decides; where none fits, the request is refused. Rules also hold for strangers
// at an optional gate: one whom they refuse has to sign in.
type Policy struct {
	Rules []Rule
	// DenyStatus is what a refusal answers, 403 by default; with DenyRedirect it redirects there instead.
	DenyStatus   int
	DenyRedirect string
}

// Effect is what a rule that fits does.
type Effect string

// Effects.
const (
	Permit Effect = "permit"
	Deny   Effect = "deny"
)

// Rule fits a request for which all its conditions hold.
type Rule struct {
	Effect     Effect
	Priority   int // 1 is the first, and the default
	Conditions []Condition
}

// ConditionKind is what a condition looks at.
type ConditionKind string

// Kinds of condition.
const (
	IfScope      ConditionKind = "scope"
	IfRole       ConditionKind = "role"
	IfClient     ConditionKind = "client"
	IfIssuer     ConditionKind = "issuer"   // by URL; one of the gate's own
	IfContract   ConditionKind = "contract" // by which somebody signed in
	IfClaim      ConditionKind = "claim"
	IfMethod     ConditionKind = "method"
	IfPath       ConditionKind = "path"       // as it goes on to the upstream
	IfRemoteIP   ConditionKind = "remote_ip"  // addresses and prefixes, of Seen's ClientIP
	IfExpression ConditionKind = "expression" // CEL
)

// Condition holds where one of the values fits.
type Condition struct {
	Kind   ConditionKind
	Name   string // of the claim
	Values []string
}

// Check returns an error that says what is wrong with the condition.
func (c Condition) Check() error {
	_, err := c.compile(true)
	return err
}

// facts are what a condition looks at. p is nil where only the identity counts.
type facts struct {
	id *Identity
	p  *passage
}

// test is a compiled condition. An error tells that there was no finding out.
type test func(f facts) (bool, error)

// rule is a compiled Rule. Those of its tests that an identity alone decides come first.
type rule struct {
	deny       bool
	ofIdentity []test
	ofRequest  []test
	mixed      bool       // ofRequest depends on the identity as well
	contracts  [][]string // of a permit rule, which wants one of each and has them in ofRequest as well
	// What a refusal tells of a permit rule: the lists of scopes of which each wants one, and the tests of
	// ofIdentity that are about something else.
	scopes [][]string
	others []test
}

// policy is a compiled Policy.
type policy struct {
	rules        []rule // in the order in which they are asked
	seesPath     bool
	seesMethod   bool
	unsure       bool // what judge says is not all that the identity decides
	timed        bool // a rule has contracts
	denyStatus   int
	denyRedirect string
}

// nobody is a stranger at an optional gate.
var nobody = &Identity{claims: "{}"}

func newPolicy(cfg *Policy) (*policy, error) {
	if cfg == nil {
		return nil, nil
	}
	p := &policy{denyStatus: cmp.Or(cfg.DenyStatus, http.StatusForbidden), denyRedirect: cfg.DenyRedirect}
	errs := []error{cfg.checkDenial()}
	ordered := slices.Clone(cfg.Rules)
	slices.SortStableFunc(ordered, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(max(a.Priority, 1), max(b.Priority, 1)), cmp.Compare(a.Effect, b.Effect)) // "deny" < "permit"
	})
	for _, configured := range ordered {
		r, err := p.compile(configured)
		if err != nil {
			errs = append(errs, fmt.Errorf("policy: %w", err))
		}
		p.rules = append(p.rules, r)
		p.unsure = p.unsure || r.mixed || len(p.rules) > maxJudged
		p.timed = p.timed || len(r.contracts) > 0
	}
	if !slices.ContainsFunc(cfg.Rules, func(r Rule) bool { return r.Effect != Deny }) {
		errs = append(errs, errors.New("policy: it has no permit rule, so that nobody could pass"))
	}
	return p, errors.Join(errs...)
}

// issuers are those that the rules name.
func (cfg *Policy) issuers() (all []string) {
	if cfg == nil {
		return nil
	}
	for _, r := range cfg.Rules {
		for _, condition := range r.Conditions {
			if condition.Kind == IfIssuer {
				all = append(all, condition.Values...)
			}
		}
	}
	return all
}

func (cfg *Policy) checkDenial() error {
	if cfg.DenyStatus != 0 && (cfg.DenyStatus < 400 || cfg.DenyStatus > 599) {
		return fmt.Errorf("policy: on_deny: %d is no status of a refusal, 400 to 599", cfg.DenyStatus)
	}
	if cfg.DenyRedirect == "" {
		return nil
	}
	u, err := url.Parse(cfg.DenyRedirect)
	web := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
	here := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/") && !strings.Contains(cfg.DenyRedirect, `\`)
	if !web && !here || cfg.DenyStatus != 0 {
		return fmt.Errorf("policy: on_deny redirect: %q is no http or https URL and no path, or a status is set as well", cfg.DenyRedirect)
	}
	return nil
}

func (p *policy) compile(configured Rule) (rule, error) {
	r := rule{deny: configured.Effect == Deny}
	switch {
	case configured.Effect != Permit && configured.Effect != Deny:
		return r, fmt.Errorf("%q is none of permit, deny", configured.Effect)
	case configured.Priority < 0:
		return r, errors.New("a priority is 1 or more")
	case len(configured.Conditions) == 0:
		return r, fmt.Errorf("a %s rule without a condition would fit everything; `expression true` says that", configured.Effect)
	}
	for _, condition := range configured.Conditions {
		c, err := condition.compile(r.deny)
		if err != nil {
			return r, err
		}
		if c.ofRequest {
			r.ofRequest = append(r.ofRequest, c.test)
		} else {
			r.ofIdentity = append(r.ofIdentity, c.test)
		}
		r.mixed = r.mixed || c.mixed
		if condition.Kind == IfContract && !r.deny {
			r.contracts = append(r.contracts, condition.Values)
		}
		switch {
		case condition.Kind == IfScope:
			r.scopes = append(r.scopes, condition.Values)
		case !c.ofRequest:
			r.others = append(r.others, c.test)
		}
		p.seesPath = p.seesPath || c.seesPath
		p.seesMethod = p.seesMethod || c.seesMethod
	}
	return r, nil
}

// maxJudged is of how many rules the part about the identity is remembered.
const maxJudged = 64

// judge returns, as bits, which rules the identity fits.
func (p *policy) judge(id *Identity) (fits uint64) {
	for i := range p.rules[:min(len(p.rules), maxJudged)] {
		if p.rules[i].fitsIdentity(id) {
			fits |= 1 << i
		}
	}
	return fits
}

func (r *rule) fitsIdentity(id *Identity) bool { return r.fits(r.ofIdentity, facts{id: id}) }

// fits tells whether all tests hold. What there is no finding out counts against the request: a deny
// rule fits, a permit rule doesn't.
func (r *rule) fits(tests []test, f facts) bool {
	for _, holds := range tests {
		if ok, err := holds(f); err != nil && !r.deny || err == nil && !ok {
			return false
		}
	}
	return true
}

// permits asks the rules. fits is what judge said of the identity.
func (p *policy) permits(f facts, fits uint64) bool {
	for i := range p.rules {
		r := &p.rules[i]
		if i < maxJudged && fits>>i&1 == 0 || i >= maxJudged && !r.fitsIdentity(f.id) {
			continue
		}
		if r.fits(r.ofRequest, f) {
			return !r.deny
		}
	}
	return false
}

// fitsRequest returns, as bits, which rules the request fits, whoever it is of.
func (p *policy) fitsRequest(f facts) (fits uint64) {
	for i := range p.rules[:min(len(p.rules), maxJudged)] {
		if r := &p.rules[i]; r.fits(r.ofRequest, f) {
			fits |= 1 << i
		}
	}
	return fits
}

// permitsFit is permits for an open stream, of which is known what rules its identity fits now, and its request fitted
// when it began. Where that does not tell, nothing is permitted.
func (p *policy) permitsFit(identity, request uint64) bool {
	if len(p.rules) > maxJudged {
		return false
	}
	for i := range p.rules {
		switch r := &p.rules[i]; {
		case identity>>i&1 == 0:
		case r.mixed:
			return false
		case request>>i&1 != 0:
			return !r.deny
		}
	}
	return false
}

// inTime leaves those of the rules that a request fits whose contracts have not grown too old.
func (p *policy) inTime(issuer Issuer, login *proof, fits uint64) uint64 {
	for i := range p.rules[:min(len(p.rules), maxJudged)] {
		for _, wanted := range p.rules[i].contracts {
			if ok, _ := satisfies(issuer, wanted, login.acr, login.at); !ok {
				fits &^= 1 << i
			}
		}
	}
	return fits
}

// lacking returns the scopes for want of which the request does not pass, "" where it would not with any.
func (p *policy) lacking(f facts) string {
	for i := range p.rules {
		r := &p.rules[i]
		switch {
		case r.deny && r.fitsIdentity(f.id) && r.fits(r.ofRequest, f):
			return ""
		case !r.deny && len(r.scopes) > 0 && r.fits(r.others, f) && r.fits(r.ofRequest, f):
			var missing []string
			for _, wanted := range r.scopes {
				if !slices.ContainsFunc(wanted, func(scope string) bool { return hasScope(f.id.Scope, scope) }) {
					missing = append(missing, wanted[0])
				}
			}
			return strings.Join(missing, " ")
		}
	}
	return ""
}

// plain refuses a path that the upstream may take for another one, where the policy looks at paths.
func (p *passage) plain() *Refusal {
	if p.e.policy == nil || !p.e.policy.seesPath {
		return nil
	}
	path, ok := plainPath(p.r)
	if !ok {
		return p.refuse(http.StatusBadRequest, oauth.Errorf(oauth.InvalidRequest, "the path can be read in more than one way").Because(errPath))
	}
	p.path = path
	return nil
}

// permitted asks the policy, once somebody is signed in as the gate wants it.
func (p *passage) permitted() *Refusal {
	rules := p.e.policy
	if rules == nil {
		return nil
	}
	f := facts{p.id, p}
	if p.id == nil {
		f.id, p.judged.fits = nobody, rules.judge(nobody)
	}
	switch {
	case rules.permits(f, p.judged.fits):
		return nil
	case p.id == nil:
		return p.signIn(p.e.needs, false)
	case rules.denyRedirect != "" && !p.isAt(rules.denyRedirect):
		p.e.cfg.Logger.Info("request redirected by the policy", zap.String("host", p.r.Host), zap.String("path", p.r.URL.Path))
		p.redirect(http.StatusFound, rules.denyRedirect)
		return answered
	}
	if p.live == nil && rules.denyStatus == http.StatusForbidden {
		if scope := rules.lacking(f); scope != "" {
			return p.challengeFor(scope, oauth.Errorf(oauth.InsufficientScope, "a scope is missing").Because(errPolicy))
		}
	}
	err := oauth.Errorf(oauth.AccessDenied, "you are signed in, but this is not for you").Because(errPolicy)
	if rules.denyStatus == http.StatusForbidden {
		refusal := p.forbid(err)
		refusal.page = p.notForYou()
		return refusal
	}
	return p.refuse(rules.denyStatus, err)
}

// isAt tells whether the page that was asked for is the target of a redirect, which would go round for ever.
func (p *passage) isAt(target string) bool {
	seen := p.e.cfg.Seen(p.r).URL
	to, err := seen.Parse(target)
	return err == nil && strings.EqualFold(to.Host, seen.Host) && to.Path == seen.Path
}

var errPolicy = errors.New("the policy has no rule that permits this, or one that denies it")

// clientAddress is the address of the client, as the host knows it; invalid where it doesn't.
func (p *passage) clientAddress() netip.Addr {
	address, err := netip.ParseAddr(p.e.cfg.Seen(p.r).ClientIP)
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}

// forwardedMethod is the method that the upstream sees: a WebSocket over HTTP/2 or HTTP/3 (RFC 8441)
// arrives as CONNECT and goes on as GET.
func forwardedMethod(r *http.Request) string {
	if r.Method == http.MethodConnect && (r.Header.Get(":protocol") == "websocket" || r.ProtoMajor == 3 && r.Proto == "websocket") {
		return http.MethodGet
	}
	return r.Method
}
