package grants_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/grants"
)

// TestU5_ForeignContentIsNotOverwritten: the request fails, clearly and audited, and the content stays.
func TestU5_ForeignContentIsNotOverwritten(t *testing.T) {
	const root = `<grants xmlns="` + grants.Namespace + `" version="1">`
	for name, raw := range map[string]string{
		"another root":        `<OAuthGrants><Grant/></OAuthGrants>`,
		"no namespace":        `<grants version="1"/>`,
		"another namespace":   `<grants xmlns="urn:x" version="1"/>`,
		"unbound prefix":      `<g:grants version="1"/>`,
		"another element":     `<grant xmlns="` + grants.Namespace + `" version="1"/>`,
		"a later version":     `<grants xmlns="` + grants.Namespace + `" version="2"/>`,
		"no version":          `<grants xmlns="` + grants.Namespace + `"/>`,
		"JSON":                `{"clients":{}}`,
		"binary":              "\x00\x01\xff",
		"white space":         "  ",
		"truncated":           root + `<issuer id="o">`,
		"not well-formed":     root + `<issuer></grants>`,
		"two roots":           root + `</grants>` + root + `</grants>`,
		"text behind":         root + `</grants>x`,
		"text before":         "\ufeff" + root + `</grants>`,
		"broken behind":       root + `</grants><`,
		"document type":       `<!DOCTYPE grants>` + root + `</grants>`,
		"entities":            `<!DOCTYPE grants [<!ENTITY a "aaaa">]>` + root + `<x>&a;</x></grants>`,
		"unknown entity":      root + `<x>&a;</x></grants>`,
		"directive inside":    root + `<!ELEMENT x></grants>`,
		"another encoding":    `<?xml version="1.0" encoding="UTF-16"?>` + root + `</grants>`,
		"no UTF-8":            root + "\xff</grants>",
		"nested too deeply":   root + strings.Repeat("<x>", 20) + strings.Repeat("</x>", 20) + `</grants>`,
		"too large":           root + strings.Repeat(" ", grants.MaxSize) + `</grants>`,
		"broken in an own":    root + `<issuer id="` + issuer + `"><client id="a"><consent</issuer></grants>`,
		"deep in an own":      root + `<issuer id="` + issuer + `">` + strings.Repeat("<x>", 20) + strings.Repeat("</x>", 20) + `</issuer></grants>`,
		"deep in a client":    root + `<issuer id="` + issuer + `"><client>` + strings.Repeat("<x>", 20) + strings.Repeat("</x>", 20) + `</client></issuer></grants>`,
		"deep in another's":   root + `<issuer id="o">` + strings.Repeat("<x>", 20) + strings.Repeat("</x>", 20) + `</issuer></grants>`,
		"directive in an own": root + `<issuer id="` + issuer + `"><!ELEMENT x></issuer></grants>`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			g := w.node(t)
			w.people.put("alice", []byte(raw))
			r, err := g.Load(t.Context(), "alice")
			require.ErrorIs(t, err, grants.ErrForeign)
			require.Nil(t, r)
			require.ErrorIs(t, g.Update(t.Context(), "alice", func(*grants.Record) error {
				t.Error("there is nothing to change")
				return nil
			}), grants.ErrForeign)
			require.Equal(t, raw, string(w.people.value("alice")))
			event := grants.AuditEvent{Name: grants.AuditForeign, Subject: "alice"}
			require.Equal(t, []grants.AuditEvent{event, event}, w.events)
		})
	}
}

// clientElements finds the client elements in a value.
var clientElements = regexp.MustCompile(`<client .*?</client>`)

