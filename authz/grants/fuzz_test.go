package grants_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/grants"
)

// FuzzDocument: a value is either refused and left alone, or takes a grant and gives every other byte back.
func FuzzDocument(f *testing.F) {
	w := newWorld()
	g, err := grants.NewDirectory(w.config())
	require.NoError(f, err)
	require.NoError(f, g.Update(f.Context(), "alice", func(r *grants.Record) error { setFull(r); return nil }))
	value := string(w.people.value("alice"))
	f.Add(value)
	f.Add(strings.Replace(value, issuer, "https://other.example", 1))
	f.Add("<grants xmlns='" + grants.Namespace + "' version='1'>\r\n<issuer id='o'><x:y xmlns:x='z'/></issuer>\t</grants>")
	f.Add(strings.Replace(value, "</grants>", "<issuer id='o'><!--x--></issuer></grants> ", 1))
	f.Add(`<?xml version="1.0"?><g:grants xmlns:g="` + grants.Namespace + `" version="1"/>`)
	f.Add(`<grants xmlns="` + grants.Namespace + `" version="1"><a>&lt;<![CDATA[x]]></a></grants>`)
	f.Fuzz(func(t *testing.T, raw string) {
		w := newWorld()
		g := w.node(t)
		w.people.put("alice", []byte(raw))
		r, err := g.Load(t.Context(), "alice")
		if err != nil {
			require.ErrorIs(t, err, grants.ErrForeign)
			require.Nil(t, r)
			require.Error(t, g.Update(t.Context(), "alice", func(*grants.Record) error { return nil }))
			require.Equal(t, raw, string(w.people.value("alice")))
			return
		}
		err = g.Update(t.Context(), "alice", func(r *grants.Record) error {
			clear(r.Clients)
			agree("fuzzed app")(r)
			return nil
		})
		if err != nil {
			require.ErrorIs(t, err, grants.ErrTooLarge)
			return
		}
		written := string(w.people.value("alice"))
		require.Nil(t, load(t, g, "alice").Consented("fuzzed app", []string{"mail"}, time.Time{}))
		if raw == "" || strings.Contains(raw, "example") || strings.Contains(raw, "fuzzed") || strings.Contains(raw, "&") {
			return // our issuer's element may be in it, and is not kept as it was
		}
		begin, end := strings.Index(written, `id="`+issuer+`">`), strings.Index(written, "fuzzed app")
		begin = strings.LastIndex(written[:begin], "<issuer")
		end += strings.Index(written[end:], "</issuer>") + len("</issuer>")
		if written[:begin]+written[end:] == raw {
			return
		}
		// Else <grants/> became <grants></grants>.
		require.Equal(t, raw[:begin-1], written[:begin-1])
		require.Equal(t, "/>", raw[begin-1:begin+1])
		require.True(t, strings.HasSuffix(written, raw[begin+1:]))
	})
}

// FuzzRecord: what is written is read as the same, or refused before it is written.
func FuzzRecord(f *testing.F) {
	f.Add("app", "mail", "f1", "mail files", "api", "phone", int64(1_893_553_445), int64(500_000_000))
	f.Add("<&\"'>", "\u2028", "]]>", "\u00a0", "\t\r\n", " ", int64(-62_135_596_800), int64(0))
	f.Add("\x00", "\xff", "\ufffe", "a  b", "", "", int64(253_402_300_800), int64(-1))
	f.Fuzz(func(t *testing.T, client, consent, id, scope, resource, device string, seconds, nanos int64) {
		w := newWorld()
		g := w.node(t)
		at := time.Unix(seconds, nanos).UTC()
		wanted := map[string]*grants.Client{client: {
			Consents: map[string]time.Time{consent: at},
			Families: []grants.Family{{
				ID: id, Issued: at, LastUsed: at, Scope: strings.Split(scope, " "), ResourceServer: resource, Device: device,
			}},
			NotBefore: at, KeepNotBefore: t0.Add(time.Hour),
		}}
		err := g.Update(t.Context(), "alice", func(r *grants.Record) error {
			r.Clients = wanted
			return nil
		})
		if err != nil {
			require.Empty(t, w.people.value("alice"))
			return
		}
		require.Equal(t, wanted, load(t, g, "alice").Clients)
		require.Empty(t, w.events)
	})
}
