package grants_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/grants"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/users"
)

func TestNewDirectoryChecksItsConfig(t *testing.T) {
	w := newWorld()
	for name, breaks := range map[string]func(*grants.DirectoryConfig){
		"attribute": func(c *grants.DirectoryConfig) { c.Attribute = nil },
		"issuer":    func(c *grants.DirectoryConfig) { c.Issuer = "" },
		"sealer":    func(c *grants.DirectoryConfig) { c.Sealer = nil },
		"store":     func(c *grants.DirectoryConfig) { c.Store = nil },
		"lag":       func(c *grants.DirectoryConfig) { c.ReplicaLag = -1 },
		"no XML":    func(c *grants.DirectoryConfig) { c.Issuer = "https://id.example/\x00" },
	} {
		cfg := w.config()
		breaks(&cfg)
		g, err := grants.NewDirectory(cfg)
		require.Error(t, err, name)
		require.Nil(t, g, name)
	}
	minimal := grants.DirectoryConfig{Attribute: w.people, Issuer: issuer, Sealer: seal("k"), Store: w.store}
	g, err := grants.NewDirectory(minimal)
	require.NoError(t, err)
	update(t, g, "alice", agree("app"))
	require.Nil(t, load(t, g, "alice").Consented("app", []string{"mail"}, time.Time{}))
}

// TestU3_OneDocumentInTheEntry is the format, to the letter.
func TestU3_OneDocumentInTheEntry(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	require.True(t, load(t, g, "alice").Empty())
	update(t, g, "alice", setFull)

	seals := regexp.MustCompile(` seal="[A-Za-z0-9_-]{43}"`)
	require.Len(t, seals.FindAll(w.people.value("alice"), -1), 3)
	require.Equal(t, `<grants xmlns="https://github.com/gatewright/gatewright/grants" version="1"><issuer id="https://id.example">`+
		`<client id="&lt;&amp;&#34;&#39;&gt;&#x9;&#xA;"><family id="&#xD; ]]&gt;é😀" issued="2030-01-02T03:04:05.5Z" device=" a  b "/></client>`+
		`<client id="app" not-before="2030-01-02T02:04:05.5Z" keep-not-before="2030-01-02T05:04:05.5Z">`+
		`<consent scope="files" at="2030-01-02T03:04:05.500000001Z"/><consent scope="mail" at="2030-01-02T03:04:05.5Z"/>`+
		`<family id="f1" issued="2030-01-02T03:04:05.5Z" expires="2030-01-02T04:04:05.5Z" last-used="2030-01-02T03:05:05.5Z" scope="mail files" resource-server="api" device="phone"/>`+
		`<family id="f2" issued="2030-01-02T03:04:06.5Z"/></client>`+
		`<client id="gone" not-before="2030-01-02T03:04:05.5Z" keep-not-before="2030-01-02T04:04:05.5Z"></client>`+
		`</issuer></grants>`, seals.ReplaceAllString(string(w.people.value("alice")), ""))

	require.Equal(t, full().Clients, load(t, g, "alice").Clients)
	require.Equal(t, full().Clients, load(t, w.node(t), "alice").Clients)
	require.Empty(t, w.events)
	require.True(t, load(t, g, "bob").Empty())
	require.NotContains(t, string(w.people.value("alice")), "alice", "a renamed person keeps them")

	size, err := load(t, g, "alice").Size()
	require.NoError(t, err)
	require.Len(t, w.people.value("alice"), size)

	update(t, g, "alice", func(r *grants.Record) { clear(r.Clients) })
	require.Empty(t, w.people.value("alice"), "nothing left, no value")
}

