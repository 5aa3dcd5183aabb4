package caddymodule

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/stretchr/testify/require"
)

// arriving is a request as Caddy hands it on: with the client's address, and whether the peer is a
// trusted proxy.
func arriving(t *testing.T, target, clientIP string, trusted bool) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.TLS = nil
	return r.WithContext(context.WithValue(t.Context(), caddyhttp.VarsCtxKey, map[string]any{
		caddyhttp.ClientIPVarKey:     clientIP,
		caddyhttp.TrustedProxyVarKey: trusted,
	}))
}

func TestP2_WhatCountsAsSecure(t *testing.T) {
	for _, c := range []struct {
		name      string
		target    string
		clientIP  string
		trusted   bool
		tls       bool
		forwarded []string
		secure    bool
	}{
		{name: "TLS of its own", target: "http://id.example/", clientIP: "192.0.2.1", tls: true, secure: true},
		{name: "in the clear", target: "http://id.example/", clientIP: "192.0.2.1"},
		{name: "in the clear from this machine to a public name", target: "http://id.example/", clientIP: "127.0.0.1"},
		{name: "in the clear from elsewhere to localhost", target: "http://localhost:8080/", clientIP: "192.0.2.1"},
		{name: "loopback", target: "http://localhost:8080/", clientIP: "127.0.0.1", secure: true},
		{name: "loopback IPv6", target: "http://[::1]:8080/", clientIP: "::1", secure: true},
		{name: "loopback IPv4 in IPv6", target: "http://127.0.0.1/", clientIP: "::ffff:127.0.0.1", secure: true},
		{name: "no address, as on a Unix socket", target: "http://localhost/", clientIP: ""},
		{name: "a trusted proxy says so", target: "http://id.example/", clientIP: "192.0.2.1", trusted: true, forwarded: []string{"https"}, secure: true},
		{name: "in any case", target: "http://id.example/", clientIP: "192.0.2.1", trusted: true, forwarded: []string{"HTTPS"}, secure: true},
		{name: "a stranger says so", target: "http://id.example/", clientIP: "192.0.2.1", forwarded: []string{"https"}},
		{name: "a trusted proxy says nothing", target: "http://id.example/", clientIP: "192.0.2.1", trusted: true},
		{name: "a trusted proxy says http", target: "http://id.example/", clientIP: "192.0.2.1", trusted: true, forwarded: []string{"http"}},
		{name: "one of two hops was in the clear", target: "http://id.example/", clientIP: "192.0.2.1", trusted: true, forwarded: []string{"https, http"}},
		{name: "in two headers", target: "http://id.example/", clientIP: "192.0.2.1", trusted: true, forwarded: []string{"https", "http"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := arriving(t, c.target, c.clientIP, c.trusted)
			if c.tls {
				r.TLS = new(tls.ConnectionState)
			}
			r.Header["X-Forwarded-Proto"] = c.forwarded
			require.Equal(t, c.secure, secure(r, varsOf(r)))
		})
	}
}

func TestSeenIsWhatTheClientSent(t *testing.T) {
	r := arriving(t, "http://app.example:8444/rewritten?other=1", "192.0.2.7", true)
	first, err := url.Parse("/app/a%2Fb?q=1&q=2")
	require.NoError(t, err)
	r = r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, http.Request{URL: first}))
	r.Header.Set("X-Forwarded-Proto", "https")
	got := seen(r)
	require.Equal(t, "https://app.example:8444/app/a%2Fb?q=1&q=2", got.URL.String())
	require.Equal(t, "192.0.2.7", got.ClientIP)
}

func TestA61_TheClientIsTheLastAddressThatIsNoProxys(t *testing.T) {
	w := newWorld(t)
	w.options = "servers {\n\t\ttrusted_proxies static 127.0.0.1/32 192.0.2.0/24\n\t}"
	w.site = "token_inject {\n\t\tresource_server orders\n\t\toptional\n\t}\n\trespond {client_ip}\n"
	w.start()
	for forwarded, client := range map[string]string{
		"10.1.1.1, 203.0.113.9":            "203.0.113.9",
		"127.0.0.1, 203.0.113.9":           "203.0.113.9",
		"10.1.1.1, 203.0.113.9, 192.0.2.7": "203.0.113.9",
		"192.0.2.7":                        "127.0.0.1",
		"nonsense, 203.0.113.9, nonsense":  "203.0.113.9",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.app, nil)
		require.NoError(t, err)
		r.Header.Set("X-Forwarded-For", forwarded)
		r.Header.Set("X-Forwarded-Proto", "https")
		status, _, body, err := answer(w.browser(), r)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, client, body, forwarded)
		r.Header.Set("X-Forwarded-Proto", "http")
		status, _, _, err = answer(w.browser(), r)
		require.NoError(t, err)
		require.Equal(t, client == "127.0.0.1", status == http.StatusOK, "P2: %s", forwarded)
	}
}
