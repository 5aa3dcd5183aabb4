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
// follows the link (A20).
var forbiddenSchemes = map[string]bool{
	"javascript": true, "data": true, "vbscript": true, "file": true, "blob": true, "about": true,
	"view-source": true, "filesystem": true, "ws": true, "wss": true, "ftp": true, "mailto": true,
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
	case u.Scheme == "https" && u.Host != "":
		return nil
	case u.Scheme == "http" && IsLoopback(u.Hostname()):
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
	if u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !IsLoopback(u.Hostname())) {
		return errors.New("must be an https URL")
	}
	return nil
}

func checkURI(raw string) (*url.URL, error) {
	for i := range len(raw) {
		if raw[i] <= 0x20 || raw[i] >= 0x7f || raw[i] == '\\' {
			return nil, errors.New("holds a character that a URI cannot hold")
		}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("is not a URI")
	case u.Scheme == "":
		return nil, errors.New("must be absolute")
	case forbiddenSchemes[strings.ToLower(u.Scheme)]:
		return nil, errors.New("has a scheme that is not allowed")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return nil, errors.New("must not have a fragment")
	case u.User != nil:
		return nil, errors.New("must not hold a user name")
	}
	return u, nil
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
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
