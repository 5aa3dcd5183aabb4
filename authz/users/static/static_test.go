package static

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/gatewright/gatewright/authz/users"
)

func people() []User {
	return []User{
		{
			Name: "Alice", Password: bcryptHash, Roles: []string{"employee", "buyer"},
			Attributes: map[string][]string{"mail": {"alice@example.com", "a@example.com"}},
		},
		{Name: "bob", Password: argon2Hash},
		{Name: "carol", Password: bcryptHash, Disabled: true},
	}
}

func newStore(t *testing.T, list []User) *Store {
	t.Helper()
	s, err := New(list)
	require.NoError(t, err)
	return s
}

// counting makes every verifier of the store, decoys included, count its calls under the name of
// the entry whose hash it checks.
func counting(s *Store, list []User) map[string]int {
	calls := make(map[string]int)
	count := func(name string, verify verifier) verifier {
		return func(password string) bool {
			calls[name]++
			return verify(password)
		}
	}
	for i, u := range list {
		name := s.Canonical(u.Name)
		e := s.users[name]
		e.verify = count(u.Name, e.verify)
		s.users[name] = e
		s.decoys[i] = count(u.Name, s.decoys[i])
	}
	return calls
}

func total(calls map[string]int) (sum int) {
	for _, n := range calls {
		sum += n
	}
	return sum
}

// anyone may have their password looked at.
func anyone(string) error { return nil }

func TestU2_Authenticate(t *testing.T) {
	s := newStore(t, people())
	for name, row := range map[string]struct {
		username, password string
		subject            string
		err                error
	}{
		"bcrypt":                          {"Alice", password, "Alice", nil},
		"argon2id":                        {"bob", password, "bob", nil},
		"wrong password":                  {"Alice", "correct Horse", "", users.ErrCredentials},
		"wrong password, argon2id":        {"bob", "correct Horse", "", users.ErrCredentials},
		"password with a space behind":    {"bob", password + " ", "", users.ErrCredentials},
		"the hash for the password":       {"Alice", bcryptHash, "", users.ErrCredentials},
		"A75 unknown name":                {"mallory", password, "", users.ErrCredentials},
		"A75 unknown name, no password":   {"mallory", "", "", users.ErrCredentials},
		"A75 empty name":                  {"", password, "", users.ErrCredentials},
		"A75 disabled":                    {"carol", password, "", users.ErrDisabled},
		"A75 disabled, wrong password":    {"carol", "wrong", "", users.ErrCredentials},
		"A75 disabled, no password":       {"carol", "", "", users.ErrCredentials},
		"A73 empty password":              {"Alice", "", "", users.ErrCredentials},
		"A73 empty password, argon2id":    {"bob", "", "", users.ErrCredentials},
		"A73 password of spaces":          {"Alice", "   ", "", users.ErrCredentials},
		"A73 password is NUL":             {"Alice", "\x00", "", users.ErrCredentials},
		"A72 case variant":                {"aLICE", password, "Alice", nil},
		"A72 space around":                {" alice\t", password, "Alice", nil},
		"A72 *":                           {"*", password, "", users.ErrCredentials},
		"A72 a*":                          {"a*", password, "", users.ErrCredentials},
		"A72 filter":                      {"alice)(uid=*", password, "", users.ErrCredentials},
		"A72 DN":                          {"alice,dc=example,dc=com", password, "", users.ErrCredentials},
		"A72 NUL behind":                  {"alice\x00", password, "", users.ErrCredentials},
		"A72 NUL in front":                {"\x00alice", password, "", users.ErrCredentials},
		"A72 homoglyph":                   {"\u0430lice", password, "", users.ErrCredentials},
		"A72 not UTF-8":                   {"alice\xff", password, "", users.ErrCredentials},
		"A72 1 MB of name":                {strings.Repeat("a", 1<<20), password, "", users.ErrCredentials},
		"A72 1 MB of spaces":              {strings.Repeat(" ", 1<<20) + "alice", password, "Alice", nil},
		"A72 1 MB of password":            {"alice", strings.Repeat("a", 1<<20), "", users.ErrCredentials},
		"A72 1 MB of password, argon2id":  {"bob", strings.Repeat("a", 1<<20), "", users.ErrCredentials},
		"A72 password and 1 MB, argon2id": {"bob", password + strings.Repeat("\x00", 1<<20), "", users.ErrCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := s.Authenticate(t.Context(), users.Credentials{Username: row.username, Password: row.password}, anyone)
			if row.err != nil {
				require.Nil(t, u)
				require.Equal(t, row.err, err, "nothing more is told")
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.subject, u.Subject)
			require.Equal(t, row.subject, u.Username, "the spelling of the store")
		})
	}
}

