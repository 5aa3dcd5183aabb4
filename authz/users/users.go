// Package users says what the authorization server needs to know of a person and of the place
// people are kept. A store of users is one folder that implements Store.
package users

import (
	"context"
	"errors"
	"fmt"
)

// User is a person as the store knows them now.
type User struct {
	// Subject is the stable identifier that becomes sub; a renamed person keeps it.
	Subject string
	// Username is what the person signed in with, in the store's own spelling.
	Username string
	Roles    []string
	// Attributes by the store's own names; every value is a list.
	Attributes map[string][]string
	// PasswordStamp changes whenever the password does; empty where the store can't tell. It is no
	// secret and no password can be derived from it.
	PasswordStamp string
}

// Attribute returns the first value of an attribute.
func (u *User) Attribute(name string) string {
	if values := u.Attributes[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Credentials are what a person typed in.
type Credentials struct {
	Username string
	Password string
}

// What a Store answers when it can't give a user. Everything else is a fault of the store.
var (
	// ErrCredentials: the name or the password is wrong; which of the two is nobody's business.
	ErrCredentials = errors.New("users: wrong name or password")
	// ErrNotFound: nobody has this subject any more.
	ErrNotFound = errors.New("users: no such user")
	// ErrDisabled: the person exists and may not sign in. Authenticate tells it only to somebody who
	// knew the password.
	ErrDisabled = errors.New("users: user is disabled")
	// ErrUnavailable: the store can't be reached.
	ErrUnavailable = errors.New("users: store is unavailable")
	// ErrNotWritable: the store will not take what was to be kept with a person until somebody changes that.
	ErrNotWritable = errors.New("users: the store may not be written")
)

// Why a person may not sign in, where the store tells. Each is an ErrDisabled, too. Authenticate tells
// them, as that, only to somebody who knew the password.
var (
	// ErrLocked: too many wrong passwords; it passes by itself or an administrator lifts it.
	ErrLocked = fmt.Errorf("%w: locked after wrong passwords", ErrDisabled)
	// ErrExpired: the account had an end, and that is past.
	ErrExpired = fmt.Errorf("%w: account has expired", ErrDisabled)
	// ErrPasswordExpired: the password is right and too old.
	ErrPasswordExpired = fmt.Errorf("%w: password has expired", ErrDisabled)
	// ErrMustChange: the password is right and somebody else's choice: first the person sets a new one.
	ErrMustChange = fmt.Errorf("%w: password must be changed first", ErrDisabled)
	// ErrNotNow: not at this hour, or not from this machine.
	ErrNotNow = fmt.Errorf("%w: not allowed at this time or from this machine", ErrDisabled)
)

// Authenticator checks a password. It answers ErrCredentials after the same time and work for an
// unknown name as for a wrong password.
type Authenticator interface {
	// Authenticate asks admit about the subject of whoever has the name before it looks at the password. What
	// admit refuses is answered with admit's error, after the time and work of a wrong password.
	Authenticate(ctx context.Context, c Credentials, admit func(subject string) error) (*User, error)
}

// Store is a place where people are kept.
type Store interface {
	Authenticator
	// Lookup reads the person afresh, past any cache: ErrNotFound or ErrDisabled end what they have.
	Lookup(ctx context.Context, subject string) (*User, error)
	// Identify finds whose a login name is, of those too who may not sign in: for an administrator.
	// ErrNotFound.
	Identify(ctx context.Context, username string) (*Identity, error)
	// Canonical is the one spelling of a name under which guesses are counted, so that variants of
	// a spelling don't buy more guesses. It is the same for good, and works for names nobody has.
	Canonical(username string) string
}

// Identity is whose a login name is.
type Identity struct {
	Subject string
	// Names are all that they can sign in with.
	Names []string
}

// Finder is a Store that can find people by something else than their subject: whom another system speaks of.
type Finder interface {
	// Find reads the one person who has this value of an attribute, past any cache; "" is the login name.
	// ErrNotFound: nobody has it, or several; ErrDisabled.
	Find(ctx context.Context, attribute, value string) (*User, error)
}

// TOTPHolder is a Store that has secrets of authenticator apps (RFC 6238) for some of its people.
type TOTPHolder interface {
	// TOTPSecret is the person's secret in base32; "" for none.
	TOTPSecret(ctx context.Context, subject string) (string, error)
}

// HealthChecker is a Store that can tell whether it is well, for the health endpoint.
type HealthChecker interface {
	Health(ctx context.Context) error
}
