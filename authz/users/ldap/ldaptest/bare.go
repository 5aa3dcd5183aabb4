package ldaptest

import (
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

// Bare is what a sign-in is made of: a search as a service account and a bind as the person, each on a connection of
// its own that stays open. It is what the package's own speed is held against.
type Bare struct{ searches, binds *ldap.Conn }

// DialBare connects and binds the service account.
func DialBare(url, account, password string) (*Bare, error) {
	searches, err := ldap.DialURL(url)
	if err != nil {
		return nil, err
	}
	binds, err := ldap.DialURL(url)
	if err != nil {
		_ = searches.Close()
		return nil, err
	}
	b := &Bare{searches, binds}
	if err := searches.Bind(account, password); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// SignIn finds a person by name below the base and checks the password.
func (b *Bare) SignIn(base, name, password string) error {
	result, err := b.searches.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 5, false,
		"(&(objectClass=person)(|(uid="+ldap.EscapeFilter(name)+")(mail="+ldap.EscapeFilter(name)+")))", []string{"*", "entryUUID"}, nil))
	if err != nil {
		return err
	}
	if len(result.Entries) != 1 {
		return fmt.Errorf("%d people are named %q", len(result.Entries), name)
	}
	return b.binds.Bind(result.Entries[0].DN, password)
}

// Close ends both connections.
func (b *Bare) Close() {
	_ = b.searches.Close()
	_ = b.binds.Close()
}
