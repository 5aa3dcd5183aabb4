package ldap

import (
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"
)

var guid = []byte{0x81, 0xc9, 0x53, 0x4c, 0xba, 0x5d, 0xd9, 0x11, 0x89, 0xa2, 0x89, 0x0b, 0x9b, 0xd4, 0x8a, 0x51}

func TestU1_BinaryValuesAsText(t *testing.T) {
	const text = "4c53c981-5dba-11d9-89a2-890b9bd48a51"
	require.Equal(t, text, toText("objectguid", guid))
	back, ok := parseGUID(text)
	require.True(t, ok)
	require.Equal(t, guid, back)
	for _, wrong := range []string{
		"", "4C53C981-5DBA-11D9-89A2-890B9BD48A51", "4c53c9815dba11d989a2890b9bd48a51", "{" + text + "}", text + "00", "*",
		"4c53c981-5dba-11d9-89a2-890b9bd48a5g",
	} {
		_, ok := parseGUID(wrong)
		require.False(t, ok, "%q: one person has one subject", wrong)
	}
	require.Equal(t, "S-1-5-21-1-2-4294967295", toText("objectSid",
		[]byte{1, 4, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}))
	require.Equal(t, "AQQ=", toText("objectSid", []byte{1, 4}), "too short for one")
	require.Equal(t, "/wA=", toText("photo", []byte{0xff, 0}))
	require.Equal(t, "grün", toText("cn", []byte("grün")))
}

func TestA72_SubjectFilter(t *testing.T) {
	filter, ok := subjectFilter("objectGUID", "4c53c981-5dba-11d9-89a2-890b9bd48a51")
	require.True(t, ok)
	require.Equal(t, `(objectGUID=\81\c9\53\4c\ba\5d\d9\11\89\a2\89\0b\9b\d4\8a\51)`, filter)
	_, ok = subjectFilter("objectGUID", "*")
	require.False(t, ok)
	filter, ok = subjectFilter("entryUUID", "*)(x=\x00")
	require.True(t, ok)
	require.Equal(t, `(entryUUID=\2a\29\28x=\00)`, filter)
}

func FuzzLoginFilter(f *testing.F) {
	for _, name := range []string{"alice", "*", ")(uid=*", "\x00", `\`, "é", "\xff", "Ꮰ", "ꮰ"} {
		f.Add(name)
	}
	_, text := ActiveDirectory.defaults()
	filter, err := parseLoginFilter(text)
	require.NoError(f, err)
	plain, err := ldap.CompileFilter(filter.login("x"))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, name string) {
		compiled, err := ldap.CompileFilter(filter.login(name))
		require.NoError(t, err)
		// Whatever somebody types, the filter keeps its shape: three equalities on the name.
		either, plainEither := compiled.Children[2], plain.Children[2]
		require.Len(t, compiled.Children, len(plain.Children))
		require.Len(t, either.Children, len(plainEither.Children))
		for i, equality := range either.Children {
			require.Equal(t, plainEither.Children[i].Tag, equality.Tag)
			require.Equal(t, name, equality.Children[1].Data.String())
		}
		require.Equal(t, fold(name), fold(fold(name)), "folding is idempotent")
	})
}
