package caddymodule

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// errInsecure refuses a request that came in the clear (P2).
var errInsecure = errors.New("TLS is required: the request came without, and no trusted proxy says that it had it outside")

// refuseInsecure logs such a request and refuses it.
func refuseInsecure(log *zap.Logger, w http.ResponseWriter, r *http.Request) error {
	log.Warn("refused", zap.Error(errInsecure), zap.String("client_ip", clientIP(r)), zap.String("host", r.Host))
	return refuse(w, r, http.StatusForbidden, errInsecure, refusal{
		code: "invalid_request", text: "This page is only served over HTTPS.",
	})
}

// refuseUnready refuses a request that could not wait any longer for its config to start.
func refuseUnready(w http.ResponseWriter, r *http.Request, err error) error {
	w.Header().Set("Retry-After", "5")
	return refuse(w, r, http.StatusServiceUnavailable, err, refusal{
		code: "temporarily_unavailable", text: "The server is starting. Please try again in a moment.",
	})
}

// refusal is what a refused client gets to know: constants only, so that nothing needs escaping.
type refusal struct{ code, text string }

// refuse answers before a server or gate could: by the operator's handle_errors where there is one,
// else by a page for people and JSON for programs.
func refuse(w http.ResponseWriter, r *http.Request, status int, cause error, say refusal) error {
	w.Header().Set("Cache-Control", "no-store")
	if handlesErrors(r) {
		return caddyhttp.Error(status, cause)
	}
	body := `{"error":"` + say.code + `","error_description":"` + say.text + `"}` + "\n"
	w.Header().Set("Content-Type", "application/json")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
		body = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Not possible right now</title>
</head>
<body>
<main id="error">
<h1>Not possible right now</h1>
<p>` + say.text + `</p>
</main>
</body>
</html>
`
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // a client that went away needs no answer
	return nil
}

// handlesErrors tells whether the operator has a handle_errors route, which then answers refusals.
func handlesErrors(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && server.Errors != nil && len(server.Errors.Routes) > 0
}
