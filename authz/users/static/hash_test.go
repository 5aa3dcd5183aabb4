package static

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

// Hashes at the least cost, made by `caddy hash-password`; see testdata/hashes.
const (
	password   = "correct horse"
	bcryptHash = "$2a$04$Yp2H380BY234z1xEeji/o.kOKtFbq5OlmccWY.mRe1ge/LvAQ283W"
	argon2Hash = "$argon2id$v=19$m=64,t=2,p=2$OZ3JgcZbTAIvWlP/gbYt1A$z2FXGXKC/HAHcPd8+/FEeQ"
)

func TestU2_HashesAsCaddyPrintsThem(t *testing.T) {
	files, err := filepath.Glob("testdata/hashes/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files, "the vectors are gone")
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var v struct{ Source, Password, Hash, Expect string }
			require.NoError(t, json.Unmarshal(text, &v))
			require.NotEmpty(t, v.Source)
			require.Contains(t, []string{"accepted", "refused"}, v.Expect)
			verify, err := parseHash(v.Hash)
			require.NoError(t, err)
			require.Equal(t, v.Expect == "accepted", verify(v.Password))
		})
	}
}

func TestU2_BadHashesAreRefused(t *testing.T) {
	const salt, key = "OZ3JgcZbTAIvWlP/gbYt1A", "z2FXGXKC/HAHcPd8+/FEeQ"
	for name, row := range map[string]struct{ hash, told string }{
		"none":                    {"", "is needed"},
		"a password":              {"correct horse", "bcrypt or argon2id"},
		"SHA-256":                 {"$5$rounds=5000$saltsalt$hash", "bcrypt or argon2id"},
		"argon2i":                 {strings.Replace(argon2Hash, "argon2id", "argon2i", 1), "bcrypt or argon2id"},
		"base64 of a hash":        {"JDJhJDA0JFlwMkgzODBCWTIzNHoxeEVlamkvby5r", "bcrypt or argon2id"},
		"bcrypt cut off":          {bcryptHash[:59], "wrong form"},
		"bcrypt too long":         {bcryptHash + "a", "wrong form"},
		"bcrypt with a line end":  {bcryptHash + "\n", "wrong form"},
		"bcrypt version":          {strings.Replace(bcryptHash, "$2a$", "$2z$", 1), "wrong form"},
		"bcrypt without a cost":   {strings.Replace(bcryptHash, "$04$", "$xx$", 1), "wrong form"},
		"bcrypt beyond base64":    {bcryptHash[:30] + "+" + bcryptHash[31:], "wrong form"},
		"bcrypt cost too low":     {strings.Replace(bcryptHash, "$04$", "$03$", 1), "cost"},
		"bcrypt cost too high":    {strings.Replace(bcryptHash, "$04$", "$32$", 1), "cost"},
		"example's dots":          {"$2a$14$...", "wrong form"},
		"argon2id cut off":        {"$argon2id$v=19$m=64,t=2,p=2$" + salt, "wrong form"},
		"argon2id without a key":  {"$argon2id$v=19$m=64,t=2,p=2$" + salt + "$", "wrong form"},
		"argon2id with more":      {argon2Hash + "$x", "wrong form"},
		"argon2id in other order": {"$argon2id$v=19$t=2,m=64,p=2$" + salt + "$" + key, "wrong form"},
		"argon2id letters in p":   {"$argon2id$v=19$m=64,t=2,p=2x$" + salt + "$" + key, "wrong form"},
		"argon2id negative":       {"$argon2id$v=19$m=-64,t=2,p=2$" + salt + "$" + key, "wrong form"},
		"argon2id version 16":     {"$argon2id$v=16$m=64,t=2,p=2$" + salt + "$" + key, "version"},
		"argon2id memory":         {"$argon2id$v=19$m=4194305,t=2,p=2$" + salt + "$" + key, "memory"},
		"argon2id memory of 2^32": {"$argon2id$v=19$m=4294967296,t=2,p=2$" + salt + "$" + key, "memory"},
		"argon2id no time":        {"$argon2id$v=19$m=64,t=0,p=2$" + salt + "$" + key, "time"},
		"argon2id no threads":     {"$argon2id$v=19$m=64,t=2,p=0$" + salt + "$" + key, "threads"},
		"argon2id 256 threads":    {"$argon2id$v=19$m=64,t=2,p=256$" + salt + "$" + key, "threads"},
		"argon2id short salt":     {"$argon2id$v=19$m=64,t=2,p=2$OZ3JgcY$" + key, "salt"},
		"argon2id short key":      {"$argon2id$v=19$m=64,t=2,p=2$" + salt + "$z2FXGXKC", "key"},
		"argon2id salt not whole": {"$argon2id$v=19$m=64,t=2,p=2$" + salt[:21] + "$" + key, "salt"},
		"argon2id key not whole":  {"$argon2id$v=19$m=64,t=2,p=2$" + salt + "$" + key[:21], "key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New([]User{{Name: "alice", Password: row.hash}})
			require.ErrorContains(t, err, row.told)
			require.ErrorContains(t, err, `user "alice"`)
			if row.hash != "" {
				require.NotContains(t, err.Error(), row.hash)
				require.NotContains(t, err.Error(), row.hash[len(row.hash)/2:])
			}
		})
	}
}

func TestBcryptTakesOnlyThePasswordItself(t *testing.T) {
	longest := strings.Repeat("x", 72)
	hashed, err := bcrypt.GenerateFromPassword([]byte(longest), bcrypt.MinCost)
	require.NoError(t, err)
	long := bcryptVerifier(string(hashed))
	short := bcryptVerifier(bcryptHash)
	require.True(t, long(longest))
	require.True(t, short(password))
	require.False(t, long(longest+"y"), "bcrypt reads 72 bytes")
	require.False(t, short(password+"\x00"+password), "bcrypt repeats a password behind a NUL")
	require.False(t, short(password+"\x00"))
	require.False(t, short(strings.Repeat("x", 1<<20)))
}

// FuzzParseHash: whatever stands for a hash, it is refused without being told, or it is of the two
// kinds and within the bounds that keep a login cheap enough.
func FuzzParseHash(f *testing.F) {
	for _, seed := range []string{"", bcryptHash, argon2Hash, nobodysHash, "$2", "$argon2id$", "$argon2id$v=19$m=9,t=9,p=9$a$b", "plain"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, hash string) {
		verify, err := parseHash(hash)
		if err != nil {
			require.Nil(t, verify)
			if len(hash) > 30 {
				require.NotContains(t, err.Error(), hash)
			}
			return
		}
		require.NotNil(t, verify)
		require.Regexp(t, `^\$(2[aby]\$[0-3]\d\$.{53}|argon2id\$v=19\$m=\d{1,7},t=\d{1,10},p=\d{1,3}\$\S+)$`, hash)
	})
}