func TestA73_EmptyPasswordEvenIfThatWasHashed(t *testing.T) {
	const ofNothing = "$2a$04$.pCnoj4uci.Dyyz2FgezNONZSfpadq35wT89A/M9zCUsG2SFYZCfW"
	require.True(t, bcryptVerifier(ofNothing)(""))
	s := newStore(t, []User{{Name: "alice", Password: ofNothing}})
	_, err := s.Authenticate(t.Context(), users.Credentials{Username: "alice"}, anyone)
	require.ErrorIs(t, err, users.ErrCredentials)
}

func TestA75_EveryAnswerCostsOneHash(t *testing.T) {
	for name, c := range map[string]users.Credentials{
		"right":                        {Username: "Alice", Password: password},
		"wrong password":               {Username: "Alice", Password: "wrong"},
		"empty password":               {Username: "Alice"},
		"unknown name":                 {Username: "mallory", Password: "wrong"},
		"unknown name, right for some": {Username: "mallory", Password: password},
		"unknown name, empty password": {Username: "mallory"},
		"empty name":                   {},
		"name of 1 MB":                 {Username: strings.Repeat("m", 1<<20), Password: "wrong"},
		"disabled":                     {Username: "carol", Password: password},
		"disabled, wrong password":     {Username: "carol", Password: "wrong"},
	} {
		s := newStore(t, people())
		calls := counting(s, people())
		_, _ = s.Authenticate(t.Context(), c, anyone) // what it answers is tested above
		require.Equal(t, 1, total(calls), name)
	}
}

// Whether the owner of a name may be guessed at is asked for names that exist, and tells nobody that they do.
func TestA75_ARefusalCostsOneHash(t *testing.T) {
	refusal := errors.New("paused")
	for _, typed := range []string{password, "wrong"} {
		s := newStore(t, people())
		calls := counting(s, people())
		_, err := s.Authenticate(t.Context(), users.Credentials{Username: " alice", Password: typed}, func(subject string) error {
			require.Equal(t, "Alice", subject)
			require.Zero(t, total(calls), "asked before the password is looked at")
			return refusal
		})
		require.ErrorIs(t, err, refusal, typed)
		require.Equal(t, 1, total(calls), typed)
	}
	s := newStore(t, people())
	_, err := s.Authenticate(t.Context(), users.Credentials{Username: "mallory", Password: password}, func(string) error { return refusal })
	require.NotErrorIs(t, err, refusal)
}

func TestA75_UnknownNamesTakeAsLongAsKnownOnes(t *testing.T) {
	s := newStore(t, people())
	calls := counting(s, people())
	for i := range 60 {
		before := map[string]int{"Alice": calls["Alice"], "bob": calls["bob"], "carol": calls["carol"]}
		for range 3 {
			_, err := s.Authenticate(t.Context(), users.Credentials{Username: fmt.Sprint("mallory", i), Password: password}, anyone)
			require.ErrorIs(t, err, users.ErrCredentials)
		}
		for name, n := range before {
			require.Zero(t, (calls[name]-n)%3, "a name is checked against one and the same hash, or repetition would tell")
		}
	}
	require.Equal(t, 180, total(calls))
	require.Positive(t, calls["bob"], "all kinds of hashes are used, or their time would tell")
	require.Positive(t, calls["Alice"]+calls["carol"])
}

