package fetch

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// site is an https server on loopback that counts what it is asked.
type site struct {
	*httptest.Server
	asked atomic.Int32
}

func newSite(t *testing.T, handler http.HandlerFunc) *site {
	t.Helper()
	s := new(site)
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

func (s *site) host() string { return strings.TrimPrefix(s.URL, "https://") }

// fetcher trusts the site's certificate, and its address if the hosts allow it.
func (s *site) fetcher(t *testing.T, allow ...string) *Fetcher {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	f, err := New(Config{AllowHosts: allow, Roots: roots})
	require.NoError(t, err)
	return f
}

func TestA51_OnlyPublicAddresses(t *testing.T) {
	for _, address := range []string{
		"127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
		"100.64.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16", "198.18.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "fe80::1", "fe80::1%eth0",
		"fc00::1", "fd00:ec2::254", "ff02::1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "3fff::1", "100::1",
	} {
		assert.False(t, public(netip.MustParseAddr(address)), address)
	}
	for _, address := range []string{"1.1.1.1", "172.32.0.1", "100.128.0.1", "::ffff:8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001::1"} {
		assert.True(t, public(netip.MustParseAddr(address)), address)
	}
}

func TestA51_NoNameLeadsInside(t *testing.T) {
	inside := newSite(t, says("secret"))
	_, port, _ := strings.Cut(inside.host(), ":")
	f := inside.fetcher(t)
	for _, target := range []string{
		inside.URL,
		"https://localhost:" + port,
		"https://[::1]:" + port,
		"https://[::ffff:127.0.0.1]:" + port,
		"https://2130706433:" + port,
		"https://0x7f000001:" + port,
		"https://127.1:" + port,
		"http://127.0.0.1:" + port,
		"http://localhost:" + port,
		"gopher://127.0.0.1:" + port,
		"file:///etc/passwd",
		"https:///path",
		"https://user@" + inside.host(),
	} {
		_, err := f.Get(t.Context(), target, MaxDocument)
		require.Error(t, err, target)
		require.Error(t, f.PostForm(t.Context(), target, url.Values{"logout_token": {"x"}}), target)
	}
	assert.Zero(t, inside.asked.Load())
	_, err := f.Get(t.Context(), inside.URL, MaxDocument)
	assert.ErrorIs(t, err, ErrTarget, "refused before the handshake")
}

func TestA51_OperatorsAllowHostsByName(t *testing.T) {
	inside := newSite(t, says("document"))
	_, port, _ := strings.Cut(inside.host(), ":")
	for name, c := range map[string]struct {
		allow string
		works bool
	}{
		"host":              {"127.0.0.1", true},
		"host and port":     {inside.host(), true},
		"another port":      {"127.0.0.1:1", false},
		"another name":      {"example.com", false},
		"a name's spelling": {"EXAMPLE.com:" + port, false},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := inside.fetcher(t, c.allow).Get(t.Context(), inside.URL, MaxDocument)
			if !c.works {
				require.ErrorIs(t, err, ErrTarget)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "document", string(body))
		})
	}
	for _, wrong := range []string{"", "https://example.com", "*.example.com", "example.com:http", ":443", "a b"} {
		_, err := New(Config{AllowHosts: []string{wrong}})
		require.Error(t, err, wrong)
	}
	_, err := New(Config{AllowHosts: []string{"[::1]", "::1", "[::1]:443", "example.com", "example.com:8443"}})
	require.NoError(t, err)
}

func TestA51_TrustingReachesInsideForTheOperator(t *testing.T) {
	inside := newSite(t, says("document"))
	body, err := inside.fetcher(t).Trusting().Get(t.Context(), inside.URL, MaxDocument)
	require.NoError(t, err)
	assert.Equal(t, "document", string(body))
	require.NoError(t, inside.fetcher(t).Trusting().CheckURL("http://127.0.0.1:8000/jwks.json"))
	assert.ErrorIs(t, inside.fetcher(t).Trusting().CheckURL("http://example.com/jwks.json"), ErrTarget)
}

