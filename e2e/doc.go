// Package e2e holds the end-to-end tests: the real Caddy binary with this plugin, driven by a real
// browser, by OpenID Connect libraries that other people wrote, and by Apache.
//
// They are left out unless GATEWRIGHT_E2E is set, and fail then where a program is missing. xcaddy.sh
// test sets it, having installed what they need and built the binary into .build/caddy.
//
// A file x.mjs is what Node runs for x_test.go: a set of functions, one of which a test names. It
// gets what it has to know as JSON on its standard input, and may answer with JSON on its standard
// output. What pages look like is kept in .build/e2e.
package e2e
