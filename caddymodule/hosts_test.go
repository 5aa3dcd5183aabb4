package caddymodule

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tlsSite is the world's gate on a site that has TLS, whose clients ask for any host.
type tlsSite struct {
	*world
	port   string
	client *http.Client
}

// newTLSSite starts a site with an address, in which PORT is its port.
func newTLSSite(t *testing.T, address, directives, options string) *tlsSite {
	t.Helper()
	s := &tlsSite{world: newWorld(t)}
	s.port = s.app[strings.LastIndex(s.app, ":")+1:]
	certificate, key, roots := newCertificate(t)
	s.options = options
	s.address = strings.ReplaceAll(address, "PORT", s.port)
	s.site = "tls " + certificate + " " + key + "\n" + directives
	s.start()
	s.client = &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "app.example.com", MinVersion: tls.VersionTLS12},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+s.port)
			},
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s
}

// newCertificate writes a certificate of its own authority.
func newCertificate(t *testing.T) (certificate, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"app.example.com"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots = x509.NewCertPool()
	roots.AddCert(parsed)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return certificate, key, roots
}

// open navigates to a page on a host, as whoever answers for that host makes a browser do.
func (s *tlsSite) open(host string, headers ...string) (status int, location, body string) {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "https://app.example.com/page", nil)
	require.NoError(s.t, err)
	r.Host = strings.ReplaceAll(host, "PORT", s.port)
	for _, line := range append([]string{"Accept: text/html"}, headers...) {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	status, location, body, err = answer(s.client, r)
	require.NoError(s.t, err)
	return status, location, body
}

// signsIn and doesNot are what a gate does on hosts, in which PORT is the site's.
func (s *tlsSite) signsIn(hosts ...string) {
	s.t.Helper()
	for _, host := range hosts {
		status, location, _ := s.open(host)
		require.Equal(s.t, http.StatusFound, status, host)
		require.True(s.t, strings.HasPrefix(location, s.issuer+"/"), "%s: %s", host, location)
	}
}

func (s *tlsSite) doesNot(hosts ...string) {
	s.t.Helper()
	for _, host := range hosts {
		status, location, body := s.open(host)
		require.Equal(s.t, http.StatusForbidden, status, host)
		require.Empty(s.t, location, host)
		require.Contains(s.t, body, `<main id="error">`, host)
	}
}

const (
	bareGate    = "token_inject {\nsession\n}\nrespond in\n"
	fewHosts    = "browsers can sign in at this gate only on"
	viaProxy    = "X-Forwarded-Host: app.example.com"
	trustProxy  = "servers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t}"
	listedHosts = "token_inject {\nsession {\nhost app.example.com app.example.com:9999 bücher.example\n}\n}\nrespond in\n"
)

func TestA67_ACatchAllSiteSignsNobodyInOnAHostOfTheClientsChoice(t *testing.T) {
	s := newTLSSite(t, "https://:PORT", bareGate, "")
	eventually(t, "the place is warned of", func() bool { return strings.Contains(s.log(), fewHosts) })
	require.Contains(t, s.log(), `"token_inject":"Caddyfile:`)
	s.doesNot("evil.example", "evil.example:PORT", "app.example.com", "localhost.evil.example", "localhost:1", "10.0.0.1")
	status, location, _ := s.open("evil.example", viaProxy)
	require.Equal(t, http.StatusForbidden, status, "X-Forwarded-Host says nothing")
	require.Empty(t, location)
	status, location, body := s.open("evil.example", "Accept: application/json")
	require.Equal(t, http.StatusUnauthorized, status, body)
	require.Empty(t, location)
	eventually(t, "the log names the host and what to do", func() bool {
		return strings.Contains(s.log(), `"host":"evil.example"`) && strings.Contains(s.log(), "session { host }")
	})
	s.signsIn("localhost:PORT", "LocalHost", "app.localhost:PORT", "127.0.0.1:PORT", "[::1]:PORT", "localhost:443")
}

