package deps

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDependencyRule asks the go command for every package of the module, so a new one is checked without being named.
func TestDependencyRule(t *testing.T) {
	packages := listModule(t)
	require.NotEmpty(t, packages, "go list names no package: the rule would hold for nothing")
	for _, pkg := range packages {
		require.True(t, ours(pkg.ImportPath), "%s is not below %s: the rules speak of other paths", pkg.ImportPath, module)
		for _, violation := range violations(pkg) {
			t.Error(violation)
		}
	}
}

func listModule(t *testing.T) []goPackage {
	t.Helper()
	const root = "../.."
	openFolders(t, root)
	var stderr bytes.Buffer
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", "./...")
	list.Dir = root
	list.Stderr = &stderr
	out, err := list.Output()
	require.NoError(t, err, "%s", &stderr)

	var packages []goPackage
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var pkg goPackage
		err := decoder.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			return packages
		}
		require.NoError(t, err)
		packages = append(packages, pkg)
	}
}

// openFolders opens every folder with sources. Go test takes a cached result as long as no file has changed that the
// test itself had opened, and would not see those that `go list` reads: a forbidden import could pass once more.
func openFolders(t *testing.T, root string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(entry.Name(), ".") && path != root
		if entry.IsDir() && (hidden || entry.Name() == "node_modules") {
			return fs.SkipDir
		}
		return err
	}))
}

// TestRulesBite shows each rule a package that keeps it and one that breaks it: a rule that finds nothing proves nothing.
func TestRulesBite(t *testing.T) {
	const (
		caddy = "github.com/caddyserver/caddy/v2"
		ldap  = "github.com/go-ldap/ldap/v3"
		bbolt = "go.etcd.io/bbolt"
		pgx   = "github.com/jackc/pgx/v5/pgxpool"
		jose  = "github.com/go-jose/go-jose/v4"
	)
	for _, test := range []struct {
		name       string
		folder     string
		imports    []string
		tests      []string
		brought    []string
		violations int
	}{
		{name: "oauth takes the standard library", folder: "authz/oauth", imports: []string{"errors", "net/url"}},
		{name: "oauth takes nothing else", folder: "authz/oauth", imports: []string{jose}, violations: 1},
		{name: "tests of oauth may", folder: "authz/oauth", tests: []string{"github.com/stretchr/testify/require"}},
		{name: "token takes a library", folder: "authz/token", imports: []string{jose}},
		{name: "token takes nothing of ours", folder: "authz/token", imports: []string{our("authz/oauth")}, violations: 1},
		{name: "store knows no store", folder: "authz/store", imports: []string{our("authz/store/bolt")}, violations: 1},
		{name: "store is tested by the suite", folder: "authz/store", tests: []string{our("authz/store"), our("authz/store/storetest")}},
		{name: "bolt knows what a store is", folder: "authz/store/bolt", imports: []string{our("authz/store"), bbolt}},
		{name: "bolt knows no other store", folder: "authz/store/bolt", imports: []string{our("authz/store/postgres")}, violations: 1},
		{name: "revocation stands on a store", folder: "authz/revocation", imports: []string{our("authz/store")}},
		{name: "revocation knows no mint", folder: "authz/revocation", imports: []string{our("authz/token")}, violations: 1},
		{name: "users know no server", folder: "authz/users/static", imports: []string{our("authz")}, violations: 1},
		{name: "grants use the directory", folder: "authz/grants", imports: []string{our("authz/store"), our("authz/users/ldap")}},
		{name: "grants know no server", folder: "authz/grants", imports: []string{our("authz")}, violations: 1},
		{name: "the mint uses its own", folder: "authz", imports: []string{our("authz/oauth"), our("authz/grants")}},
		{name: "the mint knows no gate", folder: "authz", imports: []string{our("tokeninject")}, violations: 1},
		{name: "nor do its tests", folder: "authz/authztest", tests: []string{our("tokeninject")}, violations: 1},
		{name: "the gate uses leaves", folder: "tokeninject", imports: []string{our("authz/token"), our("authz/revocation")}},
		{name: "the gate knows no mint", folder: "tokeninject", imports: []string{our("authz")}, violations: 1},
		{name: "the gate knows no store's driver", folder: "tokeninject", imports: []string{our("authz/store/bolt")}, violations: 1},
		{name: "caddymodule joins all", folder: "caddymodule", imports: []string{our("authz"), our("tokeninject"), caddy}},
		{name: "nobody stands on caddymodule", folder: "e2e", tests: []string{our("caddymodule")}, violations: 1},
		{name: "authz knows no Caddy", folder: "authz", imports: []string{caddy}, violations: 1},
		{name: "not even through a library", folder: "authz", imports: []string{"example.org/lib"}, brought: []string{"fmt", caddy}, violations: 1},
		{name: "not even in a test", folder: "e2e", tests: []string{caddy + "/caddytest"}, violations: 1},
		{name: "tokeninject knows no Prometheus", folder: "tokeninject", imports: []string{"github.com/prometheus/client_golang/prometheus"}, violations: 1},
		{name: "ldap speaks LDAP", folder: "authz/users/ldap", imports: []string{ldap}},
		{name: "others do not", folder: "authz/grants", imports: []string{ldap}, violations: 1},
		{name: "bbolt stays in its folder", folder: "authz/store", imports: []string{bbolt}, violations: 1},
		{name: "and may be brought along", folder: "authz/authztest", imports: []string{our("authz/store/bolt")}, brought: []string{bbolt}},
		{name: "pgx stays in its folder", folder: "authz", imports: []string{pgx}, violations: 1},
		{name: "a like name is no folder", folder: "authz/storefront", imports: []string{our("authz/oauth")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := violations(goPackage{
				ImportPath:   our(test.folder),
				Imports:      test.imports,
				XTestImports: test.tests,
				Deps:         test.brought,
			})
			require.Len(t, found, test.violations)
		})
	}
}

func our(folder string) string { return module + "/" + folder }
