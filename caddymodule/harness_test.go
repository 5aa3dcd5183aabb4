package caddymodule

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz/users/ldap/ldaptest"
)

// asCaddy makes this test binary Caddy itself, for tests that need a process of their own.
const asCaddy = "GATEWRIGHT_TEST_AS_CADDY"

func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		return
	}
	os.Exit(m.Run())
}

// password is what every user of the tests signs in with.
const password = "wonderland"

// world is an issuer and an app behind a gate, each on a port of its own of this machine.
type world struct {
	t       testing.TB
	dir     string
	issuer  string // http://localhost:<port>
	app     string
	address string // of the gate's site in the Caddyfile; "" for app
	site    string // the gate's site in the Caddyfile
	block   string // more for the authz block
	options string // more global options

	attempts attempts
	pulse    chan string // what the upstream's event stream sends
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, pulse: make(chan string)}
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.attempts.arrived(r)
		if r.URL.Path == "/stream" {
			w.stream(rw, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(rw, "user=%s", r.Header.Get("X-User"))
	}))
	t.Cleanup(upstream.Close)
	w.dir = t.TempDir()
	w.issuer, w.app = "http://localhost:"+freePort(t), "http://localhost:"+freePort(t)
	w.site = `
	handle /api/* {
		token_inject {
			resource_server orders
			require scope orders.read
			inject header X-User {http.auth.user.id}
		}
		reverse_proxy ` + upstream.Listener.Addr().String() + `
	}
	handle {
		token_inject {
			session {
				scope openid
			}
			inject header X-User {authz.username}
		}
		reverse_proxy ` + upstream.Listener.Addr().String() + `
	}`
	return w
}

// stream is the upstream's event stream.
func (w *world) stream(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.WriteHeader(http.StatusOK)
	for {
		if err := http.NewResponseController(rw).Flush(); err != nil {
			return
		}
		select {
		case event := <-w.pulse:
			_, _ = fmt.Fprintf(rw, "data: %s\n\n", event)
		case <-r.Context().Done():
			return
		}
	}
}

// freePort is the port of ldaptest.FreePort.
func freePort(t testing.TB) string {
	t.Helper()
	_, port, err := net.SplitHostPort(ldaptest.FreePort(t))
	require.NoError(t, err)
	return port
}

func (w *world) caddyfile() string {
	return `{
	admin off
	persist_config off
	auto_https off
	storage file_system ` + w.dir + `/caddy
	log {
		output file ` + w.dir + `/caddy.log
		level INFO
	}
	` + w.options + `
	authz {
		issuer ` + w.issuer + `
		storage bolt ` + w.dir + `/state.db
		users local {
			user alice {
				password ` + hash + `
				attribute mail alice@example.com
				role employee
			}
		}
		resource_server orders {
			encryption none
			scope orders.read
		}
		client shop {
			secret shop-secret-shop-secret-shop-secret
			redirect_uri http://localhost:1/callback
			scope openid profile orders.read
			prompt_user off
		}
		client robot {
			access_type service
			secret robot-secret-robot-secret-robot-sec
			scope orders.read
		}
		` + w.block + `
	}
}

` + w.issuer + ` {
	authz_server
}

` + cmp.Or(w.address, w.app) + ` {
	` + w.site + `
}
`
}

// load makes Caddy run the world's config in this process, until the test ends.
func (w *world) load() error {
	w.t.Helper()
	config, err := adapt(w.caddyfile())
	require.NoError(w.t, err)
	if err := loadJSON(config); err != nil {
		return err
	}
	w.t.Cleanup(func() { require.NoError(w.t, caddy.Stop()) })
	return nil
}

// loadJSON makes Caddy run a config in this process.
func loadJSON(config string) error { return caddy.Load([]byte(config), true) }

// validateJSON does what `caddy validate` does.
func validateJSON(config string) error {
	var cfg caddy.Config
	if err := caddy.StrictUnmarshalJSON([]byte(config), &cfg); err != nil {
		return err
	}
	return caddy.Validate(&cfg)
}

func (w *world) start() *world {
	w.t.Helper()
	require.NoError(w.t, w.load())
	return w
}

