package caddymodule

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// robot calls a page of the app as the client robot, who has the scope orders.read and no role.
func (w *world) robot(path string, header ...string) (status int, location, body string) {
	w.t.Helper()
	token, err := w.robotToken()
	require.NoError(w.t, err)
	r, err := http.NewRequest(http.MethodGet, w.app+path, nil)
	require.NoError(w.t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := w.browser()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	status, location, body, err = answer(client, r)
	require.NoError(w.t, err)
	return status, location, body
}

func TestW2_APathRuleSeesThePathThatGoesOn(t *testing.T) {
	w := newWorld(t)
	w.site = `
	handle_path /app/* {
		token_inject {
			resource_server orders
			policy {
				permit {
					client robot
				}
				deny {
					path /admin/*
				}
			}
		}
		respond "{http.request.uri}"
	}
	handle {
		rewrite /old/* /admin{uri}
		token_inject {
			resource_server orders
			policy {
				permit priority 2 {
					scope orders.read
				}
				deny priority 1 {
					path /admin/*
				}
				on_deny redirect https://www.example.com/why
			}
		}
		respond "{http.request.uri}"
	}`
	w.start()
	status, _, body := w.robot("/app/x")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "/x", body)
	for path, want := range map[string]int{ // Caddy resolves dots and empty segments where it takes a prefix off
		"/app/admin/x": http.StatusForbidden, "/app/ADMIN/x": http.StatusForbidden, "/app/admin": http.StatusForbidden,
		"/app/%61dmin/x": http.StatusBadRequest, "/app//admin/x": http.StatusForbidden, "/x//admin/x": http.StatusBadRequest, "/x/..%2fadmin/x": http.StatusBadRequest,
		"/app/x/..%2fadmin/x": http.StatusForbidden,
		"/admin/x":            http.StatusFound, "/old/x": http.StatusFound, "/x": http.StatusOK,
	} {
		status, location, _ := w.robot(path)
		require.Equal(t, want, status, path)
		require.Equal(t, want == http.StatusFound, location == "https://www.example.com/why", path)
	}
}

func TestW2_HandleErrorsAnswersWhatThePolicyRefuses(t *testing.T) {
	w := newWorld(t)
	w.site = `
	token_inject {
		resource_server orders
		policy {
			permit {
				role boss
			}
			on_deny 418
		}
	}
	respond hello
	handle_errors 418 {
		respond "the operator says {err.status_code}"
	}`
	w.start()
	status, _, body := w.robot("/")
	require.Equal(t, http.StatusTeapot, status)
	require.Equal(t, "the operator says 418", body)
}

func TestA61_RemoteIPIsTheClientThatCaddyTrusts(t *testing.T) {
	for trusted, want := range map[bool]int{false: http.StatusForbidden, true: http.StatusOK} {
		t.Run(fmt.Sprint("trusted ", trusted), func(t *testing.T) {
			w := newWorld(t)
			if trusted {
				w.options = "servers {\n\t\ttrusted_proxies static 127.0.0.1/32 ::1/128\n\t\ttrusted_proxies_strict\n\t}"
			}
			w.site = `
	token_inject {
		resource_server orders
		policy {
			permit {
				remote_ip 192.0.2.0/24
			}
		}
	}
	respond hello`
			w.start()
			status, _, body := w.robot("/", "X-Forwarded-For", "203.0.113.9, 192.0.2.7", "X-Forwarded-Proto", "https")
			require.Equal(t, want, status, body)
			status, _, _ = w.robot("/", "X-Real-Ip", "192.0.2.7", "Forwarded", "for=192.0.2.7")
			require.Equal(t, http.StatusForbidden, status)
		})
	}
}

func TestW2_MatchersAfterAGate(t *testing.T) {
	w := newWorld(t)
	w.site = `
	@scope authz_scope orders.write orders.read
	@role authz_role employee
	@client authz_client robot
	@claim authz_claim client_id robot
	@boss authz_role boss
	@notboss not authz_role boss
	@cel expression authz_scope('orders.read') && !authz_role('boss') && authz_client('robot') && authz_claim({'client_id': ['robot']})
	header @client X-Before seen
	token_inject /app/* {
		resource_server orders
		optional
	}
	header @scope >X-Scope yes
	header @role >X-Role yes
	header @client >X-Client yes
	route {
		respond @boss boss
		respond @cel "{http.auth.user.id} by expression"
		respond @notboss nobody
	}`
	w.start()
	status, _, body := w.robot("/app/x")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "robot by expression", body)
	_, _, body, err := navigate(w.browser(), w.app+"/app/x")
	require.NoError(t, err)
	require.Equal(t, "nobody", body, "somebody unknown at an optional gate")
	_, _, body = w.robot("/elsewhere")
	require.Equal(t, "nobody", body, "no gate looked at the token")
}

func TestMatchersWithValuesThatFitNothingAreRefused(t *testing.T) {
	w := newWorld(t)
	w.site = "@a authz_scope \"a b\"\nrespond @a hello"
	require.ErrorContains(t, w.load(), `["a b"] is no list of scopes`)
}

func TestW2_WhatNobodyDefinesIsRefused(t *testing.T) {
	w := newWorld(t)
	w.site = "token_inject {\nresource_server orders\npolicy {\ndeny {\nscope orders.raed\n}\n}\n}"
	require.ErrorContains(t, w.load(), `scope "orders.raed" is not defined`)
	w.site = "token_inject {\nresource_server orders\npolicy {\ndeny {\ncontract urn:tpyo\n}\n}\n}"
	require.ErrorContains(t, w.load(), `contract "urn:tpyo" is not defined`)
	w.site = "token_inject {\nresource_server orders\npolicy {\n}\n}"
	require.ErrorContains(t, w.load(), "it has no permit rule")
}

func TestW2_W3_WhoseWordItIs(t *testing.T) {
	const warning = "the upstream is told of people of several issuers, and not of which"
	for name, row := range map[string]struct {
		lines  string
		warned bool
	}{
		"an id":                   {"inject header X-User {http.auth.user.id}", true},
		"a name":                  {"inject basic {authz.username} x", true},
		"no person":               {"inject header X-Client {authz.client_id}", false},
		"an id and its issuer":    {"inject tag X-User id={http.auth.user.id}\ninject tag X-User of={authz.issuer}", false},
		"a rule that asks":        {"inject query user {authz.username}\npolicy {\npermit {\nissuer default\n}\n}", false},
		"an expression that asks": {"inject query user {authz.username}\npolicy {\npermit {\nexpression `issuer != \"\"`\n}\n}", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.site = "token_inject {\nissuer default\nissuer https://id.example\naudience " + w.issuer + "/rs/orders\n" + row.lines + "\n}\n" +
				`respond "{authz.issuer}"`
			w.start()
			require.Equal(t, row.warned, strings.Contains(w.log(), warning))
			status, _, body := w.robot("/")
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, w.issuer, body)
		})
	}
}
