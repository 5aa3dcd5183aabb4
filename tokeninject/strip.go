package tokeninject

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/authz/oauth"
)

// nameSet is a set of names that match in every spelling that some backend takes for the same: CGI,
// WSGI and PHP turn "X-User", "x_user" and "X.User" into one variable (A56). The zero set is empty.
type nameSet struct {
	names   map[string]struct{}
	begin   [4]uint64 // a Bloom filter of the names' first two bytes: most strangers fail here
	longest int
}

func newNameSet(names ...string) (s nameSet) {
	for _, name := range names {
		s.add(name)
	}
	return s
}

func (s *nameSet) add(name string) {
	key := normalised(name)
	if s.names == nil {
		s.names = map[string]struct{}{}
	}
	s.names[key] = struct{}{}
	if len(key) > 1 {
		bit := beginning(key[0], key[1])
		s.begin[bit/64] |= 1 << (bit % 64)
	}
	s.longest = max(s.longest, len(key))
}

// has tells whether name is a spelling of a member. It does not allocate.
func (s *nameSet) has(name string) bool {
	if len(s.names) == 0 || name == "" {
		return false
	}
	if len(name) > 1 {
		a, b := folded[name[0]], folded[name[1]]
		if bit := beginning(a, b); a != 0 && b != 0 && s.begin[bit/64]>>(bit%64)&1 == 0 {
			return false
		}
	}
	var room [64]byte
	key := normalise(room[:0], name, s.longest)
	_, found := s.names[string(key)]
	return found
}

// beginning is the bit of two bytes in nameSet.begin.
func beginning(a, b byte) byte { return a*37 + b }

// normalised is the form in which spellings of one name are equal.
func normalised(name string) string { return string(normalise(nil, name, len(name))) }

// normalise appends the form in which spellings of one name are equal: percent-encoding undone,
// letters small, every run of other characters one "_", none at the ends, and nothing after what ends
// a name. It gives up, with a key that is too long, once past limit.
func normalise(key []byte, name string, limit int) []byte {
	gap := false
	for i := 0; i < len(name) && len(key) <= limit; {
		c, width := name[i], 1
		if c == '%' {
			c, width = decodeByte(name[i:])
		}
		i += width
		switch small := folded[c]; {
		case small != 0:
			if gap && len(key) > 0 {
				key = append(key, '_')
			}
			key, gap = append(key, small), false
		case len(key) > 0 && endsName(c):
			return key
		default:
			gap = true
		}
	}
	return key
}

// endsName tells whether some backend reads no further in a name: "[" begins an index in PHP, Rack and qs
// (of Express), "]" one in Rack, and NUL ends a string in PHP. Before a name they say nothing: Rack and qs take
// "[user]" for "user".
func endsName(c byte) bool { return c == '[' || c == ']' || c == 0 }

// folded maps letters and digits to themselves in small, every other byte to 0.
var folded = func() (table [256]byte) {
	for c := range table {
		if b := lower(byte(c)); 'a' <= b && b <= 'z' || '0' <= b && b <= '9' {
			table[c] = b
		}
	}
	return table
}()

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// decodeByte reads the byte that a "%" at the start of s stands for, also as the %u0041 that some
// servers take; a "%" that begins neither is itself.
func decodeByte(s string) (c byte, width int) {
	if len(s) >= 6 && lower(s[1]) == 'u' && s[2] == '0' && s[3] == '0' {
		if c, ok := hexByte(s[4], s[5]); ok {
			return c, 6
		}
	}
	if len(s) >= 3 {
		if c, ok := hexByte(s[1], s[2]); ok {
			return c, 3
		}
	}
	return s[0], 1
}

func hexByte(high, low byte) (byte, bool) {
	h, okHigh := hexDigit(high)
	l, okLow := hexDigit(low)
	return h<<4 | l, okHigh && okLow
}

