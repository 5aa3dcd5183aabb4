package ldap

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users"
	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

func TestU1_FailoverWhenAServerStops(t *testing.T) {
	first, second := startSlapd(t, ldaptest.Options{}), startSlapd(t, ldaptest.Options{})
	cfg := first.config(t)
	cfg.Servers = []string{first.URL, second.URL}
	d := open(t, cfg)
	_, err := signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
	require.NoError(t, d.Health(bounded(t)))

	first.Stop()
	second.Change(t, alice, "title", "of the second")
	u, err := signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
	require.Equal(t, "of the second", u.Attribute("title"))
	require.ErrorIs(t, d.Health(bounded(t)), users.ErrUnavailable, "the writes stay with the first for ReplicaLag")

	second.Stop()
	_, err = signIn(t, d, "alice", "alice-pw")
	require.ErrorIs(t, err, users.ErrUnavailable)
	_, err = signIn(t, d, "alice", "wrong")
	require.ErrorIs(t, err, users.ErrUnavailable)
	require.NotErrorIs(t, err, users.ErrCredentials)

	first.Again(t)
	require.NoError(t, d.Health(bounded(t)))
	u, err = signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
	require.Equal(t, "engineer", u.Attribute("title"), "back to the first")
}

// Start brings a server back that wasn't there when the process began, without a request that fails.
func TestU1_StartFindsServersThatComeUp(t *testing.T) {
	d, s := directory(t, nil)
	s.Stop()
	d.Start(t.Context())
	require.Eventually(t, func() bool { _, cause := d.servers[0].down(); return cause != nil }, 10*time.Second, time.Millisecond)
	s.Again(t)
	require.Eventually(t, func() bool { _, cause := d.servers[0].down(); return cause == nil }, 20*time.Second, 10*time.Millisecond)
	_, err := signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
	d.Close()
	_, err = signIn(t, d, "alice", "alice-pw")
	require.ErrorIs(t, err, users.ErrUnavailable, "after Close")
}

// A server that goes away for a moment is back a moment later, not with the next probe of one that is up.
func TestU1_ShortOutages(t *testing.T) {
	d, s := directory(t, nil)
	d.Start(t.Context())
	for range 2 {
		_, err := signIn(t, d, "alice", "alice-pw")
		require.NoError(t, err)
		s.Stop()
		_, err = signIn(t, d, "alice", "alice-pw")
		require.ErrorIs(t, err, users.ErrUnavailable)
		s.Again(t)
		require.Eventually(t, func() bool { _, cause := d.servers[0].down(); return cause == nil }, probeSeldom/2, time.Millisecond)
	}
}

func TestU1_HungServer(t *testing.T) {
	first, second := startSlapd(t, ldaptest.Options{}), startSlapd(t, ldaptest.Options{})
	for _, encrypted := range []bool{false, true} {
		cfg := first.config(t)
		cfg.Servers, cfg.Timeout, cfg.CA = []string{first.URL, second.URL}, 300*time.Millisecond, nil
		if encrypted {
			cfg = first.config(t)
			cfg.Servers, cfg.Timeout = []string{first.TLS, second.URL}, 300*time.Millisecond
		}
		d := open(t, cfg)
		if !encrypted { // the other hangs in the handshake of its first connection
			_, err := signIn(t, d, "alice", "alice-pw")
			require.NoError(t, err)
		}
		first.Hang(t)
		began := time.Now()
		_, err := signIn(t, d, "alice", "alice-pw")
		require.NoError(t, err, "the second server answers")
		require.Less(t, time.Since(began), 10*time.Second, "50 waiters at 300 ms each would take 15 s, one after the other")
		_, cause := d.servers[0].down()
		require.Error(t, cause)
		first.Awake()
		require.NoError(t, d.Health(bounded(t)))
	}
}