// TestU3_OthersBytesAreKept: whatever is beside our issuer's element stays as it was, and where that goes
// nothing tells that it was there.
func TestU3_OthersBytesAreKept(t *testing.T) {
	const ns = ` xmlns="` + grants.Namespace + `" version="1"`
	for name, raw := range map[string]string{
		"another issuer":        `<grants` + ns + `><issuer id="https://other.example"><client seal="x" id='app'><future/></client></issuer></grants>`,
		"a like issuer":         `<grants` + ns + `><issuer id="https://id.example/"/><issuer id="https://id.exampl"/></grants>`,
		"declaration, comments": "<?xml version='1.0' encoding=\"UTF-8\"?>\r\n<!-- a -->\n<grants" + ns + ">\n  <issuer id=\"o\" ></issuer >\n<!--b--><?pi x?></grants >\n<!--c-->\n",
		"prefixes":              `<g:grants xmlns:g="` + grants.Namespace + `" version='1'><g:issuer id="o"/><x:y xmlns:x="urn:x">&#65;&amp;<![CDATA[<z>]]></x:y></g:grants>`,
		"another default":       `<g:grants xmlns:g="` + grants.Namespace + `" xmlns="urn:x" version="1"><issuer id="https://id.example">not ours</issuer></g:grants>`,
		"text":                  `<grants` + ns + `>text</grants>`,
		"attributes":            `<grants a="b"` + ns + ` xmlns:xsi="urn:xsi" xsi:schemaLocation="a b"><!-- > --></grants>`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			g := w.node(t)
			w.people.put("alice", []byte(raw))
			require.True(t, load(t, g, "alice").Empty())
			update(t, g, "alice", agree("app"))
			require.Nil(t, load(t, g, "alice").Consented("app", []string{"mail"}, time.Time{}))
			update(t, g, "alice", agree("second"))
			require.Nil(t, load(t, g, "alice").Consented("second", []string{"mail"}, time.Time{}))

			written := string(w.people.value("alice"))
			end := strings.LastIndex(raw, "</") // of the root
			require.Equal(t, raw[:end], written[:end])
			require.True(t, strings.HasSuffix(written, raw[end:]))
			require.True(t, strings.HasPrefix(written[end:], "<issuer "), written)

			update(t, g, "alice", func(r *grants.Record) { clear(r.Clients) })
			require.Equal(t, raw, string(w.people.value("alice")))
			require.Empty(t, w.events)
		})
	}
}

// An element that has no room inside gets it, and ours stays where it was.
func TestU3_PlaceOfOurElement(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	for _, empty := range []string{
		`<grants xmlns="` + grants.Namespace + `" version="1"/>`,
		`<g:grants` + "\n" + `xmlns:g="` + grants.Namespace + `" version="1" />` + "\n",
	} {
		w.people.put("alice", []byte(empty))
		update(t, g, "alice", agree("app"))
		require.Nil(t, load(t, g, "alice").Consented("app", []string{"mail"}, time.Time{}))
		update(t, g, "alice", func(r *grants.Record) { clear(r.Clients) })
		require.Empty(t, w.people.value("alice"))
	}

	update(t, g, "alice", agree("app"))
	other := `<issuer id="o"/>`
	w.people.put("alice", []byte(strings.Replace(string(w.people.value("alice")), "</grants>", other+"</grants>", 1)))
	update(t, g, "alice", agree("second"))
	require.Contains(t, string(w.people.value("alice")), "</issuer>"+other+"</grants>")
	require.Len(t, load(t, g, "alice").Clients, 2)
}

func TestU3_TwoIssuersShareTheAttribute(t *testing.T) {
	w := newWorld()
	elsewhere := func(c *grants.DirectoryConfig) {
		c.Issuer = issuer + "/other"
		c.Store = store.Namespace(w.store, "other")
	}
	a, b := w.node(t), w.node(t, elsewhere)
	update(t, a, "alice", agree("app"))
	mine := string(w.people.value("alice"))
	update(t, b, "alice", func(r *grants.Record) {
		require.Empty(t, r.Clients)
		r.AddFamily("app", family("f1", t0))
	})
	require.Len(t, load(t, a, "alice").Clients["app"].Consents, 1)
	require.Empty(t, load(t, a, "alice").Clients["app"].Families)
	require.Empty(t, load(t, b, "alice").Clients["app"].Consents)
	require.Len(t, load(t, b, "alice").Clients["app"].Families, 1)
	update(t, b, "alice", func(r *grants.Record) { r.RemoveFamily("f1") })
	require.Equal(t, mine, string(w.people.value("alice")))
	require.Empty(t, w.events)
}

// TestU3_TheDocumentIsBounded: consents fill it to MaxSize and no further, other issuers' elements count.
func TestU3_TheDocumentIsBounded(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	raw := `<grants xmlns="` + grants.Namespace + `" version="1"><issuer id="` + strings.Repeat("o", 30<<10) + `"/></grants>`
	w.people.put("alice", []byte(raw))
	consent := func(length int) error {
		return g.Update(t.Context(), "alice", func(r *grants.Record) error {
			r.Consent("app", []string{strings.Repeat("s", length)}, t0)
			return nil
		})
	}
	require.NoError(t, consent(30<<10))
	was := w.people.value("alice")
	require.LessOrEqual(t, len(was), grants.MaxSize)
	require.ErrorIs(t, consent(5<<10), grants.ErrTooLarge)
	require.Equal(t, was, w.people.value("alice"))
}