func hexDigit(c byte) (byte, bool) {
	switch c = lower(c); {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// owned is every name that the gate alone may fill.
type owned struct {
	headers nameSet
	// connection is what no Connection token may name: a proxy would remove it after us.
	connection nameSet
	cookies    nameSet
	sessions   func(r *http.Request) []string // cookies of other gates' sessions; nil: there are none
	query      nameSet
	method     nameSet // of methodParameter, where the policy sees methods
}

// methodParameter names another method to Rails, Laravel and Symfony. In a form they read it as well, which
// is not ours to change.
const methodParameter = "_method"

func newOwned(c Config) *owned {
	o := &owned{sessions: c.SessionCookies}
	header := func(name string) {
		o.headers.add(name)
		o.connection.add(name)
	}
	header("Authorization")
	for _, h := range c.Headers {
		header(h.Name)
	}
	for _, h := range c.HeaderLists {
		header(h.Name)
	}
	for _, t := range c.Tags {
		header(t.Header)
	}
	for _, injection := range c.Cookies {
		o.cookies.add(injection.Name)
	}
	if len(c.Cookies) > 0 {
		o.connection.add("Cookie")
	}
	if c.Session != nil && c.Session.Cookie != "" {
		o.cookies.add(c.Session.Cookie)
	}
	for _, injection := range c.Query {
		o.query.add(injection.Name)
	}
	for _, injection := range c.QueryLists {
		o.query.add(injection.Name)
	}
	return o
}

// addOverrides owns the headers and the parameter by which a client could have the upstream take the request for one of
// another path or method than the policy saw.
func (o *owned) addOverrides(p *policy) {
	var names []string
	if p != nil && p.seesPath {
		names = append(names, "X-Original-URL", "X-Original-URI", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Path")
	}
	if p != nil && p.seesMethod {
		o.method.add(methodParameter)
		names = append(names, "X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "X-Forwarded-Method")
	}
	for _, name := range names {
		o.headers.add(name)
	}
}

// strip removes every owned name from the request.
func (o *owned) strip(r *http.Request) {
	for name := range r.Header {
		switch {
		case name == "Connection":
			stripHeader(r.Header, name, separators{','}, o.connection.has)
		case name == "Cookie":
			var sessions []string
			if o.sessions != nil {
				sessions = o.sessions(r)
			}
			stripHeader(r.Header, name, separators{';', ','}, o.dropsCookies(sessions))
		case name == "Authorization", name == "Trailer", o.headers.has(name):
			// A trailer's value arrives after the body, when nobody looks any more: none is announced on.
			delete(r.Header, name)
		}
	}
	if r.URL.RawQuery != "" && len(o.query.names)+len(o.method.names) > 0 {
		if query := without(r.URL.RawQuery, separators{'&', ';'}, o.dropsParameter); query != r.URL.RawQuery {
			r.URL.RawQuery = query
			r.RequestURI = r.URL.RequestURI()
		}
	}
}

// dropsCookies makes what tells whether a member of a Cookie header goes, be it for a session of another gate.
func (o *owned) dropsCookies(sessions []string) func(member string) bool {
	owns := func(name string) bool {
		return o.cookies.has(name) || ownCookie(name) || slices.Contains(sessions, name)
	}
	return func(member string) bool { return hasPair(member, owns) }
}

// hasPair tells whether a member of a Cookie header has an owned name, or somewhere in it is a pair whose name is.
// Backends agree on where a value ends only while it has nothing that ends one for some of them: in `a=b who=evil`,
// `a="x who=evil`, `a\who=evil` and `a=[who=evil` they find who.
func hasPair(member string, owned func(name string) bool) bool {
	name, _, _ := strings.Cut(member, "=")
	if owned(strings.TrimSpace(name)) {
		return true
	}
	word := "" // the last one before what ends a value
	for start := 0; start < len(member); {
		end := start
		for end < len(member) && inValue(member[end]) {
			end++
		}
		piece := member[start:end]
		start = end + 1
		if piece == "" {
			continue
		}
		name, _, pair := strings.Cut(piece, "=")
		if pair && (owned(name) || name == "" && owned(word)) { // "who =evil"
			return true
		}
		word = piece[strings.LastIndexByte(piece, '=')+1:]
	}
	return false
}

// inValue tells whether a byte is part of a cookie's value for every backend: a cookie-octet of RFC 6265 §4.1.1, and no
// bracket, at which WebOb begins anew.
func inValue(c byte) bool {
	return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\' && c != '[' && c != ']'
}

func (o *owned) dropsParameter(member string) bool {
	name, _, _ := strings.Cut(member, "=")
	return o.query.has(name) || o.method.has(name) && !beginsPlain(name)
}

// beginsPlain tells whether a name begins with a letter or digit: "method" is a parameter like any other,
// and only in our normal form "_method" is the same.
func beginsPlain(name string) bool {
	c := name[0]
	if c == '%' {
		c, _ = decodeByte(name)
	}
	return folded[c] != 0
}

// stripHeader removes members from every value of a list header, and the header with its last one.
func stripHeader(h http.Header, name string, ends separators, drop func(string) bool) {
	values := h[name]
	var kept []string // a copy, made once something is dropped: the client's own is kept aside
	changed := false
	for i, value := range values {
		rest := without(value, ends, drop)
		if rest != value && !changed {
			kept, changed = append(kept, values[:i]...), true
		}
		if changed && rest != "" {
			kept = append(kept, rest)
		}
	}
	switch {
	case !changed:
	case len(kept) == 0:
		delete(h, name)
	default:
		h[name] = kept
	}
}

// separators end a member of a list, one or two of them: where backends differ, the finer reading is the safe one.
type separators [2]byte

// next is where the member ends that begins at start.
func (s separators) next(list string, start int) int {
	for start < len(list) && list[start] != s[0] && (list[start] != s[1] || s[1] == 0) {
		start++
	}
	return start
}

// without returns a list less the members that drop names; what it keeps stays as it is, byte for
// byte.
func without(list string, ends separators, drop func(string) bool) string {
	var kept strings.Builder
	dropped := false
	for start := 0; start <= len(list); {
		end := ends.next(list, start)
		switch member := list[start:end]; {
		case drop(strings.TrimSpace(member)):
			if !dropped {
				dropped = true
				kept.WriteString(list[:max(start-1, 0)])
			}
		case dropped && kept.Len() == 0:
			kept.WriteString(strings.TrimLeft(member, " \t"))
		case dropped:
			kept.WriteString(list[start-1 : end])
		}
		start = end + 1
	}
	if !dropped {
		return list
	}
	return kept.String()
}

// ownCookie tells whether a cookie is one of ours, of this gate, another or an issuer: all of them
// begin alike, and none is an upstream's business (A58).
func ownCookie(name string) bool {
	if name == "" || name[0] != '_' && lower(name[0]) != 'g' { // what all below begin with
		return false
	}
	for _, prefix := range [...]string{"__Host-", "__Secure-"} {
		if len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			name = name[len(prefix):]
			break
		}
	}
	return len(name) > 2 && lower(name[0]) == 'g' && lower(name[1]) == 'w' && name[2] == '-'
}

// credentials are what the client presented.
type credentials struct {
	authorization []string // as it came, for PassToken and for a gate behind this one
	cookies       []string // as they came, for a gate behind this one
	bearer        string
	session       string // handle of the gate's session
	tab           string // stands for the browser's secret, see passage.browser
}

// take keeps the credentials aside and removes every owned name. front is a passage through a gate in front of this
// one, or nil: a `token_inject` in a `handle` is behind that of the whole site. The one in front has taken the
// credentials out of the request, and what the request carries then was put there by a gate, not by the client.
func (p *passage) take(front *passage) {
	e, r, c := p.e, p.r, &p.taken
	injected := r.Header["Authorization"] // by the gate in front, if there is one
	c.authorization, c.cookies = injected, r.Header["Cookie"]
	if front != nil {
		c.authorization, c.cookies = front.taken.authorization, front.taken.cookies
	}
	c.bearer, p.malformed = bearer(c.authorization)
	if e.cfg.Session != nil && len(c.cookies) > 0 {
		c.session = e.sessionCookie(r, e.overTLS(r)).value(c.cookies)
	}
	e.owned.strip(r)
	if front != nil && len(injected) > 0 && !e.fillsAuthorization {
		r.Header["Authorization"] = injected
	}
}

// bearer reads the token of RFC 6750 §2.1. Another scheme is no credential of ours; two headers, or a
// Bearer that is followed by nothing, are malformed (A64), and so is what is no b64token, which is for the
// caller to ask.
func bearer(values []string) (token string, malformed bool) {
	if len(values) != 1 {
		return "", len(values) > 1
	}
	const scheme = "bearer"
	value := values[0]
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", false
	}
	rest := value[len(scheme):]
	if rest != "" && rest[0] != ' ' {
		return "", false // a scheme of a longer name
	}
	token = strings.Trim(rest, " ")
	return token, token == ""
}

// queryTokens are the names of a token in a query (RFC 6750 §2.3).
var queryTokens = newNameSet("access_token")

// tokenInQuery tells whether some backend finds a token in a query.
func tokenInQuery(query string) bool {
	ends := separators{'&', ';'}
	for start := 0; start < len(query); {
		end := ends.next(query, start)
		if name, _, _ := strings.Cut(query[start:end], "="); queryTokens.has(name) && !hyphened(name) {
			return true
		}
		start = end + 1
	}
	return false
}

// hyphened tells whether a parameter's name has a hyphen: in a query that is no spelling of "_", and "access-token" an
// application's own.
func hyphened(name string) bool {
	plain, err := url.QueryUnescape(name)
	return err == nil && strings.Contains(plain, "-")
}

// b64token of RFC 6750 §2.1.
func b64token(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		switch c := body[i]; {
		case folded[c] != 0:
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return body != ""
}

// wellFormedSecret tells whether s can be something that oauth.NewSecret made, before anything looks
// it up.
func wellFormedSecret(s string) bool { return len(s) == 43 && oauth.ValidVerifier(s) }
