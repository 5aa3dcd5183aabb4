package caddymodule

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/store/bolt"
	"github.com/gatewright/gatewright/authz/token"
	"github.com/gatewright/gatewright/tokeninject"
)

// load on the running config, until stopped: each caller is one kind of request, over and over.
type traffic struct {
	stop  context.CancelFunc
	wg    sync.WaitGroup
	count atomic.Int64
	mu    sync.Mutex
	errs  []error
}

func newTraffic(t *testing.T, callers map[string]func() error) *traffic {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	tr := &traffic{stop: stop}
	for name, call := range callers {
		tr.wg.Go(func() {
			for ctx.Err() == nil {
				if err := call(); err != nil {
					tr.mu.Lock()
					tr.errs = append(tr.errs, fmt.Errorf("%s: %w", name, err))
					tr.mu.Unlock()
				}
				tr.count.Add(1)
			}
		})
	}
	return tr
}

// end returns what was lost.
func (tr *traffic) end() error {
	tr.stop()
	tr.wg.Wait()
	return errors.Join(tr.errs...)
}

func TestO4_FiftyReloadsUnderLoadLoseNothing(t *testing.T) {
	w := newWorld(t).start()
	client := w.openApp()
	code := w.code(client)
	token, err := w.robotToken()
	require.NoError(t, err)

	bearer := w.browser()
	tr := newTraffic(t, map[string]func() error{
		"session": func() error {
			status, location, body, err := navigate(client, w.app+"/page")
			if err != nil || status != http.StatusOK || body != "user=alice" {
				return fmt.Errorf("%d %s %s: %w", status, location, body, err)
			}
			return nil
		},
		"bearer": func() error {
			status, body, err := w.api(bearer, token)
			if err != nil || status != http.StatusOK || body != "user=robot" {
				return fmt.Errorf("%d %s: %w", status, body, err)
			}
			return nil
		},
		"token": func() error {
			_, err := w.robotToken()
			return err
		},
	})
	for i := range 50 {
		w.block = fmt.Sprintf("brand {\n\tname \"Generation %d\"\n}", i) // no two configs are the same
		config, err := adapt(w.caddyfile())
		require.NoError(t, err)
		before := tr.count.Load()
		require.NoError(t, loadJSON(config))
		eventually(t, "requests go on between two reloads", func() bool { return tr.count.Load() > before })
	}
	require.NoError(t, tr.end())
	require.Empty(t, w.attempts.cutOff(), "requests that had begun")
	answered, err := w.redeem(code)
	require.NoError(t, err, "a code of before the reloads")
	require.NotEmpty(t, answered["access_token"])
	t.Logf("%d requests over 50 reloads", tr.count.Load())
}

func TestO4_ARefusedConfigLeavesTheOldOneServing(t *testing.T) {
	w := newWorld(t).start()
	client := w.openApp()
	good := w.site

	w.site = "token_inject {\n\t\tresource_server nowhere\n\t}"
	err := w.load()
	require.ErrorContains(t, err, `has no resource_server "nowhere"`)

	// A store that somebody else has open is found out when the config starts.
	w.site = good
	held, err := bolt.Open(t.Context(), w.dir+"/held.db", bolt.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, held.Close()) }()
	config, err := adapt(strings.Replace(w.caddyfile(), "/state.db", "/held.db", 1))
	require.NoError(t, err)
	err = loadJSON(config)
	require.ErrorContains(t, err, "held.db")

	status, _, body, err := navigate(client, w.app+"/page")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "user=alice", body)
}

func TestR9_AGateForAResourceServerThatIsNotThereIsRefused(t *testing.T) {
	for name, site := range map[string]string{
		"whose tokens are taken": "token_inject {\n\t\tresource_server nowhere\n\t}",
		"whose token is injected": "token_inject {\n\t\tsession\n\t\tinject token {\n\t\t\tresource_server nowhere\n\t\t\t" +
			"scope orders.read\n\t\t}\n\t}",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.site = site
			line := 1 + strings.Count(w.caddyfile()[:strings.Index(w.caddyfile(), "token_inject")], "\n")
			err := w.load()
			require.ErrorContains(t, err, fmt.Sprintf(`token_inject at Caddyfile:%d: authz server "default" has no resource_server "nowhere"`, line))
		})
	}
}

func TestProvisionErrorsNameWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(w *world){
		`there is no authz server "other", only: default`: func(w *world) { w.site = "authz_server other" },
		`session: the issuer https://id.example has to know the gate: write client <id> [<secret>]`: func(w *world) {
			w.site = "token_inject {\n\t\tissuer https://id.example\n\t\tsession\n\t}"
		},
		`issuer "http://id.example": it must be an https URL`: func(w *world) {
			w.site = "token_inject {\n\t\tissuer http://id.example\n\t\taudience a\n\t}"
		},
		`neither session, resource_server nor audience: nobody could pass`: func(w *world) {
			w.site = "token_inject {\n\t\tissuer https://id.example\n\t}"
		},
		`neither session, resource_server nor audience`: func(w *world) { w.site = "token_inject" },
		`resource_server orders: the issuer https://id.example does not tell its audience, write audience <value>`: func(w *world) {
			w.site = "token_inject {\n\t\tissuer https://id.example\n\t\tresource_server orders\n\t}"
		},
		`resource_server orders: the issuer https://b.example does not tell its audience, write audience <value>`: func(w *world) {
			w.site = "token_inject {\n\t\tissuer default\n\t\tissuer https://b.example\n\t\tresource_server orders\n\t}"
		},
		`policy: "other" is no issuer of this gate`: func(w *world) {
			w.site = "token_inject {\n\t\tissuer default\n\t\tsession\n\t\tpolicy {\n\t\t\tpermit {\n\t\t\t\tissuer default other\n\t\t\t}\n\t\t}\n\t}"
		},
		`issuer default is of this config, and asked without a network: it takes no tls_ca, roles or introspect`: func(w *world) {
			w.site = "token_inject {\n\t\tissuer default {\n\t\t\troles groups\n\t\t}\n\t\tsession\n\t}"
		},
		`session: callback is for foreign issuers`: func(w *world) {
			w.site = "token_inject {\n\t\tsession {\n\t\t\tcallback /cb\n\t\t}\n\t}"
		},
		`introspect is for one foreign issuer, and written once`: func(w *world) {
			w.site = "token_inject {\n\t\tsession\n\t\tintrospect {\n\t\t\tclient a b\n\t\t}\n\t}"
		},
		`introspect: write it into the block of the issuer that is to be asked, there is more than one`: func(w *world) {
			w.site = "token_inject {\n\t\tissuer https://a.example\n\t\tissuer https://b.example\n\t\taudience a\n\t\tintrospect {\n\t\t\tclient a b\n\t\t}\n\t}"
		},
		`introspect: a client with a secret is needed`: func(w *world) {
			w.site = "token_inject {\n\t\tissuer https://a.example\n\t\taudience a\n\t\tintrospect\n\t}"
		},
		`inject token: issuer, client and grant are for issuers of other processes`: func(w *world) {
			w.site = "token_inject {\n\t\tsession\n\t\tinject token {\n\t\t\tgrant client_credentials\n\t\t\tresource_server orders\n\t\t}\n\t}"
		},
		`inject token: a client with a secret is needed`: func(w *world) {
			w.site = "token_inject {\n\t\tissuer https://a.example\n\t\taudience a\n\t\tinject token {\n\t\t\tgrant client_credentials\n\t\t}\n\t}"
		},
		`inject token: say by which grant another issuer than the gate's own mints`: func(w *world) {
			w.site = "token_inject {\n\t\tissuer https://a.example\n\t\taudience a\n\t\tinject token {\n\t\t\tissuer https://b.example\n\t\t\tclient a b\n\t\t}\n\t}"
		},
		`inject token: no resource_server`: func(w *world) {
			w.site = "token_inject {\n\t\tsession\n\t\tinject token\n\t}"
		},
		`apps.authz.servers.default.client.2.secret: evaluated placeholder {env.GATEWRIGHT_TEST_UNSET} is empty`: func(w *world) {
			w.block = "client c {\n\t\t\tsecret {env.GATEWRIGHT_TEST_UNSET}\n\t\t}"
		},
		`must be https; http is for loopback hosts only`: func(w *world) { w.issuer = "http://id.example" },
		`decrypt_key: open /nowhere.json`: func(w *world) {
			w.site = "token_inject {\n\t\tresource_server orders\n\t\tdecrypt_key /nowhere.json\n\t}"
		},
		`inject header X-User: there is no placeholder {authz.usrname}`: func(w *world) {
			w.site = "token_inject {\n\t\tsession\n\t\tinject header X-User \"u {authz.usrname}\"\n\t}"
		},
		`inject basic: a user name has no colon`: func(w *world) {
			w.site = "token_inject {\n\t\tsession\n\t\tinject basic shop:{authz.username} x\n\t}"
		},
		`inject header: "X-Forwarded-For" can't be injected`: func(w *world) {
			w.site = "token_inject {\n\t\tsession\n\t\tinject header X-Forwarded-For {authz.username}\n\t}"
		},
		`inject basic: there is no placeholder {authz.user}`: func(w *world) {
			w.site = "token_inject {\n\t\tsession\n\t\tinject basic {authz.user} x\n\t}"
		},
		`session: login must be a path, and not the one of logout`: func(w *world) {
			w.site = "token_inject {\n\t\tsession {\n\t\t\tlogout /x\n\t\t\tlogin /x\n\t\t}\n\t}"
		},
		`an ID has 1 to 256 of the characters`: func(w *world) { // C14
			w.block = "client c:d {\n\t\t\tsecret x\n\t\t}"
		},
	} {
		t.Run(want, func(t *testing.T) {
			w := newWorld(t)
			change(w)
			config, err := adapt(w.caddyfile())
			require.NoError(t, err)
			require.ErrorContains(t, validateJSON(config), want)
		})
	}
	t.Run("no authz block", func(t *testing.T) {
		config, err := adapt("http://localhost:1 {\n\tauthz_server\n}\n")
		require.NoError(t, err)
		require.ErrorContains(t, validateJSON(config), "the global option authz is missing")
	})
	t.Run("two servers of one issuer", func(t *testing.T) {
		config, err := adapt("{\n\tauthz {\n\t\tissuer https://a.example\n\t}\n\tauthz b {\n\t\tissuer https://a.example\n\t}\n}\n")
		require.NoError(t, err)
		require.ErrorContains(t, validateJSON(config), `authz server "default": the issuer https://a.example is the one of "b" already`)
	})
}

