package e2e

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// snippets are the fenced blocks of README.md by what stands after the fence: "caddyfile" is a whole
// file, "caddyfile authz" what belongs in the authz block, "caddyfile ldap" what stands there instead of
// local users, "caddyfile site" what belongs in a site.
func snippets(t *testing.T) map[string][]string {
	t.Helper()
	return fenced(read(t, "..", "README.md"))
}

// fenced are the fenced blocks of a Markdown text by what stands after the fence.
func fenced(text string) map[string][]string {
	found := make(map[string][]string)
	fence := regexp.MustCompile("(?ms)^```([a-z ]+)\n(.*?)^```$")
	for _, match := range fence.FindAllStringSubmatch(text, -1) {
		found[match[1]] = append(found[match[1]], match[2])
	}
	return found
}

// The fragments are parts of one configuration, so that what one of them names another one defines.
func TestReadme_EveryCaddyfileLoads(t *testing.T) {
	requireE2E(t)
	found := snippets(t)
	require.Subset(t, slices.Collect(maps.Keys(found)), []string{"caddyfile", "caddyfile authz", "caddyfile site"})
	server := "{\n\tauthz {\n" + strings.Join(found["caddyfile authz"], "\n") + "\t}\n}\nlogin.example.com {\n\tauthz_server\n}\n"
	for _, file := range found["caddyfile"] {
		validate(t, file)
	}
	require.NotEmpty(t, found["caddyfile ldap"])
	for _, people := range found["caddyfile ldap"] {
		validate(t, "{\n\tauthz {\n\t\tissuer https://login.example.com\n"+people+"\t}\n}\nlogin.example.com {\n\tauthz_server\n}\n")
	}
	for _, site := range found["caddyfile site"] {
		validate(t, server+"www.example.com {\n"+site+"\n\treverse_proxy 127.0.0.1:9000\n}\n")
	}
}

// docs/conformance.md has a Caddyfile, and its JSON the same clients.
func TestConformance_TheConfigurationLoads(t *testing.T) {
	requireE2E(t)
	files := fenced(read(t, "..", "docs", "conformance.md"))["caddyfile"]
	require.Len(t, files, 1)
	validate(t, files[0])
	type credentials struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	var plan struct {
		One  credentials `json:"client"`
		Post credentials `json:"client_secret_post"`
		Two  credentials `json:"client2"`
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, "..", "docs", "conformance.json")), &plan))
	require.Equal(t, plan.One, plan.Post)
	for _, c := range []credentials{plan.One, plan.Two} {
		require.Contains(t, files[0], "client "+c.ID+" {\n\t\t\tsecret "+c.Secret+"\n")
	}
}

// validate has Caddy check a Caddyfile, which finds the files and variables that it speaks of.
func validate(t *testing.T, source string) {
	t.Helper()
	dir := t.TempDir()
	writeResourceKeys(t, dir, "warehouse")
	people, err := json.Marshal(map[string]any{"user": []any{}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "users.json"), people, 0o600))
	for _, authority := range []string{"ldap-ca.pem", "idp-ca.pem", "suite-ca.pem"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, authority), certificate(t), 0o600))
	}
	env := []string{aliceHash(t)}
	for _, variable := range regexp.MustCompile(`\{env\.(\w+)}`).FindAllStringSubmatch(source, -1) {
		value := "a-value-that-is-long-enough-for-a-secret"
		switch {
		case strings.HasSuffix(variable[1], "_HASH"):
			value = strings.TrimPrefix(env[0], "ALICE_HASH=")
		case strings.HasSuffix(variable[1], "_TOTP"):
			value = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
		}
		env = append(env, variable[1]+"="+value)
	}
	c := prepare(t, strings.ReplaceAll(source, "/etc/gatewright/", dir+"/"), env...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	output, err := c.command(ctx, "validate").CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// certificate is one of nobody in particular, in PEM.
func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// The two commands for the API, as they stand in README.md.
func TestReadme_TheCommandsWork(t *testing.T) {
	c := start(t, example(t))
	var commands string
	for _, block := range snippets(t)["sh"] {
		if strings.Contains(block, "/api/") {
			commands = c.ported(block)
		}
	}
	require.NotEmpty(t, commands)
	c.env = append(c.env, "CURL_CA_BUNDLE="+c.rootFile())
	require.JSONEq(t, `{"path": "/api/orders", "user": "robot", "client": "robot"}`, c.types(commands))
}
