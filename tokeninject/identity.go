package tokeninject

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/authz/revocation"
)

// Identity is who passes the gate: of an access token, or of a browser session. It does not change.
// Claims stay JSON until somebody asks for one.
type Identity struct {
	Subject   string
	ClientID  string
	Username  string
	SessionID string // of the issuer's session; it is not its secret
	GrantID   string // the family that revocation speaks of
	Scope     string // separated by spaces
	// IssuedAt is when the token was issued or the session began.
	IssuedAt time.Time
	// Expires is the end of the token or, at the latest, of the session.
	Expires time.Time

	claims     string // one JSON object
	session    *Session
	attributes *attributeCache
	policy     atomic.Pointer[policyResult] // of a session, which outlives a request
}

// Claim returns a claim of the token or of the session's person: string, json.Number, bool, nil,
// []any or map[string]any.
func (id *Identity) Claim(name string) (value any, ok bool) {
	raw, ok := jsonMember(id.claims, name)
	if !ok {
		return nil, false
	}
	decoder := json.NewDecoder(strings.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, false
	}
	return value, true
}

// Roles returns the person's roles: of the session, or the token's roles claim.
func (id *Identity) Roles() []string {
	if id.session != nil {
		return id.session.Roles
	}
	value, _ := id.Claim("roles")
	return stringsOf(value)
}

// Session is what the issuer says of the person who signed in; nil for a token. It must not be changed.
func (id *Identity) Session() *Session { return id.session }

// Attributes reads the person's attributes from the issuer, at most once a minute.
func (id *Identity) Attributes(ctx context.Context) (map[string][]string, error) {
	return id.attributes.get(ctx, id.Subject)
}

// subject is what the revocation feed wants to know.
func (id *Identity) subject() revocation.Subject {
	return revocation.Subject{
		Family: id.GrantID, Session: id.SessionID, User: id.Subject, Client: id.ClientID, IssuedAt: id.IssuedAt,
	}
}

// hasScope tells whether one scope token stands in a list separated by spaces.
func hasScope(list, scope string) bool {
	for list != "" {
		var token string
		if token, list, _ = strings.Cut(list, " "); token == scope {
			return true
		}
	}
	return false
}

// stringsOf reads a claim as a list of texts; what is none is left out.
func stringsOf(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case json.Number:
		return []string{v.String()}
	case bool:
		if v {
			return []string{"true"}
		}
		return []string{"false"}
	case []any:
		var list []string
		for _, item := range v {
			if _, nested := item.([]any); !nested {
				list = append(list, stringsOf(item)...)
			}
		}
		return list
	}
	return nil
}

// jsonMember finds the value of a member of a JSON object without reading the rest of it into
// memory. The object was checked when it was accepted: of a token by its parser, of a session by the
// issuer; what is broken all the same has no members.
func jsonMember(object, name string) (raw string, ok bool) {
	i := skipSpace(object, 0)
	if i >= len(object) || object[i] != '{' {
		return "", false
	}
	for i++; ; i++ {
		start := skipSpace(object, i)
		end := skipValue(object, start)
		if end <= start || object[start] != '"' {
			return "", false
		}
		found := memberIs(object[start:end], name)
		if i = skipSpace(object, end); i >= len(object) || object[i] != ':' {
			return "", false
		}
		start = skipSpace(object, i+1)
		if end = skipValue(object, start); end <= start {
			return "", false
		}
		if found {
			return object[start:end], true
		}
		if i = skipSpace(object, end); i >= len(object) || object[i] != ',' {
			return "", false
		}
	}
}

// memberIs compares a quoted member name; only one with an escape in it needs decoding.
func memberIs(quoted, name string) bool {
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted[1:len(quoted)-1] == name
	}
	var decoded string
	return json.Unmarshal([]byte(quoted), &decoded) == nil && decoded == name
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns where the JSON value that begins at i ends, or i where none does.
func skipValue(s string, i int) int {
	start, depth := i, 0
	for i < len(s) {
		switch s[i] {
		case '"':
			end := skipString(s, i)
			if end < 0 {
				return start
			}
			i = end
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	if depth > 0 {
		return start
	}
	return i
}

func skipString(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// usernameOf reads the login name from a token's claims.
func usernameOf(payload []byte) string {
	if !bytes.Contains(payload, []byte("username")) {
		return ""
	}
	object := string(payload)
	for _, name := range []string{"username", "preferred_username"} {
		raw, ok := jsonMember(object, name)
		var username string
		if ok && json.Unmarshal([]byte(raw), &username) == nil {
			return username
		}
	}
	return ""
}