func TestA75_AStoreOfNobody(t *testing.T) {
	_, err := parseHash(nobodysHash)
	require.NoError(t, err)
	cost, err := bcrypt.Cost([]byte(nobodysHash))
	require.NoError(t, err)
	require.Equal(t, 14, cost, "what caddy hash-password uses")

	s := newStore(t, nil)
	require.Len(t, s.decoys, 1)
	calls := 0
	s.decoys[0] = func(string) bool { calls++; return true }
	_, err = s.Authenticate(t.Context(), users.Credentials{Username: "alice", Password: password}, anyone)
	require.ErrorIs(t, err, users.ErrCredentials)
	require.Equal(t, 1, calls)
	_, err = s.Lookup(t.Context(), "alice")
	require.ErrorIs(t, err, users.ErrNotFound)
}

func TestA72_OneCanonicalNamePerEntry(t *testing.T) {
	s := newStore(t, people())
	for _, variant := range []string{"alice", "ALICE", "Alice", " alice ", "\talice\n", "alice\u00a0"} {
		require.Equal(t, "alice", s.Canonical(variant), "%q buys no guesses", variant)
	}
	require.Equal(t, s.Canonical("mallory"), s.Canonical("MALLORY"), "nor does one of a name nobody has")
	for _, other := range []string{"alice2", "\u0430lice", "alice\x00", "*", "a lice"} {
		require.NotEqual(t, "alice", s.Canonical(other))
	}
}

// FuzzCanonical: the name under which guesses are counted decides whose password is checked.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"alice", " ALICE ", "\u212aate", "\u0130", "ſ", "\x00", "\xff", "*", ""} {
		f.Add(seed)
	}
	s, err := New(people())
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, name string) {
		canonical := s.Canonical(name)
		require.Equal(t, canonical, s.Canonical(canonical))
		require.Equal(t, canonical, s.Canonical(" "+name+"\t"))
		if u, err := s.Lookup(t.Context(), name); err == nil {
			require.Equal(t, name, u.Subject)
			require.Equal(t, strings.ToLower(u.Username), canonical)
		}
	})
}

func TestLookup(t *testing.T) {
	s := newStore(t, people())
	u, err := s.Lookup(t.Context(), "Alice")
	require.NoError(t, err)
	require.Equal(t, []string{"employee", "buyer"}, u.Roles)
	require.Equal(t, "alice@example.com", u.Attribute("mail"))
	require.Empty(t, u.Attribute("phone"))
	for subject, want := range map[string]error{
		"carol": users.ErrDisabled, "mallory": users.ErrNotFound, "": users.ErrNotFound, "Alice ": users.ErrNotFound,
		"alice": users.ErrNotFound, // a subject is compared exactly, only names are typed
	} {
		u, err := s.Lookup(t.Context(), subject)
		require.Equal(t, want, err, subject)
		require.Nil(t, u)
	}
}

func TestAUserIsTheCallersOwn(t *testing.T) {
	s := newStore(t, people())
	first, err := s.Lookup(t.Context(), "Alice")
	require.NoError(t, err)
	first.Subject = "mallory"
	first.Roles = append(first.Roles, "admin")
	second, err := s.Lookup(t.Context(), "Alice")
	require.NoError(t, err)
	third, err := s.Authenticate(t.Context(), users.Credentials{Username: "alice", Password: password}, anyone)
	require.NoError(t, err)
	require.Equal(t, "Alice", second.Subject)
	require.Equal(t, []string{"employee", "buyer"}, second.Roles)
	require.Equal(t, second, third)
}

func TestPasswordStampChangesWithThePasswordOnly(t *testing.T) {
	stamp := func(change func(*User)) string {
		list := people()
		change(&list[0])
		u, err := newStore(t, list).Lookup(t.Context(), "Alice")
		require.NoError(t, err)
		return u.PasswordStamp
	}
	before := stamp(func(*User) {})
	require.NotEmpty(t, before)
	require.NotContains(t, bcryptHash, before)
	require.Equal(t, before, stamp(func(u *User) { u.Roles, u.Attributes = nil, nil }))
	require.NotEqual(t, before, stamp(func(u *User) { u.Password = argon2Hash }))
}

