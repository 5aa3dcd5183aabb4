package ldap

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

const schemas = "../../../examples/ldap/schema"

// apply loads a file that this repository ships, with its placeholders filled in, as cn=config.
func (s *slapd) apply(t *testing.T, file string, replacements ...string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(schemas, file))
	require.NoError(t, err)
	arguments := []string{"-x", "-H", s.URL, "-D", "cn=config", "-w", "config"}
	if !strings.Contains(string(content), "changetype:") {
		arguments = append(arguments, "-a")
	}
	modify := exec.CommandContext(t.Context(), "ldapmodify", arguments...)
	modify.Stdin = strings.NewReader(strings.NewReplacer(replacements...).Replace(string(content)))
	out, err := modify.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// A running OpenLDAP learns the schema and the rights from the files alone, as its README says.
func TestU7_OpenLDAPByConfig(t *testing.T) {
	ldaptest.Needs(t, "ldapmodify")
	s := startSlapd(t, ldaptest.Options{Plain: true})
	d := open(t, s.config(t))
	require.Contains(t, failed(d.Check(bounded(t))), "schema")
	s.apply(t, "openldap/gatewright.ldif")
	require.Contains(t, failed(d.Check(bounded(t))), "write access")
	s.apply(t, "openldap/access.ldif", "{1}mdb", "{2}mdb")
	require.Empty(t, failed(d.Check(bounded(t))))

	id, a := s.EntryUUID(t, alice), d.Attribute(grantAttribute)
	require.NoError(t, a.Swap(bounded(t), id, nil, []byte("x")))
	own, err := ldap.DialURL(s.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = own.Close() })
	require.NoError(t, own.Bind(alice, "alice-pw"))
	require.Empty(t, ldaptest.Read(t, own, alice, grantAttribute).Attributes, "even the person doesn't read it")

	// Of the object classes, the service account may add this one and no other.
	service, err := ldap.DialURL(s.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = service.Close() })
	require.NoError(t, service.Bind(testAccount, testPassword))
	request := ldap.NewModifyRequest(alice, nil)
	request.Add("objectClass", []string{"extensibleObject"})
	require.True(t, isCode(service.Modify(request), ldap.LDAPResultInsufficientAccessRights))
}

// Every file of the schemas names the same attribute and class under the same object identifiers.
func TestU7_OneSchemaForAll(t *testing.T) {
	oid := regexp.MustCompile(`1\.3\.6\.1\.4\.1\.32473[.0-9]+`)
	definitions := []string{
		"openldap/gatewright.schema", "openldap/gatewright.ldif", "active-directory/gatewright.ldf", "ad-lds/gatewright.ldf",
		"389ds/99gatewright.ldif", "edirectory/gatewright.ldif",
	}
	for _, file := range definitions {
		content, err := os.ReadFile(filepath.Join(schemas, file))
		require.NoError(t, err)
		found := oid.FindAllString(string(content), -1)
		slices.Sort(found)
		require.Equal(t, []string{"1.3.6.1.4.1.32473.1.1.1", "1.3.6.1.4.1.32473.1.2.1"}, slices.Compact(found), file)
		for _, name := range []string{grantAttribute, DefaultGrantClass} {
			require.Contains(t, string(content), name, file)
		}
	}
	for _, file := range []string{"active-directory/gatewright.ldf", "ad-lds/gatewright.ldf"} {
		content, err := os.ReadFile(filepath.Join(schemas, file))
		require.NoError(t, err)
		require.Contains(t, string(content), "searchFlags: 128\n", "confidential, or everybody reads it")
	}
	for kind, fix := range fixes {
		for _, file := range regexp.MustCompile(`examples[/\\]ldap[/\\]schema[/\\]\S+`).FindAllString(fix.schema+" "+fix.access, -1) {
			require.FileExists(t, filepath.Join("../../..", strings.ReplaceAll(file, `\`, "/")), kind)
		}
	}
}