// TestA77_AlteredOrCopiedGrantsNothing: each row breaks the element of app, or brings it from elsewhere.
func TestA77_AlteredOrCopiedGrantsNothing(t *testing.T) {
	swap := func(old, next string) func(string) string {
		return func(e string) string { return strings.Replace(e, old, next, 1) }
	}
	seals := regexp.MustCompile(` seal="[^"]*"`)
	for name, tamper := range map[string]func(element string) string{
		"a wider consent":      swap(`scope="mail"`, `scope="admin"`),
		"a wider family":       swap(`scope="mail" device`, `scope="mail admin" device`),
		"one more consent":     swap(`<family`, `<consent scope="admin" at="2030-01-02T03:04:05.5Z"/><family`),
		"one consent less":     swap(`<consent scope="mail" at="2030-01-02T03:04:05.5Z"/>`, ``),
		"a longer life":        swap(`expires="2030-01-03`, `expires="2040-01-03`),
		"an endless life":      swap(` expires="2030-01-03T03:04:05.5Z"`, ``),
		"another id":           swap(`id="f1"`, `id="f2"`),
		"another device":       swap(`device="phone"`, `device="phone2"`),
		"no device":            swap(` device="phone"`, ``),
		"a withdrawal":         swap(` id="app"`, ` id="app" not-before="2030-01-01T00:00:00Z"`),
		"no seal":              func(e string) string { return seals.ReplaceAllString(e, "") },
		"an empty seal":        func(e string) string { return seals.ReplaceAllString(e, ` seal=""`) },
		"two seals":            func(e string) string { return strings.Replace(e, " id=", seals.FindString(e)+" id=", 1) },
		"a broken time":        swap(`at="2030`, `at="x`),
		"an unknown attribute": swap(`<family`, `<family x="y"`),
		"an unknown element":   swap(`<family`, `<future/><family`),
		"another's element":    swap(`<family`, `<family xmlns="urn:x"/><family`),
		"a child":              swap(`<consent scope="mail" at="2030-01-02T03:04:05.5Z"/>`, `<consent scope="mail" at="2030-01-02T03:04:05.5Z"><family id="x" issued="2030-01-02T03:04:05.5Z"/></consent>`),
		"text":                 swap(`<family`, `x<family`),
		"an attribute's space": swap(` id="app"`, ` id="app" xmlns:x="urn:x" x:id="app"`),
		"twice":                func(e string) string { return e + e },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			g := w.node(t)
			update(t, g, "alice", grantApp)
			update(t, g, "alice", agree("other"))
			require.NotNil(t, load(t, g, "alice").Family("app", "f1"))
			good := string(w.people.value("alice"))
			element := clientElements.FindString(good)
			require.NotEqual(t, element, tamper(element))
			w.people.put("alice", []byte(strings.Replace(good, element, tamper(element), 1)))

			r := load(t, g, "alice")
			require.Nil(t, r.Clients["app"])
			require.Nil(t, r.Consented("other", []string{"mail"}, time.Time{}), "one bad seal spoils no other")
			require.Contains(t, w.events, grants.AuditEvent{Name: grants.AuditTampered, Subject: "alice", Client: "app"})
		})
	}
}

func grantApp(r *grants.Record) {
	agree("app")(r)
	f := family("f1", t0)
	f.Device = "phone"
	r.AddFamily("app", f)
}

// TestA77_ACopyIsWorthNothing: to another user, client, issuer, or key.
func TestA77_ACopyIsWorthNothing(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	update(t, g, "alice", grantApp)
	value := string(w.people.value("alice"))

	w.people.put("mallory", []byte(value))
	require.Empty(t, load(t, g, "mallory").Clients)
	require.Equal(t, []grants.AuditEvent{{Name: grants.AuditTampered, Subject: "mallory", Client: "app"}}, w.events)

	w.people.put("alice", []byte(strings.Replace(value, `id="app"`, `id="evil"`, 1)))
	require.Empty(t, load(t, g, "alice").Clients)

	w.people.put("alice", []byte(strings.Replace(value, issuer, issuer+"/other", 1)))
	require.Empty(t, load(t, w.node(t, func(c *grants.DirectoryConfig) { c.Issuer = issuer + "/other" }), "alice").Clients)

	w.people.put("alice", []byte(value))
	require.Empty(t, load(t, w.node(t, func(c *grants.DirectoryConfig) { c.Sealer = seal("another key") }), "alice").Clients)
	require.Len(t, w.events, 4)
	require.NotNil(t, load(t, g, "alice").Family("app", "f1"), "as it was, it is good")
}

