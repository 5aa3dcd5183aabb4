package ldap

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// anyone may have their password looked at.
func anyone(string) error { return nil }

func signIn(t *testing.T, d *Directory, name, password string) (*users.User, error) {
	t.Helper()
	return d.Authenticate(bounded(t), users.Credentials{Username: name, Password: password}, anyone)
}

func TestU1_SearchThenBind(t *testing.T) {
	d, s := directory(t, nil)
	u, err := signIn(t, d, "ALICE", "alice-pw")
	require.NoError(t, err)
	require.Equal(t, s.EntryUUID(t, alice), u.Subject)
	require.Equal(t, "alice", u.Username, "the directory's spelling")
	require.Equal(t, []string{"alice@example.org", "a.example@example.org"}, u.Attributes["mail"])
	require.Equal(t, []string{"/9j/4AAQSkZJRgABAQAAAQABAAD/"}, u.Attributes["jpegPhoto"], "what is no text is base64")
	require.NotContains(t, u.Attributes, "userPassword")
	require.Empty(t, u.Roles, "no source of roles was named")

	byMail, err := signIn(t, d, "a.example@example.org", "alice-pw")
	require.NoError(t, err)
	require.Equal(t, u.Subject, byMail.Subject)
	require.Equal(t, "alice", byMail.Username, "one name, whichever was typed")

	_, err = signIn(t, d, "alice", "wrong")
	require.ErrorIs(t, err, users.ErrCredentials)
}

func TestU1_OnlyNamedAttributes(t *testing.T) {
	d, _ := directory(t, func(cfg *Config) { cfg.Attributes = []string{"MAIL", "userPassword"} })
	u, err := signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"MAIL": {"alice@example.org", "a.example@example.org"}}, u.Attributes)
}

// A name that several people have is nobody's, and not even the right password of one helps.
func TestU1_SeveralResults(t *testing.T) {
	d, _ := directory(t, nil)
	for _, password := range []string{"bob-pw", "carol-pw", "x"} {
		_, err := signIn(t, d, "twins@example.org", password)
		require.ErrorIs(t, err, users.ErrCredentials)
	}
}