func TestS12_AScopeThatGivesAttributesWithoutAskingIsWarnedOf(t *testing.T) {
	w := newWorld(t)
	w.block = "attribute_set a {\n\t\t\tmail mailbox\n\t\t}\n\t\tresource_server b {\n\t\t\tscope nosy {\n\t\t\t\tattribute mailbox\n\t\t\t}\n\t\t}"
	w.start()
	require.Contains(t, w.log(), "scope nosy gives attributes of a person without asking")
}

func TestA56_AnUngatedProxyBesideAGateIsWarnedOf(t *testing.T) {
	const warning = "a reverse_proxy that is reached without passing it"
	t.Run("guarded", func(t *testing.T) {
		w := newWorld(t).start()
		require.NotContains(t, w.log(), warning)
	})
	t.Run("ungated", func(t *testing.T) {
		w := newWorld(t)
		w.site = "token_inject /app/* {\n\t\tsession\n\t}\n\treverse_proxy 127.0.0.1:1"
		w.start()
		require.Contains(t, w.log(), warning)
		line := 1 + strings.Count(w.caddyfile()[:strings.Index(w.caddyfile(), "token_inject")], "\n")
		require.Contains(t, w.log(), fmt.Sprintf(`"token_inject":["Caddyfile:%d"]`, line))
	})
	t.Run("ungated, on a site for any host", func(t *testing.T) {
		w := newWorld(t)
		w.address = "http://" + w.app[strings.LastIndex(w.app, ":"):]
		w.site = "token_inject /api/* {\n\t\tresource_server orders\n\t}\n\treverse_proxy 127.0.0.1:1"
		w.start()
		require.Equal(t, 1, strings.Count(w.log(), warning))
	})
	t.Run("guarded, on a site for any host", func(t *testing.T) {
		w := newWorld(t)
		w.address = "http://" + w.app[strings.LastIndex(w.app, ":"):]
		w.start()
		require.NotContains(t, w.log(), warning)
	})
	const named = "\n}\n\n&(upstream) {\n\treverse_proxy 127.0.0.1:1\n}\n\n&(gate) {\n\ttoken_inject {\n\t\tsession\n\t}\n"
	t.Run("ungated, in a named route", func(t *testing.T) {
		w := newWorld(t)
		w.site = "token_inject /app/* {\n\t\tsession\n\t}\n\tinvoke upstream" + named
		w.start()
		require.Contains(t, w.log(), warning)
	})
	t.Run("guarded by a gate in a named route", func(t *testing.T) {
		w := newWorld(t)
		w.site = "route {\n\t\tinvoke gate\n\t\tinvoke upstream\n\t}" + named
		w.start()
		require.NotContains(t, w.log(), warning)
	})
	t.Run("a gate before everything", func(t *testing.T) {
		w := newWorld(t)
		w.site = "token_inject {\n\t\tsession\n\t}\n\thandle /a/* {\n\t\treverse_proxy 127.0.0.1:1\n\t}\n\treverse_proxy 127.0.0.1:1"
		w.start()
		require.NotContains(t, w.log(), warning)
	})
}