// log is what Caddy has logged so far.
func (w *world) log() string {
	content, err := os.ReadFile(w.dir + "/caddy.log")
	require.NoError(w.t, err)
	return string(content)
}

// eventually polls until ok, and fails the test when that takes too long.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 20*time.Second, 20*time.Millisecond, what)
}

// browser keeps cookies and follows redirects on this machine, but not to the client's callback.
func (w *world) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	return &http.Client{
		Timeout:   30 * time.Second,
		Jar:       jar,
		Transport: &w.attempts,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Path == "/callback" || len(via) > 10 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
}

// navigate opens a page as a browser's tab does.
func navigate(client *http.Client, target string) (status int, location, body string, err error) {
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		return 0, "", "", err
	}
	r.Header.Set("Accept", "text/html")
	return answer(client, r)
}

// answer sends a request and reads what comes back.
func answer(client *http.Client, r *http.Request) (status int, location, body string, err error) {
	resp, err := client.Do(r)
	if err != nil {
		return 0, "", "", err
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header.Get("Location"), string(content), err
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// signIn posts the login page that body is, as alice.
func (w *world) signIn(client *http.Client, body string) (location, page string) {
	w.t.Helper()
	require.Contains(w.t, body, `<main id="login"`)
	form := url.Values{"username": {"alice"}, "password": {password}}
	for _, field := range hiddenField.FindAllStringSubmatch(body, -1) {
		form.Set(field[1], field[2])
	}
	r, err := http.NewRequest(http.MethodPost, w.issuer+"/login", strings.NewReader(form.Encode()))
	require.NoError(w.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", w.issuer)
	r.Header.Set("Accept", "text/html")
	_, location, page, err = answer(client, r)
	require.NoError(w.t, err)
	return location, page
}

// code signs in for the client shop and returns its authorization code.
func (w *world) code(client *http.Client) string {
	w.t.Helper()
	query := url.Values{
		"client_id": {"shop"}, "redirect_uri": {"http://localhost:1/callback"}, "response_type": {"code"},
		"scope": {"openid orders.read"}, "state": {"s"},
	}
	_, location, body, err := navigate(client, w.issuer+"/authorize?"+query.Encode())
	require.NoError(w.t, err)
	if location == "" {
		location, body = w.signIn(client, body)
	}
	target, err := url.Parse(location)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, target.Query().Get("code"), "%s %s", location, body)
	return target.Query().Get("code")
}

// token asks the token endpoint as the client.
func (w *world) token(clientID, secret string, form url.Values) (map[string]any, error) {
	r, err := http.NewRequest(http.MethodPost, w.issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(clientID, secret)
	status, _, body, err := answer(w.browser(), r)
	if err != nil {
		return nil, err
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(body), &members); err != nil {
		return nil, fmt.Errorf("%d %s: %w", status, body, err)
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%d %s", status, body)
	}
	return members, nil
}

// robotToken is an access token of the service client robot.
func (w *world) robotToken() (string, error) {
	members, err := w.token("robot", "robot-secret-robot-secret-robot-sec", url.Values{"grant_type": {"client_credentials"}})
	if err != nil {
		return "", err
	}
	token, _ := members["access_token"].(string)
	return token, nil
}

// redeem redeems a code of the client shop.
func (w *world) redeem(code string) (map[string]any, error) {
	return w.token("shop", "shop-secret-shop-secret-shop-secret", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {"http://localhost:1/callback"},
	})
}

// api calls the app with a bearer token.
func (w *world) api(client *http.Client, token string) (status int, body string, err error) {
	r, err := http.NewRequest(http.MethodGet, w.app+"/api/orders", nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	status, _, body, err = answer(client, r)
	return status, body, err
}

// openApp signs in at the app's gate and returns the browser that has the session.
func (w *world) openApp() *http.Client {
	w.t.Helper()
	client := w.browser()
	_, _, body, err := navigate(client, w.app+"/page?q=1")
	require.NoError(w.t, err)
	_, body = w.signIn(client, body)
	require.Equal(w.t, "user=alice", body)
	return client
}