// TestU3_FamiliesMakeRoomInTheDocument: what another issuer takes leaves less for families, and still some
// for consents. The escaped form counts.
func TestU3_FamiliesMakeRoomInTheDocument(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	w.people.put("alice", []byte(`<grants xmlns="`+grants.Namespace+`" version="1"><issuer id="`+strings.Repeat("o", 40<<10)+`"/></grants>`))
	dropped := 0
	for client := range 6 {
		for i := range grants.MaxFamilies {
			update(t, g, "alice", func(r *grants.Record) {
				f := family(fmt.Sprintf("c%d-f%d", client, i), t0.Add(time.Duration(10*client+i)*time.Second))
				f.Device = strings.Repeat(`"`, 100)
				dropped += len(r.AddFamily(fmt.Sprintf("c%d", client), f))
			})
		}
	}
	r := load(t, g, "alice")
	left := 0
	for _, c := range r.Clients {
		require.NotEmpty(t, c.Families)
		left += len(c.Families)
	}
	require.NotZero(t, dropped)
	require.Equal(t, 6*grants.MaxFamilies, left+dropped)
	update(t, g, "alice", func(r *grants.Record) { r.Consent("new", []string{strings.Repeat("s", 5<<10)}, t0) })
}

// TestU4_WritesOnlyWhatChanged: reading again, expiry and a recent use are no reason to write.
func TestU4_WritesOnlyWhatChanged(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	writes := func(expected int) {
		t.Helper()
		require.Equal(t, expected, w.people.writes)
	}
	used := func(at time.Time) func(*grants.Record) {
		return func(r *grants.Record) { r.Family("app", "f1").LastUsed = at }
	}
	nothing := func(*grants.Record) {}
	update(t, g, "alice", nothing)
	writes(0)
	update(t, g, "alice", agree("app"))
	writes(1)
	update(t, g, "alice", agree("app"))
	update(t, g, "alice", nothing)
	writes(1)
	update(t, g, "alice", func(r *grants.Record) { r.AddFamily("app", family("f1", t0)) })
	writes(2)

	update(t, g, "alice", used(t0.Add(time.Hour-1)))
	writes(2)
	require.Zero(t, load(t, g, "alice").Family("app", "f1").LastUsed)
	update(t, g, "alice", used(t0.Add(time.Hour)))
	writes(3)
	update(t, g, "alice", used(t0.Add(2*time.Hour-1)))
	writes(3)
	require.True(t, load(t, g, "alice").Family("app", "f1").LastUsed.Equal(t0.Add(time.Hour)))
	update(t, g, "alice", used(t0.Add(2*time.Hour)))
	writes(4)

	w.forward(24 * time.Hour)
	require.Nil(t, load(t, g, "alice").Family("app", "f1"), "expired")
	update(t, g, "alice", nothing)
	writes(4)
	update(t, g, "alice", agree("other"))
	writes(5)
	require.NotContains(t, string(w.people.value("alice")), "f1")
}

func TestU4_FailureChangesNothing(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	ctx := t.Context()
	refused := errors.New("refused")
	require.ErrorIs(t, g.Update(ctx, "alice", func(r *grants.Record) error {
		agree("app")(r)
		return refused
	}), refused)
	for _, r := range []grants.Client{
		{Consents: map[string]time.Time{"two words": t0}},
		{Consents: map[string]time.Time{"": t0}},
		{Consents: map[string]time.Time{"mail": time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{Families: []grants.Family{{ID: "\xff", Issued: t0}}},
		{Families: []grants.Family{{ID: "f1", Issued: t0, Device: "\x00"}}},
	} {
		require.Error(t, g.Update(ctx, "alice", func(rec *grants.Record) error {
			rec.Clients["app"] = &r
			return nil
		}))
	}
	require.Zero(t, w.people.writes)
	require.True(t, load(t, g, "alice").Empty())

	down := errors.New("down")
	update(t, g, "alice", agree("app"))
	w.people.fault = down
	require.ErrorIs(t, g.Update(ctx, "alice", func(r *grants.Record) error { return nil }), down)
	_, err := g.Load(ctx, "alice")
	require.ErrorIs(t, err, down)
	w.people.fault = nil
	require.Nil(t, load(t, g, "alice").Consented("app", []string{"mail"}, time.Time{}))

	w.people.nobody["carol"] = true
	require.True(t, load(t, g, "carol").Empty())
	require.ErrorIs(t, g.Update(ctx, "carol", func(*grants.Record) error { return nil }), users.ErrNotFound)

	require.NoError(t, w.store.Close())
	_, err = g.Load(ctx, "alice")
	require.ErrorIs(t, err, store.ErrClosed, "what has ended is unknown")
	require.ErrorIs(t, g.Update(ctx, "alice", func(*grants.Record) error { return nil }), store.ErrClosed)
}