// A flood on a server that hangs ends within Timeout for everybody: no more wait than the pool holds.
func TestU1_BoundedWaiting(t *testing.T) {
	d, s := directory(t, func(cfg *Config) { cfg.Pool, cfg.Timeout = 2, 300*time.Millisecond })
	_, err := signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
	s.Hang(t)
	defer s.Awake()
	var flood sync.WaitGroup
	began := time.Now()
	for range 50 {
		flood.Go(func() {
			_, err := d.Authenticate(t.Context(), users.Credentials{Username: "alice", Password: "alice-pw"}, anyone)
			if !errors.Is(err, users.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
	flood.Wait()
	require.Less(t, time.Since(began), 5*time.Second)
	// The probe that watches the server may be holding one at this very moment.
	require.Eventually(t, func() bool { return len(d.servers[0].searches.slots) == 0 }, 5*time.Second, time.Millisecond, "every slot is given back")
}

// Waiting for a connection is this side's fault and takes no server out.
func TestU1_BusyPoolIsNoOutage(t *testing.T) {
	d, _ := directory(t, func(cfg *Config) { cfg.Pool, cfg.Timeout = 1, 200*time.Millisecond })
	require.NoError(t, d.Health(bounded(t)))
	s := d.servers[0]
	c, _, err := s.searches.get(bounded(t))
	require.NoError(t, err)
	_, err = signIn(t, d, "alice", "alice-pw")
	require.ErrorIs(t, err, users.ErrUnavailable)
	require.ErrorIs(t, err, errBusy)
	_, cause := s.down()
	require.NoError(t, cause)
	s.searches.put(c, true)
	_, err = signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
}

// A restart drops every resting connection: nobody notices.
func TestU1_DroppedConnectionsAreReplaced(t *testing.T) {
	d, s := directory(t, nil)
	u, err := signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
	for range 3 {
		s.Stop()
		s.Again(t)
		_, err = signIn(t, d, "alice", "alice-pw")
		require.NoError(t, err)
		_, err = d.Lookup(bounded(t), u.Subject)
		require.NoError(t, err)
	}
}

func TestU1_IdleConnectionsEnd(t *testing.T) {
	now := time.Now()
	d, _ := directory(t, func(cfg *Config) { cfg.Now = func() time.Time { return now } })
	_, err := signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
	rested := d.servers[0].searches.idle[0]
	now = now.Add(maxIdle)
	_, err = signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err)
	require.True(t, rested.IsClosing())
	require.NotSame(t, rested, d.servers[0].searches.idle[0])
}

func TestA73_WhomTLSTrusts(t *testing.T) {
	expired := ldaptest.Options{}
	expired.Cert, expired.Key = ldaptest.Certificate(t, -time.Hour)
	good, bad := startSlapd(t, ldaptest.Options{}), startSlapd(t, expired)
	ok, stranger := good.config(t), good.config(t)
	stranger.CA = bad.config(t).CA
	late := bad.config(t)
	system := good.config(t)
	system.CA = nil
	for _, test := range []struct {
		name   string
		cfg    Config
		refuse bool
	}{
		{"its own CA", ok, false},
		{"another CA", stranger, true},
		{"expired", late, true},
		{"the system's CAs", system, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := good
			if test.name == "expired" {
				server = bad
			}
			for _, startTLS := range []bool{false, true} {
				cfg := test.cfg
				if startTLS {
					cfg.StartTLS, cfg.Servers = true, []string{server.URL}
				}
				_, err := signIn(t, open(t, cfg), "alice", "alice-pw")
				if !test.refuse {
					require.NoError(t, err)
					continue
				}
				require.ErrorIs(t, err, users.ErrUnavailable)
				require.ErrorContains(t, err, "x509")
			}
		})
	}
}

// A name that isn't the certificate's is refused though the CA is trusted.
func TestA73_CertificateOfAnotherName(t *testing.T) {
	s := startSlapd(t, ldaptest.Options{})
	cfg := s.config(t)
	_, port, err := net.SplitHostPort(s.TLS[len("ldaps://"):])
	require.NoError(t, err)
	cfg.Servers = []string{"ldaps://localhost:" + port}
	_, err = signIn(t, open(t, cfg), "alice", "alice-pw")
	require.ErrorIs(t, err, users.ErrUnavailable)
}

// tamper is a server that answers whatever it is asked with the same LDAP message, and counts what it hears.
func tamper(t *testing.T, answer []byte) (url string, heard func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	var mu sync.Mutex
	n := 0
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buffer := make([]byte, 4096)
			for {
				got, err := c.Read(buffer)
				if err != nil {
					break
				}
				mu.Lock()
				n += got
				mu.Unlock()
				if _, err := c.Write(answer); err != nil {
					break
				}
			}
		}
	}()
	return "ldap://" + l.Addr().String(), func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// startTLSRequest is as long as the one message that may cross the wire before TLS.
const startTLSRequest = 31

func TestA73_StartTLSIsNeverGivenUp(t *testing.T) {
	for name, answer := range map[string][]byte{
		"refused":                    {0x30, 0x0c, 0x02, 0x01, 0x01, 0x78, 0x07, 0x0a, 0x01, 0x35, 0x04, 0x00, 0x04, 0x00},
		"agreed, and no TLS follows": {0x30, 0x0c, 0x02, 0x01, 0x01, 0x78, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00},
		"no LDAP":                    []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			url, heard := tamper(t, answer)
			d := open(t, Config{Servers: []string{url}, StartTLS: true, Base: testBase, BindDN: testAccount, Password: testPassword, Timeout: time.Second})
			_, err := signIn(t, d, "alice", "alice-pw")
			require.ErrorIs(t, err, users.ErrUnavailable)
			if name == "refused" {
				require.Equal(t, startTLSRequest, heard(), "nothing follows a refused StartTLS")
			}
		})
	}
}