func TestBadNamesAreRefused(t *testing.T) {
	for name, row := range map[string]struct {
		second User
		told   string
	}{
		"none":               {User{Password: bcryptHash}, "a name is needed"},
		"spaces":             {User{Name: " \t", Password: bcryptHash}, "a name is needed"},
		"taken":              {User{Name: "Alice", Password: argon2Hash}, "the name is taken"},
		"taken by case":      {User{Name: "ALICE", Password: argon2Hash}, "the name is taken"},
		"taken but for gaps": {User{Name: " alice ", Password: argon2Hash}, "the name is taken"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New([]User{{Name: "Alice", Password: bcryptHash}, row.second})
			require.ErrorContains(t, err, row.told)
			require.ErrorContains(t, err, fmt.Sprintf("user %q", row.second.Name))
			require.Nil(t, s)
		})
	}
}

func TestU9_HashingIsBounded(t *testing.T) {
	s := newStore(t, people())
	s.slots = make(chan struct{}, 1)
	calls := counting(s, people())
	s.slots <- struct{}{} // somebody is being hashed
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	for _, name := range []string{"Alice", "mallory"} {
		go func() {
			_, err := s.Authenticate(ctx, users.Credentials{Username: name, Password: password}, anyone)
			answer <- err
		}()
	}
	cancel()
	for range 2 {
		err := <-answer
		require.ErrorIs(t, err, users.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Zero(t, total(calls), "who has to wait costs nothing")

	<-s.slots
	_, err := s.Authenticate(t.Context(), users.Credentials{Username: "Alice", Password: password}, anyone)
	require.NoError(t, err)
	require.Empty(t, s.slots, "a slot is given back")
}

func TestTOTPSecrets(t *testing.T) {
	for name, secret := range map[string]string{"no base32": "not base32!", "too short": "JBSWY3DP"} {
		_, err := New([]User{{Name: "alice", Password: bcryptHash, TOTP: secret}})
		require.ErrorContains(t, err, "totp must be a base32 secret of at least 10 bytes", name)
	}
	s, err := New([]User{{Name: "alice", Password: bcryptHash, TOTP: "jbsw y3dp ehpk 3pxp===="}, {Name: "bob", Password: bcryptHash}})
	require.NoError(t, err)
	for subject, want := range map[string]string{"alice": "JBSWY3DPEHPK3PXP", "bob": ""} {
		got, err := s.TOTPSecret(t.Context(), subject)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err = s.TOTPSecret(t.Context(), "nobody")
	require.ErrorIs(t, err, users.ErrNotFound)
}

func TestU2_E2_FindByAnAttribute(t *testing.T) {
	s, err := New([]User{
		{Name: "alice", Password: nobodysHash, Attributes: map[string][]string{"mail": {"a@example.com", "alice@example.com"}, "team": {"red"}}},
		{Name: "bob", Password: nobodysHash, Attributes: map[string][]string{"mail": {"bob@example.com"}, "team": {"red"}}, Disabled: true},
	})
	require.NoError(t, err)
	for _, by := range [][2]string{{"mail", "alice@example.com"}, {"", "Alice"}} {
		u, err := s.Find(t.Context(), by[0], by[1])
		require.NoError(t, err)
		require.Equal(t, "alice", u.Subject)
	}
	_, err = s.Find(t.Context(), "mail", "bob@example.com")
	require.ErrorIs(t, err, users.ErrDisabled)
	for _, by := range [][2]string{{"team", "red"}, {"mail", "ALICE@example.com"}, {"mail", ""}, {"", ""}, {"none", "x"}} {
		_, err = s.Find(t.Context(), by[0], by[1])
		require.ErrorIs(t, err, users.ErrNotFound, by)
	}
}
