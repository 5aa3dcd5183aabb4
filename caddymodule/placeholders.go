package caddymodule

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatewright/gatewright/tokeninject"
)

// Placeholders of a request that passed a gate.
const (
	userIDPlaceholder = "http.auth.user.id" // Caddy's access log takes user_id from it
	userPrefix        = "http.auth.user."
	claimPrefix       = "authz.claim."
	attributePrefix   = "authz.user."
)

// lookup reads one placeholder of an identity; "" where there is nothing.
type lookup func(ctx context.Context, id *tokeninject.Identity) string

var fixedPlaceholders = map[string]lookup{
	userIDPlaceholder:  func(_ context.Context, id *tokeninject.Identity) string { return id.Subject },
	"authz.username":   func(_ context.Context, id *tokeninject.Identity) string { return id.Username },
	"authz.client_id":  func(_ context.Context, id *tokeninject.Identity) string { return id.ClientID },
	"authz.session_id": func(_ context.Context, id *tokeninject.Identity) string { return id.SessionID },
	"authz.scope":      func(_ context.Context, id *tokeninject.Identity) string { return id.Scope },
	"authz.roles":      func(_ context.Context, id *tokeninject.Identity) string { return joinItems(id.Roles()) },
}

// lookupOf finds the look-up of a placeholder; nil for one that is not the gate's.
func lookupOf(key string) lookup {
	if fixed, ok := fixedPlaceholders[key]; ok {
		return fixed
	}
	if name, ok := strings.CutPrefix(key, attributePrefix); ok {
		return func(ctx context.Context, id *tokeninject.Identity) string {
			attributes, err := id.Attributes(ctx)
			if err != nil {
				return "" // what can't be read is not there; the option missing says what that does
			}
			return joinItems(attributes[name])
		}
	}
	for _, prefix := range []string{claimPrefix, userPrefix} {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			return func(_ context.Context, id *tokeninject.Identity) string {
				value, _ := id.Claim(name)
				return claimText(value)
			}
		}
	}
	return nil
}

// claimText is a claim as text: strings as they are, lists joined by commas, objects as JSON.
func claimText(value any) string {
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
		return joinItems(v)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = claimText(item)
		}
		return joinItems(items)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "" // claims come from JSON, so that they can't fail to go back
	}
	return string(text)
}

// itemEscaper keeps the commas inside an item apart from those between items.
var itemEscaper = strings.NewReplacer("%", "%25", ",", "%2C")

// joinItems joins a list by commas; a comma or percent sign inside an item is percent-encoded.
func joinItems(items []string) string {
	escaped := make([]string, len(items))
	for i, item := range items {
		escaped[i] = itemEscaper.Replace(item)
	}
	return strings.Join(escaped, ",")
}

// identityVar is where a request keeps what its gate exposes.
const identityVar = "authz.identity"

// exposed is who a request is, for placeholders.
type exposed struct {
	ctx context.Context // of the request
	id  *tokeninject.Identity
}

// expose makes an identity known to the placeholders of the request, and to Caddy's access log. With
// no identity, on an optional route, they are empty, whatever the request or an earlier handler said.
//
// The innermost gate counts: a replacer asks its sources in the order in which they came, so a second
// gate changes what the first one exposes.
func expose(r *http.Request, id *tokeninject.Identity) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	if held, ok := caddyhttp.GetVar(r.Context(), identityVar).(*exposed); ok {
		held.ctx, held.id = r.Context(), id
	} else {
		held = &exposed{ctx: r.Context(), id: id}
		caddyhttp.SetVar(r.Context(), identityVar, held)
		repl.Map(held.replace)
	}
	subject := ""
	if id != nil {
		subject = id.Subject
	}
	repl.Set(userIDPlaceholder, subject)
}

func (e *exposed) replace(key string) (any, bool) {
	if !strings.HasPrefix(key, "authz.") && !strings.HasPrefix(key, userPrefix) {
		return nil, false
	}
	read := lookupOf(key)
	if read == nil {
		return nil, false
	}
	if e.id == nil {
		return "", true
	}
	return read(e.ctx, e.id), true
}

// String keeps the identity out of {http.vars.*}.
func (e *exposed) String() string { return "" }
