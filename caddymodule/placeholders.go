package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatewright/gatewright/tokeninject"
)

// Placeholders of a request that passed a gate.
const (
	userIDPlaceholder   = "http.auth.user.id" // Caddy's access log takes user_id from it
	usernamePlaceholder = "authz.username"
	issuerPlaceholder   = "authz.issuer"
	userPrefix          = "http.auth.user."
	claimPrefix         = "authz.claim."
	attributePrefix     = "authz.user."
)

// itemEncoder encodes one item of a list so that it can stand among others.
type itemEncoder func(item string) string

// lookup reads one placeholder of an identity: a text, a list, or whatever a claim is; nil where there is
// nothing.
type lookup func(ctx context.Context, id *tokeninject.Identity) any

var fixedPlaceholders = map[string]lookup{
	usernamePlaceholder: loginName,
	"authz.roles":       func(_ context.Context, id *tokeninject.Identity) any { return id.Roles() },
}

// fixedTexts are those that are text at once, which costs a request no memory.
var fixedTexts = map[string]func(*tokeninject.Identity) string{
	userIDPlaceholder:  func(id *tokeninject.Identity) string { return id.Subject },
	issuerPlaceholder:  (*tokeninject.Identity).Issuer,
	"authz.client_id":  func(id *tokeninject.Identity) string { return id.ClientID },
	"authz.session_id": func(id *tokeninject.Identity) string { return id.SessionID },
	"authz.scope":      func(id *tokeninject.Identity) string { return id.Scope },
}

// What can't be read of a person is not there; the option missing says what that does.

func loginName(ctx context.Context, id *tokeninject.Identity) any {
	name, err := id.LoginName(ctx)
	if err != nil {
		return nil
	}
	return name
}

func attribute(name string) lookup {
	return func(ctx context.Context, id *tokeninject.Identity) any {
		attributes, err := id.Attributes(ctx)
		if err != nil {
			return nil
		}
		return attributes[name]
	}
}

func claim(name string) lookup {
	return func(_ context.Context, id *tokeninject.Identity) any {
		value, _ := id.Claim(name)
		return value
	}
}

// lookupOf finds the look-up of a placeholder; nil for one that is not the gate's.
func lookupOf(key string) lookup {
	if fixed, ok := fixedPlaceholders[key]; ok {
		return fixed
	}
	if text, ok := fixedTexts[key]; ok {
		return func(_ context.Context, id *tokeninject.Identity) any { return text(id) }
	}
	if name, ok := strings.CutPrefix(key, attributePrefix); ok && name != "" {
		return attribute(name)
	}
	for _, prefix := range []string{claimPrefix, userPrefix} {
		if name, ok := strings.CutPrefix(key, prefix); ok && name != "" {
			return claim(name)
		}
	}
	return nil
}

// claimText is a claim as text: strings as they are, lists joined by commas, objects as JSON.
func claimText(value any, encode itemEncoder) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []string:
		return joinItems(v, encode)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = claimText(item, encode)
		}
		return joinItems(items, encode)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "" // claims come from JSON, so that they can't fail to go back
	}
	return string(text)
}

// claimItems are the items of a list, or the one text that a value is, each encoded; what is empty is left out.
func claimItems(value any, encode itemEncoder) []string {
	var texts []string
	switch v := value.(type) {
	case []string:
		texts = v
	case []any:
		for _, item := range v {
			texts = append(texts, claimText(item, encode))
		}
	default:
		texts = []string{claimText(value, encode)}
	}
	var items []string
	for _, text := range texts {
		if text != "" {
			items = append(items, encode(text))
		}
	}
	return items
}

// encodeItem keeps the commas inside an item apart from those between items.
var encodeItem itemEncoder = strings.NewReplacer("%", "%25", ",", "%2C").Replace

// encodeHeaderItem is encodeItem for a header, which can't hold what is not ASCII or spaces at the ends, and in which a
// ";" ends a tag: encoded here as well, so that nothing is left that would be encoded a second time.
func encodeHeaderItem(item string) string {
	var b strings.Builder
	for i := range len(item) {
		c, end := item[i], i == 0 || i == len(item)-1
		if c == '%' || c == ',' || c == ';' || c >= 0x80 || c == ' ' && end {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// joinItems joins a list by commas.
func joinItems(items []string, encode itemEncoder) string {
	encoded := make([]string, len(items))
	for i, item := range items {
		encoded[i] = encode(item)
	}
	return strings.Join(encoded, ",")
}

// identityVar is where a request keeps what its gate exposes.
const identityVar = "authz.identity"

// exposed is the verdict of the gate that a request passed last, for placeholders and for a gate behind that one.
type exposed struct{ verdict tokeninject.Verdict }

// passed returns what the gate in front exposed, or nil.
func (v vars) passed() *exposed {
	held, _ := v[identityVar].(*exposed)
	return held
}

func (e *exposed) front() tokeninject.Verdict {
	if e == nil {
		return tokeninject.Verdict{}
	}
	return e.verdict
}

// expose makes an identity known to the placeholders of the request, and to Caddy's access log. With
// no identity, on an optional route, they are empty, whatever the request or an earlier handler said.
//
// The innermost gate counts: a replacer asks its sources in the order in which they came, so a second
// gate changes what the first one exposes.
func (v vars) expose(verdict tokeninject.Verdict) {
	repl, ok := verdict.Request.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok || v == nil {
		return
	}
	if held := v.passed(); held != nil {
		held.verdict = verdict
	} else {
		held = &exposed{verdict}
		v[identityVar] = held
		repl.Map(held.replace)
	}
	repl.Delete(userIDPlaceholder) // what basic_auth and the like set would go before what is mapped
}

func (e *exposed) replace(key string) (any, bool) {
	if !strings.HasPrefix(key, "authz.") && !strings.HasPrefix(key, userPrefix) {
		return nil, false
	}
	read := lookupOf(key)
	if read == nil {
		return nil, false
	}
	id := e.verdict.Identity
	if id == nil {
		return "", true
	}
	return claimText(read(e.verdict.Request.Context(), id), encodeItem), true
}

// String keeps the identity out of {http.vars.*}.
func (e *exposed) String() string { return "" }