func TestA51_NoRedirectAndNoOtherStatus(t *testing.T) {
	inside := newSite(t, says("secret"))
	for status, location := range map[int]string{302: inside.URL, 307: "/elsewhere", 404: "", 201: ""} {
		outside := newSite(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(status)
		})
		f := outside.fetcher(t, "127.0.0.1")
		_, err := f.Get(t.Context(), outside.URL, MaxDocument)
		require.ErrorContains(t, err, "status", "%d", status)
		require.Error(t, f.PostForm(t.Context(), outside.URL, nil))
		assert.Equal(t, int32(2), outside.asked.Load())
	}
	assert.Zero(t, inside.asked.Load())
}

func TestA51_SizeIsCapped(t *testing.T) {
	for size, fits := range map[int]bool{MaxDocument: true, MaxDocument + 1: false} {
		outside := newSite(t, says(strings.Repeat("x", size)))
		body, err := outside.fetcher(t, "127.0.0.1").Get(t.Context(), outside.URL, MaxDocument)
		if fits {
			require.NoError(t, err)
			assert.Len(t, body, size)
			continue
		}
		require.ErrorIs(t, err, ErrSize)
	}
	header := newSite(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Large", strings.Repeat("x", maxHeader+4096))
	})
	_, err := header.fetcher(t, "127.0.0.1").Get(t.Context(), header.URL, MaxDocument)
	require.Error(t, err)
}

func TestA51_TimeAndNumberAreCapped(t *testing.T) {
	release := make(chan struct{})
	slow := newSite(t, func(http.ResponseWriter, *http.Request) { <-release })
	f := slow.fetcher(t, "127.0.0.1")
	require.Equal(t, Timeout, f.http.Timeout)
	f.http.Timeout = 50 * time.Millisecond
	_, err := f.Get(t.Context(), slow.URL, MaxDocument)
	require.Error(t, err)
	close(release)
	for range maxUnderWay {
		f.underWay[0] <- struct{}{}
	}
	_, err = f.Get(t.Context(), slow.URL, MaxDocument)
	assert.ErrorIs(t, err, ErrBusy)
}

func TestA51_WhoIsBusyHoldsNobodyUp(t *testing.T) {
	waiting, release := make(chan struct{}), make(chan struct{})
	outside := newSite(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			waiting <- struct{}{}
			<-release
		}
	})
	all := outside.fetcher(t, "127.0.0.1")
	mine, theirs := all.Share(1), all.Share(1)
	done := make(chan error)
	slow := func(f *Fetcher) {
		go func() {
			_, err := f.Get(t.Context(), outside.URL+"/slow", MaxDocument)
			done <- err
		}()
		<-waiting
	}
	get := func(f *Fetcher) error {
		_, err := f.Get(t.Context(), outside.URL, MaxDocument)
		return err
	}
	slow(mine)
	require.ErrorIs(t, get(mine), ErrBusy)
	require.NoError(t, get(theirs))
	for range maxUnderWay - 1 {
		all.underWay[0] <- struct{}{}
	}
	require.ErrorIs(t, get(theirs), ErrBusy, "a share is one of all")
	require.NoError(t, get(all.Apart()))
	require.NoError(t, get(all.Trusting()))
	release <- struct{}{}
	require.NoError(t, <-done)
	assert.NoError(t, get(mine), "what is done makes room")
}

func TestA51_NoProxy(t *testing.T) {
	f, err := New(Config{})
	require.NoError(t, err)
	assert.Nil(t, f.http.Transport.(*http.Transport).Proxy, "the environment's would be taken by http.DefaultTransport")
}

func TestPostForm(t *testing.T) {
	var token string
	status := http.StatusOK
	outside := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		token = r.PostFormValue("logout_token")
		w.WriteHeader(status)
	})
	f := outside.fetcher(t, outside.host())
	for _, status = range []int{http.StatusOK, http.StatusNoContent} {
		require.NoError(t, f.PostForm(t.Context(), outside.URL, url.Values{"logout_token": {"a.b.c"}}))
		assert.Equal(t, "a.b.c", token)
	}
	status = http.StatusBadRequest
	require.Error(t, f.PostForm(t.Context(), outside.URL, nil))
}
