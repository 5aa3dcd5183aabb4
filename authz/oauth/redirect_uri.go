package oauth

import (
	"errors"
	"net"
	"net/url"
	"strings"
)

// OOB is the redirect URI of clients that cannot receive a redirect: the code is shown on a page.
const OOB = "urn:ietf:wg:oauth:2.0:oob"

// forbiddenSchemes run script, or show content that somebody else wrote, in the origin of whoever
// follows the link (A20), or lead to no application at all.
var forbiddenSchemes = map[string]bool{
	"javascript": true, "data": true, "vbscript": true, "file": true, "blob": true, "about": true,
	"view-source": true, "filesystem": true, "ws": true, "wss": true, "ftp": true, "mailto": true,
	"urn": true,
}

// CheckRedirectURI tells whether a client may register the URI: absolute, without fragment or user
// name (RFC 6749 §3.1.2), https, or http on a loopback host, or, for native clients, a scheme of
// their own (RFC 8252 §7).
func CheckRedirectURI(raw string, native bool) error {
	if raw == OOB {
		return nil
	}
	u, err := checkURI(raw)
	if err != nil {
		return err
	}
	switch {
	case isWeb(u):
		return nil
	case u.Scheme == "https" || u.Scheme == "http":
		return errors.New("must be https, or http on a loopback host")
	case !native:
		return errors.New("a scheme of its own is for clients of type native")
	}
	return nil
}

// CheckLink tells whether a URI may be shown or followed as a link: https, or http on a loopback host.
func CheckLink(raw string) error {
	u, err := checkURI(raw)
	if err != nil {
		return err
	}
	if !isWeb(u) {
		return errors.New("must be https, or http on a loopback host")
	}
	return nil
}

// isWeb tells whether what is exchanged with the URI's host stays between the two: https, or http
// that does not leave this machine.
func isWeb(u *url.URL) bool {
	return u.Scheme == "https" && u.Hostname() != "" || u.Scheme == "http" && IsLoopback(u.Hostname())
}

// checkURI is stricter than url.Parse: browsers drop, turn or guess at characters that RFC 3986 leaves
// out, and might see another host than we do (A18).
func checkURI(raw string) (*url.URL, error) {
	if strings.ContainsFunc(raw, foreignToURI) {
		return nil, errors.New("holds a character that a URI cannot hold")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("is not a URI")
	case u.Scheme == "":
		return nil, errors.New("must be absolute")
	case forbiddenSchemes[u.Scheme]:
		return nil, errors.New("has a scheme that is not allowed")
	case strings.Contains(raw, "#"):
		return nil, errors.New("must not have a fragment")
	case u.User != nil:
		return nil, errors.New("must not hold a user name")
	}
	return u, nil
}

func foreignToURI(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>\\^`{|}", r)
}

// MatchRedirectURI tells whether a requested URI is a registered one: byte for byte, save that the
// port of a native client's loopback address is free (RFC 8252 §7.3).
func MatchRedirectURI(registered, requested string, native bool) bool {
	if registered == requested {
		return true
	}
	if !native {
		return false
	}
	a, errA := checkURI(registered)
	b, errB := checkURI(requested)
	if errA != nil || errB != nil || a.Scheme != "http" || net.ParseIP(a.Hostname()) == nil || !IsLoopback(a.Hostname()) {
		return false
	}
	withPort := *a
	withPort.Host = b.Host
	return a.Hostname() == b.Hostname() && withPort.String() == requested
}

// IsLoopback tells whether a host name or address can only mean this machine (RFC 6761 §6.3).
func IsLoopback(host string) bool {
	if name := strings.ToLower(host); name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
