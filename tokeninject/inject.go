package tokeninject

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/authz/oauth"
)

// newInjectors lists what a gate injects. No two fill one name, so that their order matters only where each goes
// before what is there: those that were configured first are done last.
func newInjectors(c Config) []func(*passage) *Refusal {
	var list []func(*passage) *Refusal
	for _, h := range c.Headers {
		list = append(list, injectHeader(http.CanonicalHeaderKey(h.Name), h.Value))
	}
	for _, h := range c.HeaderLists {
		list = append(list, injectHeaderList(http.CanonicalHeaderKey(h.Name), h.Values))
	}
	for _, header := range tagHeaders(c.Tags) {
		list = append(list, injectTags(http.CanonicalHeaderKey(header[0].Header), header))
	}
	for _, injection := range slices.Backward(c.Cookies) {
		list = append(list, injectCookie(injection))
	}
	for _, injection := range slices.Backward(c.QueryLists) {
		list = append(list, injectQueryList(injection))
	}
	for _, injection := range slices.Backward(c.Query) {
		list = append(list, injectQuery(injection))
	}
	if c.Basic != nil {
		list = append(list, injectBasic(*c.Basic))
	}
	if c.Token != nil {
		list = append(list, (*passage).injectToken)
	}
	return list
}

// fillsAuthorization tells whether the gate itself sets the upstream's Authorization. Where it doesn't, what
// a gate in front injected there stays.
func (c *Config) fillsAuthorization() bool {
	is := func(name string) bool { return normalised(name) == "authorization" }
	return c.Basic != nil || c.Token != nil || c.PassToken ||
		slices.ContainsFunc(c.Headers, func(h HeaderInjection) bool { return is(h.Name) }) ||
		slices.ContainsFunc(c.HeaderLists, func(l ListInjection) bool { return is(l.Name) }) ||
		slices.ContainsFunc(c.Tags, func(t TagInjection) bool { return is(t.Header) })
}

// inject fills in what the configuration says of the person (W3, W4). For nobody there is nothing to say.
func (p *passage) inject() *Refusal {
	if p.id == nil {
		return nil
	}
	if p.e.cfg.PassToken && p.live == nil {
		p.r.Header["Authorization"] = p.taken.authorization
	}
	for _, inject := range p.e.injectors {
		if refusal := inject(p); refusal != nil {
			return refusal
		}
	}
	return nil
}

// value computes what is injected as name. ok is false where nothing is.
func (p *passage) value(name string, compute Value) (value string, ok bool, refusal *Refusal) {
	value, ok = compute(p.r.Context(), p.r, p.id)
	switch {
	case ok && !headerText(value):
		return "", false, p.unfit(name, "holds a control character")
	case ok:
		return value, true, nil
	case p.e.cfg.Missing == MissingDeny:
		return "", false, p.unfit(name, "is missing")
	}
	return "", p.e.cfg.Missing == MissingEmpty, nil
}

// values computes what is injected as several values of name, each encoded.
func (p *passage) values(name string, compute Values, encode func(string) string) ([]string, *Refusal) {
	var fit []string
	for _, value := range compute(p.r.Context(), p.r, p.id) {
		if !headerText(value) {
			return nil, p.unfit(name, "holds a control character")
		}
		fit = append(fit, encode(value))
	}
	switch {
	case len(fit) > 0:
		return fit, nil
	case p.e.cfg.Missing == MissingDeny:
		return nil, p.unfit(name, "is missing")
	case p.e.cfg.Missing == MissingEmpty:
		return []string{""}, nil
	}
	return nil, nil
}

// unfit refuses a person of whom something can't be said. Which, only the log knows.
func (p *passage) unfit(name, why string) *Refusal {
	return p.forbid(oauth.Errorf(oauth.AccessDenied, "what this application has to know of you is not there").
		Because(fmt.Errorf("the value to inject as %q %s", name, why)))
}

// headerText tells whether a value is free of control characters: nothing may end a line, and no
// backend agrees with another on what the rest of them mean (A57).
func headerText(value string) bool {
	for i := range len(value) {
		if value[i] < 0x20 || value[i] == 0x7f {
			return false
		}
	}
	return true
}

func injectHeaderList(name string, compute Values) func(*passage) *Refusal {
	return func(p *passage) *Refusal {
		values, refusal := p.values(name, compute, encodeHeader)
		if len(values) > 0 {
			p.r.Header[name] = values
		}
		return refusal
	}
}

func injectHeader(name string, compute Value) func(*passage) *Refusal {
	return func(p *passage) *Refusal {
		value, ok, refusal := p.value(name, compute)
		if ok {
			p.r.Header[name] = []string{encodeHeader(value)}
		}
		return refusal
	}
}

