package caddymodule

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSignInAtAGateAndCallAnAPI(t *testing.T) {
	w := newWorld(t).start()
	client := w.openApp()
	status, _, body, err := navigate(client, w.app+"/other")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "user=alice", body)

	token, err := w.robotToken()
	require.NoError(t, err)
	status, body, err = w.api(w.browser(), token)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, "user=robot", body)
	status, _, err = w.api(w.browser(), "")
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestW5_AGateMayStandBehindAnother(t *testing.T) {
	w := newWorld(t)
	w.site = `
	token_inject {
		session {
			scope openid
		}
	}
	handle /admin* {
		token_inject {
			session {
				scope openid
			}
			require role admin
		}
		respond "admin={http.auth.user.id}"
	}
	handle /mail* {
		token_inject {
			session {
				scope openid
			}
		}
		respond "mail={http.auth.user.id}"
	}
	respond "user={http.auth.user.id}"`
	w.start()
	client := w.openApp()
	for path, want := range map[string]string{"/other": "user=alice", "/mail": "mail=alice"} {
		status, _, body, err := navigate(client, w.app+path)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, want, body)
	}
	status, _, body, err := navigate(client, w.app+"/admin")
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, status, body)
}

func TestO6_HealthIsBelowTheIssuer(t *testing.T) {
	w := newWorld(t).start()
	status, _, _, err := navigate(w.browser(), w.issuer+"/health")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
}

func TestAccessLogKnowsTheUser(t *testing.T) {
	w := newWorld(t)
	w.site = "log\n" + w.site
	w.start()
	token, err := w.robotToken()
	require.NoError(t, err)
	_, _, err = w.api(w.browser(), token)
	require.NoError(t, err)
	eventually(t, "the access log has the request", func() bool {
		return strings.Contains(w.log(), `"user_id":"robot"`)
	})
	require.NotContains(t, w.log(), token)
}

func TestHandleErrorsAnswersARefusal(t *testing.T) {
	w := newWorld(t)
	w.site += `
	handle_errors {
		respond "the operator says {err.status_code}"
	}`
	w.start()
	resp, err := w.browser().Get(w.app + "/api/orders")
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	require.Equal(t, "the operator says 401", string(body))
	require.Contains(t, resp.Header.Get("WWW-Authenticate"), "Bearer", "the challenge is the gate's all the same")
}

func TestOptionalGateExposesNobody(t *testing.T) {
	w := newWorld(t)
	w.site = `
	token_inject {
		resource_server orders
		optional
	}
	respond "user=[{http.auth.user.id}{authz.username}{http.auth.user.email}]"`
	w.start()
	r, err := http.NewRequest(http.MethodGet, w.app+"/", nil)
	require.NoError(t, err)
	r.Header.Set("X-User", "admin")
	status, _, body, err := answer(w.browser(), r)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "user=[]", body)

	token, err := w.robotToken()
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	_, _, body, err = answer(w.browser(), r)
	require.NoError(t, err)
	require.Equal(t, "user=[robot]", body)
}

func TestP1_ASiteWithoutDirectivesIsPlainCaddy(t *testing.T) {
	w := newWorld(t)
	w.site = `respond "plain {http.auth.user.id}"`
	w.start()
	_, _, body, err := navigate(w.browser(), w.app+"/.authz/logout")
	require.NoError(t, err)
	require.Equal(t, "plain {http.auth.user.id}", body, "nothing of ours has touched the request")
}

func TestAuthzServerPassesOtherPathsOn(t *testing.T) {
	w := newWorld(t)
	w.site = "authz_server\nrespond \"next\""
	w.start()
	_, _, body, err := navigate(w.browser(), w.app+"/elsewhere")
	require.NoError(t, err)
	require.Equal(t, "next", body)
	_, _, body, err = navigate(w.browser(), w.app+"/.well-known/openid-configuration")
	require.NoError(t, err)
	require.Contains(t, body, w.issuer)
}

func TestP2_RequestsInTheClearAreRefusedAndLogged(t *testing.T) {
	w := newWorld(t)
	w.options = "servers {\n\t\ttrusted_proxies static 127.0.0.1/32 ::1/128\n\t}"
	w.issuer = strings.Replace(w.issuer, "localhost", "127.0.0.1", 1)
	port := w.issuer[strings.LastIndex(w.issuer, ":"):]
	appPort := w.app[strings.LastIndex(w.app, ":"):]
	w.site = "}\n\nhttp://id.example" + port + " {\n\tauthz_server\n}\n\nhttp://app.example" + appPort + " {\n" + w.site
	w.start()
	get := func(address, host string, header ...string) (int, string) {
		r, err := http.NewRequest(http.MethodGet, address, nil)
		require.NoError(t, err)
		r.Host = host
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		status, _, body, err := answer(w.browser(), r)
		require.NoError(t, err)
		return status, body
	}
	metadata := w.issuer + "/.well-known/openid-configuration"
	api := strings.Replace(w.app, "localhost", "127.0.0.1", 1) + "/api/orders"

	status, _ := get(metadata, "")
	require.Equal(t, http.StatusOK, status, "loopback is excepted")
	status, body := get(metadata, "id.example"+port, "Accept", "text/html")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, body, `<main id="error">`)
	status, body = get(api, "app.example"+appPort)
	require.Equal(t, http.StatusForbidden, status)
	require.JSONEq(t, `{"error":"invalid_request","error_description":"This page is only served over HTTPS."}`, body)
	eventually(t, "both are logged", func() bool { return strings.Count(w.log(), "TLS is required") >= 2 })

	status, _ = get(metadata, "id.example"+port, "X-Forwarded-Proto", "https")
	require.Equal(t, http.StatusOK, status, "the trusted proxy says so")
	status, _ = get(api, "app.example"+appPort, "X-Forwarded-Proto", "https")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, w.log(), "issuer is http", "the warning of an issuer in the clear")
}

// TestS11_AGateKnowsThePersonBehindAPairwiseSubject: what it passes on is the token's sub; attributes
// and the login name are the person's.
func TestS11_AGateKnowsThePersonBehindAPairwiseSubject(t *testing.T) {
	w := newWorld(t)
	w.block = `
		grant_type authorization_code refresh_token client_credentials password
		client secretive {
			secret secretive-secret
			redirect_uri https://secretive.example.com/callback
			grant_type authorization_code password
			scope openid orders.read
			subject_type pairwise
		}`
	w.site = `
	token_inject {
		resource_server orders
		require scope orders.read
	}
	respond "{http.auth.user.id} {authz.username} {authz.user.mail}"`
	w.start()
	tokens, err := w.token("secretive", "secretive-secret", url.Values{
		"grant_type": {"password"}, "username": {"alice"}, "password": {password}, "scope": {"openid orders.read"},
	})
	require.NoError(t, err)
	access, _ := tokens["access_token"].(string)
	require.NotEmpty(t, access, tokens)
	_, body, err := w.api(w.browser(), access)
	require.NoError(t, err)
	sub, rest, _ := strings.Cut(body, " ")
	require.Equal(t, "alice alice@example.com", rest)
	require.Greater(t, len(sub), 40)
}