func TestA67_AWildcardSiteSignsInOnListedHostsOnly(t *testing.T) {
	s := newTLSSite(t, "https://*.example.com:PORT, https://xn--bcher-kva.example:PORT", listedHosts, "")
	s.doesNot("evil.example.com", "evil.example.com:PORT", "app.example.com:9998")
	s.signsIn("app.example.com", "APP.example.com:PORT", "app.example.com:9999", "XN--bcher-kva.example:PORT", "bücher.example")
	require.NotContains(t, s.log(), fewHosts)
}

func TestA67_AHostMatcherWithinASiteNamesItsHosts(t *testing.T) {
	s := newTLSSite(t, "https://*.example.com:PORT", `
	@app host app.example.com
	handle @app {
		`+bareGate+`
	}
	handle {
		`+bareGate+`
	}`, "")
	s.signsIn("app.example.com", "app.example.com:PORT")
	s.doesNot("evil.example.com")
	require.Equal(t, 1, strings.Count(s.log(), fewHosts), "the second gate is for any host")
}

func TestA67_ANamedRouteKnowsTheHostsOfItsSites(t *testing.T) {
	s := newTLSSite(t, "&(gate) {\n"+bareGate+"}\n\nhttps://app.example.com:PORT", "invoke gate", "")
	s.signsIn("app.example.com:PORT")
	require.NotContains(t, s.log(), fewHosts)
}

func TestA67_AnotherPortOfTheHostIsNoneOfTheGates(t *testing.T) {
	s := newTLSSite(t, "https://app.example.com:PORT", bareGate, "")
	s.signsIn("app.example.com:PORT", "app.example.com", "app.example.com:443", "app.example.com:")
	s.doesNot("app.example.com:9999", "app.example.com:80", "app.example.com:0443")
	status, _, _ := s.open("app.example.com.:PORT")
	require.Equal(t, http.StatusOK, status, "with a dot at its end Caddy takes it for another site")
	require.NotContains(t, s.log(), fewHosts)
}

func TestA67_BehindATrustedProxyThePortIsTheProxys(t *testing.T) {
	s := newTLSSite(t, "https://app.example.com:PORT", bareGate, trustProxy)
	s.signsIn("app.example.com:PORT", "app.example.com:9999")
	s.doesNot("app.example.com:99999")
}

func TestLoginOnACatchAllSiteOfThisMachine(t *testing.T) {
	w := newWorld(t)
	w.address = "http://" + w.app[strings.LastIndex(w.app, ":"):]
	w.start()
	w.openApp()
}

func TestHostsOfASessionAreChecked(t *testing.T) {
	for given, want := range map[string]string{
		"*.example.com":       `session: host "*.example.com" is no host name`,
		"https://a.example":   `session: host "https://a.example" has no such port`,
		"a.example/path":      `session: host "a.example/path" is no host name`,
		"user@a.example":      `session: host "user@a.example" is no host name`,
		"":                    `session: host "" is no host name`,
		":443":                `session: host ":443" is no host name`,
		"a.example:0":         `session: host "a.example:0" has no such port`,
		"a.example:https":     `session: host "a.example:https" has no such port`,
		"a.example:70000":     `session: host "a.example:70000" has no such port`,
		"{http.request.host}": `session: host "{http.request.host}" is no host name`,
	} {
		_, err := newHosts([]string{given})
		require.EqualError(t, err, want, given)
	}
	h, err := newHosts([]string{"A.example", "::1", "[::1]:8443", "192.0.2.1:8443"})
	require.NoError(t, err)
	require.Equal(t, []string{"::1", "a.example"}, h.list()[:2])
	require.ElementsMatch(t, []string{"[::1]:8443", "192.0.2.1:8443"}, h.list()[2:])
}

func TestADomainThatNoHostIsOfIsWarnedOf(t *testing.T) {
	for host, warned := range map[string]bool{"": true, "host app.example.com": false, "host example.com:8443": false, "host app.an-example.com": true} {
		w := newWorld(t)
		w.site = "token_inject {\n\t\tsession {\n\t\t\tdomain example.com\n\t\t\t" + host + "\n\t\t}\n\t}"
		w.start()
		require.Equal(t, warned, strings.Contains(w.log(), "the domain that is to share its sessions"), host)
	}
}