func TestA72_NamesAreNeverSyntax(t *testing.T) {
	d, _ := directory(t, nil)
	u, err := signIn(t, d, `o*d)(d\`, "odd-pw")
	require.NoError(t, err, "a person may have such a name")
	require.Equal(t, `o*d)(d\`, u.Username)
	for _, name := range []string{
		"*", "a*", "alic*", "*)(uid=*", "alice)(objectClass=*", "alice)(|(uid=*", `alice\2a`, "alice\x00", "\x00", "uid=alice",
		alice, "alice,ou=people", "", " ", "|", "&", strings.Repeat("a", 1<<20), "alice\n", "\u202ealice\u0007", "\xff\xfe",
	} {
		_, err := signIn(t, d, name, "alice-pw")
		require.ErrorIs(t, err, users.ErrCredentials, "%.40q", name)
	}
}

func TestA72_VariantsAreOneName(t *testing.T) {
	d, _ := directory(t, nil)
	for _, variant := range []string{"ALICE", " alice ", "ａｌｉｃｅ", "al\u00adice", "ali\u200bce", "\ufeffalice"} {
		require.Equal(t, d.Canonical("alice"), d.Canonical(variant), "%q", variant)
	}
	require.Equal(t, d.Canonical("jose\u0301"), d.Canonical("JOS\u00c9"))
	require.NotEqual(t, d.Canonical("alice"), d.Canonical("bob"))
	require.Equal(t, "alice@example.org", d.Canonical("Alice@Example.ORG"))
}

// Only the directory knows that several names are one person's: it says so before it checks a password.
func TestA72_NamesOfOnePersonAreAskedAboutAsOne(t *testing.T) {
	d, s := directory(t, nil)
	whose, err := d.Identify(bounded(t), "Alice@example.org")
	require.NoError(t, err)
	require.Equal(t, s.EntryUUID(t, alice), whose.Subject)
	require.ElementsMatch(t, []string{"alice", "alice@example.org", "a.example@example.org"}, whose.Names)
	for _, name := range append(whose.Names, "nobody", "twins@example.org") {
		var asked []string
		_, err := d.Authenticate(bounded(t), users.Credentials{Username: name, Password: "x"}, func(subject string) error {
			asked = append(asked, subject)
			return errRefused
		})
		if slices.Contains(whose.Names, name) {
			require.ErrorIs(t, err, errRefused)
			require.Equal(t, []string{whose.Subject}, asked)
		} else {
			require.ErrorIs(t, err, users.ErrCredentials)
			require.Empty(t, asked)
		}
	}
	require.Empty(t, ldaptest.Read(t, s.Admin(t), alice, "pwdFailureTime").GetAttributeValues("pwdFailureTime"), "who is refused is not bound")
}

var errRefused = errors.New("refused")

func TestA73_EmptyAndBlankPasswords(t *testing.T) {
	d, _ := directory(t, nil)
	for _, password := range []string{"", " ", "   ", "\x00", "alice-pw\x00", strings.Repeat("p", 1<<20)} {
		_, err := signIn(t, d, "alice", password)
		require.ErrorIs(t, err, users.ErrCredentials, "%.10q", password)
	}
}

// An empty password ends before any server is asked: none is there to say something else.
func TestA73_EmptyPasswordReachesNoServer(t *testing.T) {
	d := open(t, Config{Servers: []string{"ldap://" + ldaptest.FreePort(t)}, Base: testBase})
	_, err := signIn(t, d, "alice", "")
	require.ErrorIs(t, err, users.ErrCredentials)
	_, err = signIn(t, d, "alice", "x")
	require.ErrorIs(t, err, users.ErrUnavailable)
	_, err = New(Config{Servers: []string{"ldap://127.0.0.1"}, Base: testBase, BindDN: testAccount})
	require.ErrorContains(t, err, "anonymous", "nor is the service account bound without one")
}

// Who doesn't know the password learns nothing of an account, and who does learns why it is refused.
func TestU1_ReasonsOnlyForTheRightPassword(t *testing.T) {
	d, s := directory(t, nil)
	permit := func(password string, want error) {
		t.Helper()
		_, err := signIn(t, d, "bob", password)
		require.ErrorIs(t, err, want)
		if !errors.Is(want, users.ErrDisabled) {
			require.NotErrorIs(t, err, users.ErrDisabled)
		}
	}
	bob := "uid=bob,ou=people," + testBase

	s.Change(t, bob, "pwdReset", "TRUE")
	permit("wrong", users.ErrCredentials)
	permit("bob-pw", users.ErrMustChange)
	s.Change(t, bob, "pwdReset")

	s.relaxed(t, bob, "pwdChangedTime", "20200101000000Z")
	permit("wrong", users.ErrCredentials)
	permit("bob-pw", users.ErrPasswordExpired)

	s.Change(t, bob, "pwdAccountLockedTime", lockedForGood)
	permit("wrong", users.ErrCredentials)
	permit("bob-pw", users.ErrCredentials)
}

// relaxed sets an attribute that servers keep to themselves (Relax Rules control).
func (s *slapd) relaxed(t *testing.T, dn, attribute string, values ...string) {
	t.Helper()
	request := ldap.NewModifyRequest(dn, []ldap.Control{ldap.NewControlString("1.3.6.1.4.1.4203.666.5.12", true, "")})
	request.Replace(attribute, values)
	require.NoError(t, s.Admin(t).Modify(request))
}

func TestU1_LockAfterWrongPasswords(t *testing.T) {
	d, _ := directory(t, nil)
	u, err := signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
	for range 3 {
		_, err := signIn(t, d, "alice", "wrong")
		require.ErrorIs(t, err, users.ErrCredentials)
	}
	_, err = signIn(t, d, "alice", "alice-pw")
	require.ErrorIs(t, err, users.ErrCredentials, "the directory doesn't look at a locked account's password")
	_, err = d.Lookup(bounded(t), u.Subject)
	require.ErrorIs(t, err, users.ErrLocked)
	require.ErrorIs(t, err, users.ErrDisabled)
}

// An unknown name costs a bind and leaves everybody's count of wrong passwords alone, the service account's too. So
// does one whose owner may not be guessed at.
func TestU9_UnknownNameCostsABind(t *testing.T) {
	d, s := directory(t, nil)
	admin := s.Admin(t)
	for _, name := range []string{"alice", "nobody", "twins@example.org"} {
		_, err := signIn(t, d, name, "x") // learns the layout, and connects
		require.ErrorIs(t, err, users.ErrCredentials)
		before := s.Operations(t, admin, "Bind")
		_, err = signIn(t, d, name, "x")
		require.ErrorIs(t, err, users.ErrCredentials)
		require.Equal(t, 1, s.Operations(t, admin, "Bind")-before, name)
	}
	before := s.Operations(t, admin, "Bind")
	_, err := d.Authenticate(bounded(t), users.Credentials{Username: "alice", Password: "alice-pw"}, func(string) error { return errRefused })
	require.ErrorIs(t, err, errRefused)
	require.Equal(t, 1, s.Operations(t, admin, "Bind")-before)
}

func TestU9_UnknownNameTakesAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		waited := func(spent time.Duration) time.Duration {
			began := time.Now()
			p.wait(t.Context(), spent)
			return time.Since(began)
		}
		require.Zero(t, waited(0), "nothing is known yet")
		for range 1000 {
			p.note(300 * time.Millisecond)
		}
		require.Equal(t, 300*time.Millisecond, waited(0))
		require.Equal(t, 100*time.Millisecond, waited(200*time.Millisecond))
		require.Zero(t, waited(time.Second))

		gone, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		p.wait(gone, 0)
		require.Zero(t, time.Since(began), "nobody waits for the answer")
	})
}