func TestO4_AForeignIssuerMayBeAwayAtAReload(t *testing.T) {
	keys, err := token.GenerateKeys([]jose.SignatureAlgorithm{jose.ES256}, time.Now())
	require.NoError(t, err)
	var away atomic.Bool
	var issuer *httptest.Server
	issuer = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case away.Load():
			rw.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/jwks":
			_, _ = rw.Write(keys.JWKS())
		default:
			_, _ = fmt.Fprintf(rw, `{"issuer":%q,"jwks_uri":%q}`, issuer.URL, issuer.URL+"/jwks")
		}
	}))
	t.Cleanup(issuer.Close)
	w := newWorld(t)
	w.site = "token_inject {\n\t\tissuer " + issuer.URL + "\n\t\taudience https://api.example\n\t}\n\trespond \"user={http.auth.user.id}\""
	w.start()
	raw := func(sub string) string {
		raw, err := keys.Sign(jose.ES256, token.TypeAccessToken, fmt.Appendf(nil,
			`{"iss":%q,"sub":%q,"aud":"https://api.example","client_id":"shop","jti":%q,"iat":%d,"exp":%d}`,
			issuer.URL, sub, sub, time.Now().Unix(), time.Now().Add(time.Hour).Unix()))
		require.NoError(t, err)
		return raw
	}
	passes := func(sub string) {
		_, body, err := w.api(w.browser(), raw(sub))
		require.NoError(t, err)
		require.Equal(t, "user="+sub, body)
	}
	passes("before")
	away.Store(true)
	for _, sub := range []string{"after", "and after that"} {
		require.NoError(t, w.load())
		passes(sub)
	}
}

func TestO4_AStreamOutlivesAReloadAndW7_IsCutByALogoutAfterIt(t *testing.T) {
	w := newWorld(t).start()
	client := w.openApp()
	client.Timeout = 0 // the stream is open for as long as it takes
	resp, err := client.Get(w.app + "/stream")
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	events := bufio.NewReader(resp.Body)
	receive := func(event string) {
		select {
		case w.pulse <- event:
		case <-time.After(10 * time.Second):
			require.FailNow(t, "the stream is no more", event)
		}
		line, err := events.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "data: "+event+"\n", line)
		_, err = events.ReadString('\n')
		require.NoError(t, err)
	}
	receive("before")

	w.block = "brand {\n\t\t\tname Another\n\t\t}"
	config, err := adapt(w.caddyfile())
	require.NoError(t, err)
	require.NoError(t, loadJSON(config))
	receive("after")

	r, err := http.NewRequest(http.MethodPost, w.app+"/.authz/logout", nil)
	require.NoError(t, err)
	r.Header.Set("Origin", w.app)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	status, _, body, err := answer(client, r)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, body)
	began := time.Now()
	_, err = events.ReadString('\n')
	require.Error(t, err, "the stream has ended")
	require.Less(t, time.Since(began), time.Second)
}

// A request that outlives its config shares its session with those of the next one.
func TestO4_PeopleAreLookedUpInTheConfigThatRuns(t *testing.T) {
	w := newWorld(t).start()
	old, err := live.Load().issuer("")
	require.NoError(t, err)
	require.NoError(t, old.use(t.Context()), "as an event stream does")
	defer old.lease.give()
	gate := newLocalIssuer(old)
	session := &tokeninject.Session{
		Subject: "alice", ClientID: authz.GateClientID, SessionID: "sid", GrantID: "grant", AuthTime: time.Now(), Begun: time.Now(),
	}
	session, err = gate.Refresh(t.Context(), session)
	require.NoError(t, err)
	require.Equal(t, []string{"employee"}, session.Roles)

	reload := func(of, with string) error {
		config, err := adapt(strings.Replace(w.caddyfile(), of, with, 1))
		require.NoError(t, err)
		return loadJSON(config)
	}
	require.NoError(t, reload("role employee", "role boss"))
	session, err = gate.Refresh(t.Context(), session)
	require.NoError(t, err)
	require.Equal(t, []string{"boss"}, session.Roles)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	runs := live.Load()
	require.Error(t, reload(w.app, "http://"+taken.Addr().String()), "it starts in part")
	require.Same(t, runs, live.Load())

	require.NoError(t, reload("role employee", "disabled"))
	_, err = gate.Refresh(t.Context(), session)
	require.ErrorIs(t, err, tokeninject.ErrSessionEnded)
	require.Nil(t, live.Load().previous, "which has ended")

	require.NoError(t, reload("state.db", "other.db"))
	_, err = gate.Refresh(t.Context(), session)
	require.ErrorIs(t, err, errReplaced, "and not the word of a config that has ended")
	require.NotErrorIs(t, err, tokeninject.ErrSessionEnded, "a config that fails to start must not end sessions")

	require.NoError(t, loadJSON(`{"admin": {"disabled": true}}`))
	_, err = gate.Refresh(t.Context(), session)
	require.ErrorIs(t, err, errReplaced, "where no config has any authorization server either")
}
