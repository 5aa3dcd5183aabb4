package deps

import (
	"fmt"
	"slices"
	"strings"
)

const module = "github.com/gatewright/gatewright"

// A layer says which packages of ours a part of the tree may import. Folders are patterns as the go command has them:
// "authz/store" is that package, "authz/store/..." also everything below it. Of several layers that fit a package, the
// one with the longest pattern rules, so an exception stands beside what it is taken from.
type layer struct {
	in           string
	may          []string
	mayInTests   []string // what its tests may import beyond that
	onlyStandard bool     // nothing of others' either
	why          string
}

var layers = []layer{
	{
		in:           "authz/oauth/...",
		onlyStandard: true,
		why:          "oauth is a leaf: the vocabulary that everybody shares depends on nobody",
	},
	{
		in:  "authz/token/...",
		why: "token is a leaf: mint and gate share it and nothing behind it",
	},
	{
		in:         "authz/store",
		mayInTests: []string{"authz/store/..."},
		why:        "store is a leaf: it says what a store is and does not know any but the one in memory",
	},
	{
		in:         "authz/store/...",
		may:        []string{"authz/store"},
		mayInTests: []string{"authz/store/storetest"},
		why:        "one store a folder, each knowing only what a store is",
	},
	{
		in:         "authz/revocation/...",
		may:        []string{"authz/store"},
		mayInTests: []string{"authz/store/..."},
		why:        "revocation is a leaf over a store: a gate holds the feed without the mint",
	},
	{
		in:  "authz/fetch/...",
		may: []string{"authz/oauth"},
		why: "fetch is a leaf: what may be connected to is decided in one place, which knows of nothing else",
	},
	{
		in:  "authz/users/...",
		may: []string{"authz/users/...", "authz/oauth", "authz/store"},
		why: "a user store knows nothing of the server that asks it",
	},
	{
		in:         "authz/grants/...",
		may:        []string{"authz/grants/...", "authz/store", "authz/users/..."},
		mayInTests: []string{"authz/store/..."},
		why:        "grants are kept in a store or in the users' directory, for whoever asks",
	},
	{
		in:  "authz/...",
		may: []string{"authz/..."},
		why: "the mint knows neither the gate nor the server it runs in",
	},
	{
		in:  "tokeninject/...",
		may: []string{"tokeninject/...", "authz/oauth", "authz/token", "authz/store", "authz/revocation"},
		why: "the gate works against any issuer: what it needs of ours it says as its own interface",
	},
	{
		in:  "caddymodule/...",
		may: []string{"..."},
		why: "caddymodule joins everything",
	},
	{
		in:  "...",
		may: []string{"authz/...", "tokeninject/...", "internal/...", "e2e/...", "bench/...", "examples/..."},
		why: "who wants Caddy starts its binary: nothing is built on caddymodule but that binary",
	},
}

// A driver is a library of others that one part of the tree keeps to itself.
type driver struct {
	path  string // of a module, or of all modules below it
	in    string
	below bool // also forbidden when a library brings it along
	why   string
}

var drivers = []driver{
	{"github.com/caddyserver", "caddymodule/...", true, "the domain packages run in any server"},
	{"github.com/prometheus", "caddymodule/...", true, "the domain packages report events, caddymodule counts them"},
	{"github.com/go-ldap", "authz/users/ldap/...", false, "one package speaks LDAP"},
	{"go.etcd.io/bbolt", "authz/store/bolt/...", false, "a store's driver stays in the store's folder"},
	{"github.com/jackc/pgx", "authz/store/postgres/...", false, "a store's driver stays in the store's folder"},
}

// goPackage is what `go list -json` tells of one package.
type goPackage struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string // all that Imports brings along, itself included
}

// violations checks one package of ours against every rule and says of each import that breaks one which and why.
func violations(pkg goPackage) []string {
	var found []string
	tests := slices.Concat(pkg.TestImports, pkg.XTestImports)
	governing := layerOf(pkg.ImportPath)
	for _, path := range pkg.Imports {
		if !governing.allows(pkg.ImportPath, path, governing.may) {
			found = append(found, fmt.Sprintf("%s imports %s: %s", pkg.ImportPath, path, governing.why))
		}
	}
	for _, path := range tests {
		allowed := slices.Concat(governing.may, governing.mayInTests)
		if ours(path) && !governing.allows(pkg.ImportPath, path, allowed) {
			found = append(found, fmt.Sprintf("a test of %s imports %s: %s", pkg.ImportPath, path, governing.why))
		}
	}
	for _, driver := range drivers {
		if path, breaks := driver.broken(pkg, tests); breaks {
			found = append(found, fmt.Sprintf("%s imports %s, which is kept to %s: %s", pkg.ImportPath, path, driver.in, driver.why))
		}
	}
	return found
}

// layerOf finds a layer for every package of ours, since the last one fits them all.
func layerOf(path string) layer {
	var longest layer
	for _, layer := range layers {
		if fits(layer.in, path) && len(layer.in) > len(longest.in) {
			longest = layer
		}
	}
	return longest
}

// allows tells whether a package of this layer may import path, allowed being the packages of ours that it may.
func (l layer) allows(importer, path string, allowed []string) bool {
	if !ours(path) {
		return !l.onlyStandard || standard(path)
	}
	return path == importer || slices.ContainsFunc(allowed, func(pattern string) bool { return fits(pattern, path) })
}

// broken returns the first import of pkg, or of its tests, that this driver forbids there.
func (d driver) broken(pkg goPackage, tests []string) (string, bool) {
	if fits(d.in, pkg.ImportPath) {
		return "", false
	}
	paths := slices.Concat(pkg.Imports, tests)
	if d.below {
		paths = append(paths, pkg.Deps...)
	}
	first := slices.IndexFunc(paths, func(path string) bool { return below(d.path, path) })
	if first < 0 {
		return "", false
	}
	return paths[first], true
}

// fits tells whether the package at path, a whole import path, is of ours and in the folders that the pattern names.
func fits(pattern, path string) bool {
	if !ours(path) {
		return false
	}
	folder, all := strings.CutSuffix(pattern, "...")
	if !all {
		return path == module+"/"+folder
	}
	return below(strings.TrimSuffix(module+"/"+folder, "/"), path)
}

func ours(path string) bool { return below(module, path) }

// standard tells the standard library by its first element, which has no dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func below(parent, path string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}