// The seal is over what an element says, not how it is written.
func TestA77_AnotherFormIsAsGood(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	update(t, g, "alice", setFull)
	value := string(w.people.value("alice"))
	prefixed := regexp.MustCompile(`<(/?)([a-z])`).ReplaceAllString(value, "<${1}g:$2")
	for name, form := range map[string]string{
		"indented": strings.ReplaceAll(value, "><", ">\r\n\t<!-- c --><"),
		"quotes":   strings.ReplaceAll(value, `"`, `'`),
		"zone":     strings.ReplaceAll(value, `at="2030-01-02T03:04:05.5Z"`, `at="2030-01-02T05:04:05.50+02:00"`),
		"prefixed": strings.Replace(prefixed, "xmlns=", "xmlns:g=", 1),
	} {
		require.NotEqual(t, value, form, name)
		w.people.put("alice", []byte(form))
		require.Equal(t, full().Clients, load(t, g, "alice").Clients, name)
		update(t, g, "alice", agree("new"))
		require.Len(t, load(t, g, "alice").Clients, 4, name)
	}
	require.Empty(t, w.events)
}

// TestU5_TamperedIsReplacedAfterConsent, and until then it stays, for who looks into it or for the right key.
func TestU5_TamperedIsReplacedAfterConsent(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	update(t, g, "alice", grantApp)
	good := string(w.people.value("alice"))
	element := clientElements.FindString(good)
	bad := strings.Replace(element, "f1", "f2", 1)
	w.people.put("alice", []byte(strings.Replace(good, element, bad, 1)))

	update(t, g, "alice", func(*grants.Record) {})
	update(t, g, "alice", agree("other"))
	require.Contains(t, string(w.people.value("alice")), bad)
	update(t, g, "alice", func(r *grants.Record) { r.Withdraw("other", t0, t0) })
	require.Contains(t, string(w.people.value("alice")), bad, "alone")
	update(t, g, "alice", agree("app"))
	require.NotContains(t, string(w.people.value("alice")), bad)
	r := load(t, g, "alice")
	require.Nil(t, r.Consented("app", []string{"mail"}, time.Time{}))
	require.Empty(t, r.Clients["app"].Families)
}

// What grants nothing gives way to what does, and to a form in which it can't be kept.
func TestU5_TamperedTakesNoRoom(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	update(t, g, "alice", func(r *grants.Record) { r.Consent("app", []string{strings.Repeat("s", 40<<10)}, t0) })
	bad := strings.Replace(string(w.people.value("alice")), "sss", "ttt", 1)
	w.people.put("alice", []byte(bad))
	update(t, g, "alice", func(r *grants.Record) { r.Consent("other", []string{strings.Repeat("s", 40<<10)}, t0) })
	require.NotContains(t, string(w.people.value("alice")), "ttt")

	w.people.put("alice", []byte(strings.Replace(bad, "<issuer ", "<issuer  ", 1)))
	update(t, g, "alice", agree("third"))
	require.NotContains(t, string(w.people.value("alice")), "ttt")
	require.Nil(t, load(t, g, "alice").Consented("third", []string{"mail"}, time.Time{}))
}

// Two elements of our issuer are read as one and written as one; one that stands in both is an old value put
// there beside the new one.
func TestA77_TwoElementsOfAnIssuer(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	update(t, g, "alice", agree("app"))
	old := regexp.MustCompile(`<issuer.*</issuer>`).FindString(string(w.people.value("alice")))
	w.forward(time.Second)
	update(t, g, "alice", grantApp)
	update(t, g, "alice", agree("other"))
	value := strings.Replace(string(w.people.value("alice")), "</grants>", "<x:x xmlns:x='y'/>"+old+"<!-- z --></grants>", 1)
	w.people.put("alice", []byte(value))
	r := load(t, g, "alice")
	require.Nil(t, r.Clients["app"])
	require.NotNil(t, r.Clients["other"])
	require.Len(t, w.events, 2)

	update(t, g, "alice", agree("app"))
	require.Equal(t, 1, strings.Count(string(w.people.value("alice")), "<issuer"))
	require.Contains(t, string(w.people.value("alice")), "</issuer><x:x xmlns:x='y'/><!-- z --></grants>")
	require.Nil(t, load(t, g, "alice").Consented("app", []string{"mail"}, time.Time{}))
}
