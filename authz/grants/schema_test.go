package grants_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/grants"
)

const schemaFile = "../../examples/ldap/schema/grants.xsd"

// TestU3_TheSchemaDescribesTheDocument: xmllint says so where there is one; else every name that a document
// has must at least be in the schema.
func TestU3_TheSchemaDescribesTheDocument(t *testing.T) {
	w := newWorld()
	g := w.node(t)
	w.people.put("alice", []byte(`<grants xmlns="`+grants.Namespace+`" version="1"><x:y xmlns:x="urn:x"/></grants>`))
	update(t, g, "alice", setFull)
	update(t, w.node(t, func(c *grants.DirectoryConfig) { c.Issuer = "https://other.example" }), "alice", setFull)
	document := w.people.value("alice")

	lint, err := exec.LookPath("xmllint")
	if err != nil {
		require.Subset(t, declaredNames(t), usedNames(t, document))
		return
	}
	validate := func(document string) error {
		file := filepath.Join(t.TempDir(), "grants.xml")
		require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
		out, err := exec.CommandContext(t.Context(), lint, "--nonet", "--noout", "--schema", schemaFile, file).CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	require.NoError(t, validate(string(document)))
	for old, next := range map[string]string{
		` version="1"`:              ` version="2"`,
		` id="f2"`:                  ``,
		`scope="mail files"`:        `scope=" mail"`,
		`at="2030`:                  `at="x`,
		`<family id="f1"`:           `<unknown/><family id="f1"`,
		`"https://other.example"`:   `"` + issuer + `"`,
		`<client seal="`:            `<client seal="short`,
		`<consent scope="files"`:    `<consent scope="mail"`,
		`expires="2030-01-02T04:04`: `expires="2030-01-02T25:04`,
	} {
		changed := strings.Replace(string(document), old, next, 1)
		require.NotEqual(t, string(document), changed)
		require.Error(t, validate(changed), "%s", next)
	}
}

// declaredNames are those of the schema's elements and attributes.
func declaredNames(t *testing.T) (names []string) {
	t.Helper()
	schema, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	walk(t, schema, func(e xml.StartElement) {
		for _, a := range e.Attr {
			if a.Name.Local == "name" {
				names = append(names, e.Name.Local+" "+a.Value)
			}
		}
	})
	return names
}

// usedNames are those of a document.
func usedNames(t *testing.T, document []byte) (names []string) {
	t.Helper()
	walk(t, document, func(e xml.StartElement) {
		if e.Name.Space != grants.Namespace {
			return
		}
		names = append(names, "element "+e.Name.Local)
		for _, a := range e.Attr {
			if a.Name.Local != "xmlns" {
				names = append(names, "attribute "+a.Name.Local)
			}
		}
	})
	return names
}

func walk(t *testing.T, document []byte, visit func(xml.StartElement)) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(string(document)))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok {
			visit(e)
		}
	}
}
