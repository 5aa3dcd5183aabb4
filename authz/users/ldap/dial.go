package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// endpoint is where a server listens and how it is spoken to.
type endpoint struct {
	url              string
	network, address string
	tls              *tls.Config // nil leaves the connection as it is
	startTLS         bool        // begin with StartTLS rather than with TLS
}

// parseEndpoint reads an LDAP URL of scheme, host and port alone (RFC 4516 §2; ldapi with the path of
// its socket, percent-encoded, for a host).
func parseEndpoint(raw string, trust *tls.Config, startTLS bool) (endpoint, error) {
	if socket, ok := strings.CutPrefix(raw, "ldapi://"); ok {
		path, err := url.PathUnescape(strings.TrimSuffix(socket, "/"))
		if err != nil || !strings.HasPrefix(path, "/") {
			return endpoint{}, fmt.Errorf("server %q: the path of a socket is needed, as in ldapi://%%2Frun%%2Fldapi", raw)
		}
		return endpoint{url: raw, network: "unix", address: path}, nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return endpoint{}, fmt.Errorf("server: %w", err)
	}
	port := map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	switch {
	case port == "" || u.Hostname() == "":
		return endpoint{}, fmt.Errorf("server %q: ldap://host, ldaps://host or ldapi://socket is needed", raw)
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return endpoint{}, fmt.Errorf("server %q: only host and port may follow the scheme", u.Redacted())
	case u.Scheme == "ldaps" && startTLS:
		return endpoint{}, fmt.Errorf("server %q: StartTLS is for ldap://, and ldaps:// is encrypted without it", raw)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	e := endpoint{url: raw, network: "tcp", address: net.JoinHostPort(u.Hostname(), port), startTLS: startTLS}
	if u.Scheme == "ldaps" || startTLS {
		e.tls = trust.Clone()
		e.tls.ServerName = u.Hostname()
	}
	return e, nil
}

// clear tells whether passwords would cross a network unencrypted.
func (e endpoint) clear() bool {
	if e.network == "unix" || e.tls != nil {
		return false
	}
	host, _, err := net.SplitHostPort(e.address)
	ip := net.ParseIP(host)
	return err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// conn is one connection to a server, used by one goroutine at a time.
type conn struct {
	*ldap.Conn
	raw  net.Conn
	used time.Time // when it was last given back
}

// dial connects and encrypts before the context ends, which must have a deadline.
func (e endpoint) dial(ctx context.Context) (*conn, error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, e.network, e.address)
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw}
	if err := e.begin(ctx, c); err != nil {
		c.discard()
		return nil, err
	}
	return c, nil
}

func (e endpoint) begin(ctx context.Context, c *conn) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return errors.New("ldap: dial without a deadline")
	}
	// The handshake after StartTLS knows no context: the socket itself must end it.
	if err := c.raw.SetDeadline(deadline); err != nil {
		return err
	}
	wire := c.raw
	if e.tls != nil && !e.startTLS {
		encrypted := tls.Client(c.raw, e.tls)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
		wire = encrypted
	}
	c.Conn = ldap.NewConn(wire, e.tls != nil && !e.startTLS)
	c.Start()
	if e.startTLS {
		c.within(ctx)
		if err := c.StartTLS(e.tls); err != nil {
			return fmt.Errorf("StartTLS: %w", err)
		}
	}
	return c.raw.SetDeadline(time.Time{})
}

// within makes the next request end when the context does. go-ldap takes 0 for no limit at all.
func (c *conn) within(ctx context.Context) {
	deadline, _ := ctx.Deadline()
	c.SetTimeout(max(time.Until(deadline), time.Millisecond))
}

// discard closes the socket first: closing politely would wait for a server that hangs.
func (c *conn) discard() {
	_ = c.raw.Close() // it is given up, whatever the answer
	if c.Conn != nil {
		_ = c.Close()
	}
}

func (c *conn) search(ctx context.Context, request *ldap.SearchRequest) (*ldap.SearchResult, error) {
	if err := ctx.Err(); err != nil {
		return nil, lost(err)
	}
	c.within(ctx)
	result, err := c.Search(request)
	return result, lost(err)
}

func (c *conn) modify(ctx context.Context, request *ldap.ModifyRequest) error {
	if err := ctx.Err(); err != nil {
		return lost(err)
	}
	c.within(ctx)
	return lost(c.Modify(request))
}

// bind checks a password, which must not be empty; the controls are those of the answer.
func (c *conn) bind(ctx context.Context, dn, password string, controls ...ldap.Control) ([]ldap.Control, error) {
	if err := ctx.Err(); err != nil {
		return nil, lost(err)
	}
	c.within(ctx)
	result, err := c.SimpleBind(ldap.NewSimpleBindRequest(dn, password, controls))
	if result == nil {
		return nil, lost(err)
	}
	return result.Controls, lost(err)
}

// errLost marks an exchange that ended without an answer of the server, or with one that says that
// another server may do better; the connection isn't used again.
var errLost = errors.New("no answer")

// lost marks what isn't the server's answer with errLost. Of the answers, 3, 51 and 52 are marked, too:
// timeLimitExceeded, busy and unavailable (RFC 4511 Appendix A).
func lost(err error) error {
	var answer *ldap.Error
	if err == nil || errors.As(err, &answer) && answer.ResultCode < ldap.ErrorNetwork && // above are go-ldap's own
		answer.ResultCode != ldap.LDAPResultTimeLimitExceeded &&
		answer.ResultCode != ldap.LDAPResultBusy && answer.ResultCode != ldap.LDAPResultUnavailable {
		return err
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// isCode tells whether the server answered one of these result codes.
func isCode(err error, codes ...uint16) bool {
	return ldap.IsErrorAnyOf(err, codes...)
}