// A referral leads nowhere: the server it names gets no connection, so no password.
func TestA73_ReferralsAreNotFollowed(t *testing.T) {
	attacker, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = attacker.Close() })
	s := startSlapd(t, ldaptest.Options{Settings: "referral ldap://" + attacker.Addr().String() + "\n"})
	require.NoError(t, s.Admin(t).Add(&ldap.AddRequest{DN: "ou=away,ou=people," + testBase, Attributes: []ldap.Attribute{
		{Type: "objectClass", Vals: []string{"referral", "extensibleObject"}},
		{Type: "ou", Vals: []string{"away"}},
		{Type: "ref", Vals: []string{"ldap://" + attacker.Addr().String() + "/ou=people," + testBase}},
	}}))
	d := open(t, s.config(t))
	_, err = signIn(t, d, "alice", "alice-pw")
	require.NoError(t, err, "a reference among the results is passed over")
	_, err = signIn(t, d, "mallory", "x")
	require.ErrorIs(t, err, users.ErrCredentials)
	elsewhere := s.config(t)
	elsewhere.Base = "dc=other"
	_, err = signIn(t, open(t, elsewhere), "alice", "alice-pw")
	require.Error(t, err)
	require.NotErrorIs(t, err, users.ErrCredentials)

	require.NoError(t, attacker.(*net.TCPListener).SetDeadline(time.Now()))
	_, err = attacker.Accept()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "nobody called")
}

func TestU1_WrongServicePassword(t *testing.T) {
	d, _ := directory(t, func(cfg *Config) { cfg.Password = "wrong" })
	_, err := signIn(t, d, "alice", "alice-pw")
	require.ErrorIs(t, err, users.ErrUnavailable)
	require.NotErrorIs(t, err, users.ErrCredentials, "it isn't the person's fault")
	require.NotContains(t, err.Error(), "wrong")
}

func TestU1_CanceledRequest(t *testing.T) {
	d, _ := directory(t, nil)
	require.NoError(t, d.Health(bounded(t)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.Authenticate(ctx, users.Credentials{Username: "alice", Password: "alice-pw"}, anyone)
	require.ErrorIs(t, err, context.Canceled)
	_, cause := d.servers[0].down()
	require.NoError(t, cause, "who goes away takes no server with them")
}
