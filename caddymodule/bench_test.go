package caddymodule

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/tokeninject"
)

// BenchmarkServeHTTP takes requests through Caddy's server: to an upstream that does nothing, without a gate and with
// one that has seen the token before.
func BenchmarkServeHTTP(b *testing.B) {
	w := newWorld(b)
	const upstream = "\n\trespond 204"
	w.site = `
	token_inject {
		resource_server orders
		require scope orders.read
		inject header X-User {http.auth.user.id}
	}` + upstream
	bare := "http://localhost:" + freePort(b)
	w.site += "\n}\n" + bare + " {" + upstream
	w.start()
	token, err := w.robotToken()
	require.NoError(b, err)
	authorization := []string{"Bearer " + token}
	for name, site := range map[string]string{"without": bare, "cached": w.app} {
		b.Run(name, func(b *testing.B) {
			server := serverOf(b, site)
			near, far := net.Pipe()
			defer func() { _ = near.Close(); _ = far.Close() }()
			arrived := httptest.NewRequest(http.MethodGet, site+"/api/orders", nil)
			arrived.RemoteAddr = "127.0.0.1:1234"
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				ctx, end := context.WithCancel(tokeninject.KeepConnection(context.WithoutCancel(b.Context()), near))
				defer end()
				answer := httptest.NewRecorder()
				for pb.Next() {
					r := arrived.WithContext(ctx)
					r.URL = &url.URL{Path: arrived.URL.Path}
					r.Header = http.Header{"User-Agent": {"bench"}, "Authorization": authorization}
					server.ServeHTTP(answer, r)
					if answer.Code != http.StatusNoContent {
						b.Error(answer.Code)
						return
					}
				}
			})
		})
	}
}

// serverOf is the server of Caddy that has a site.
func serverOf(b *testing.B, site string) *caddyhttp.Server {
	b.Helper()
	target, err := url.Parse(site)
	require.NoError(b, err)
	app, err := caddy.ActiveContext().App("http")
	require.NoError(b, err)
	for _, server := range app.(*caddyhttp.App).Servers {
		for _, listen := range server.Listen {
			if _, port, err := net.SplitHostPort(listen); err == nil && port == target.Port() {
				return server
			}
		}
	}
	b.Fatal("no server listens for ", site)
	return nil
}
