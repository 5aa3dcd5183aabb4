package tokeninject

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/revocation"
)

// Identity is who passes the gate: of an access token, or of a browser session. It does not change.
// Claims stay JSON until somebody asks for one.
type Identity struct {
	Subject   string
	ClientID  string
	Username  string // as the token or session says; see LoginName
	SessionID string // of the issuer's session; it is not its secret
	GrantID   string // the family that revocation speaks of
	TokenID   string // the access token's jti; "" for a session
	Scope     string // separated by spaces
	// IssuedAt is when the token was issued or the session began.
	IssuedAt time.Time
	// Expires is the end of the token or, at the latest, of the session.
	Expires time.Time

	claims  string // one JSON object
	again   int64  // when its issuer has to be asked about the token again, in Unix seconds; 0: not before it ends
	session *Session
	from    *source // whose word it is
}

// Claim returns a claim of the token or of the session's person: string, json.Number, bool, nil,
// []any or map[string]any.
func (id *Identity) Claim(name string) (value any, ok bool) {
	raw, ok := id.member(name)
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

// member finds a claim as it stands in the JSON.
func (id *Identity) member(name string) (raw string, ok bool) {
	if id.session == nil {
		return jsonMember(id.claims, name)
	}
	value, ok := jsonMember(id.session.Claims, name)
	return string(value), ok
}

// Roles returns the person's roles: of the session, or of the token's claim that its issuer has for them.
func (id *Identity) Roles() []string {
	if id.session != nil {
		return id.session.Roles
	}
	name := "roles"
	if id.from != nil {
		name = id.from.roles
	}
	value, _ := id.Claim(name)
	return stringsOf(value)
}

// Issuer is the URL of whoever says all this. Subjects, roles and login names of two issuers have nothing to do
// with each other.
func (id *Identity) Issuer() string {
	if id.from == nil {
		return ""
	}
	return id.from.issuer.URL()
}

// Session is what the issuer says of the person who signed in; nil for a token. It must not be changed.
func (id *Identity) Session() *Session { return id.session }

// ErrNobody says that an identity is no person: a client acts for itself.
var ErrNobody = errors.New("a client acts for itself, and is nobody")

// Attributes reads the person's attributes from the issuer, at most every Config.Refresh. ErrNobody where
// there is no person.
func (id *Identity) Attributes(ctx context.Context) (map[string][]string, error) {
	person, err := id.person(ctx)
	if err != nil {
		return nil, err
	}
	return person.Attributes, nil
}

// LoginName is Username or, where the token has none, what the issuer says, asked as
// seldom. ErrNobody where there is no person.
func (id *Identity) LoginName(ctx context.Context) (string, error) {
	if id.Username != "" {
		return id.Username, nil
	}
	person, err := id.person(ctx)
	if err != nil {
		return "", err
	}
	return person.Username, nil
}

func (id *Identity) person(ctx context.Context) (*Person, error) {
	if _, signedIn := id.member("auth_time"); id.from == nil || id.session == nil && id.Subject == id.ClientID && !signedIn {
		return nil, ErrNobody
	}
	return id.from.people.get(ctx, id.Subject)
}

// ends is when a token ends, in Unix milliseconds. One whose end is that of its issuer's word was given none, and is
// good for as long as the issuer says so.
func (id *Identity) ends() int64 {
	if id.again != 0 && id.Expires.Unix() <= id.again+1 {
		return math.MaxInt64
	}
	return id.Expires.UnixMilli()
}

// subject is what the revocation feed wants to know.
func (id *Identity) subject(issuer Issuer) revocation.Subject {
	return revocation.Subject{
		Family: id.GrantID, Session: id.SessionID, Token: id.TokenID, User: issuer.Account(id.Subject), Client: id.ClientID,
		IssuedAt: id.IssuedAt,
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