func encodeHeader(value string) string {
	return encodeUnless(value, func(c byte) bool { return c < 0x80 })
}

// tagHeaders groups tags by the header that they share.
func tagHeaders(tags []TagInjection) [][]TagInjection {
	var groups [][]TagInjection
	index := map[string]int{}
	for _, tag := range tags {
		key := normalised(tag.Header)
		i, known := index[key]
		if !known {
			i = len(groups)
			index[key], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], tag)
	}
	return groups
}

func injectTags(name string, tags []TagInjection) func(*passage) *Refusal {
	return func(p *passage) *Refusal {
		var all strings.Builder
		for _, tag := range tags {
			value, ok, refusal := p.value(tag.Tag, tag.Value)
			if refusal != nil {
				return refusal
			}
			if !ok {
				continue
			}
			if all.Len() > 0 {
				all.WriteByte(';')
			}
			all.WriteString(tag.Tag)
			all.WriteByte('=')
			all.WriteString(encodeUnless(value, func(c byte) bool { return c < 0x80 && c != ';' }))
		}
		if all.Len() > 0 {
			p.r.Header[name] = []string{all.String()}
		}
		return nil
	}
}

// injectCookie puts ours first: some backends take the first of a name, PHP drops what comes after a thousand, and
// an open quote in front could swallow it.
func injectCookie(injection ValueInjection) func(*passage) *Refusal {
	return func(p *passage) *Refusal {
		value, ok, refusal := p.value(injection.Name, injection.Value)
		if !ok {
			return refusal
		}
		cookie := injection.Name + "=" + encodeUnless(value, cookieOctet)
		if sent := p.r.Header["Cookie"]; len(sent) > 0 {
			cookie += "; " + strings.Join(sent, "; ")
		}
		p.r.Header["Cookie"] = []string{cookie}
		return nil
	}
}

func injectQuery(injection ValueInjection) func(*passage) *Refusal {
	name := url.QueryEscape(injection.Name)
	return func(p *passage) *Refusal {
		value, ok, refusal := p.value(injection.Name, injection.Value)
		if ok {
			p.addParameter(name, url.QueryEscape(value))
		}
		return refusal
	}
}

func injectQueryList(injection ListInjection) func(*passage) *Refusal {
	name := url.QueryEscape(injection.Name)
	return func(p *passage) *Refusal {
		values, refusal := p.values(injection.Name, injection.Values, url.QueryEscape)
		for _, value := range slices.Backward(values) {
			p.addParameter(name, value)
		}
		return refusal
	}
}

// addParameter puts one in front of the query, both encoded: Express and PHP drop what comes after a thousand.
func (p *passage) addParameter(name, value string) {
	query := name + "=" + value
	if p.r.URL.RawQuery != "" {
		query += "&" + p.r.URL.RawQuery
	}
	p.r.URL.RawQuery = query
	p.r.RequestURI = p.r.URL.RequestURI()
}

func injectBasic(injection BasicInjection) func(*passage) *Refusal {
	return func(p *passage) *Refusal {
		user, ok, refusal := p.value("basic user", injection.User)
		if !ok {
			return refusal
		}
		password, ok, refusal := p.value("basic password", injection.Password)
		if !ok {
			return refusal
		}
		if strings.Contains(user, ":") { // it would move into the password (RFC 7617 §2)
			return p.unfit("basic user", "holds a colon")
		}
		p.r.Header["Authorization"] = []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
		return nil
	}
}

// encodeUnless percent-encodes the bytes of a value that are not plain, and spaces at its ends, which HTTP takes for none
// of it (RFC 9110 §5.5). A value with such bytes has its "%" encoded as well, so that what it decodes to is not
// ambiguous.
func encodeUnless(value string, plain func(byte) bool) string {
	fits := func(i int) bool { return plain(value[i]) && (value[i] != ' ' || 0 < i && i < len(value)-1) }
	clean := true
	for i := 0; i < len(value) && clean; i++ {
		clean = folded[value[i]] != 0 || fits(i) // letters and digits are plain everywhere
	}
	if clean {
		return value
	}
	const digits = "0123456789ABCDEF"
	encoded := make([]byte, 0, len(value)+16)
	for i := range len(value) {
		if c := value[i]; !fits(i) || c == '%' {
			encoded = append(encoded, '%', digits[c>>4], digits[c&15])
		} else {
			encoded = append(encoded, c)
		}
	}
	return string(encoded)
}

// cookieOctet is inValue less "%": cookies are often decoded, so it is always encoded.
func cookieOctet(c byte) bool { return inValue(c) && c != '%' }
