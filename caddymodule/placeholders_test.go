package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/stretchr/testify/require"

	"github.com/gatewright/gatewright/tokeninject"
)

func TestClaimText(t *testing.T) {
	for want, value := range map[string]any{
		"":                     nil,
		"a,b%":                 "a,b%",
		"true":                 true,
		"12345678901234567890": json.Number("12345678901234567890"),
		"1700000000":           float64(1700000000),
		"42,43":                []any{"42", json.Number("43")},
		"a%2Cb,100%25,c":       []string{"a,b", "100%", "c"},
		`{"a":[1]}`:            map[string]any{"a": []any{json.Number("1")}},
	} {
		require.Equal(t, want, claimText(value, encodeItem))
	}
}

func TestA57_ItemsOfAListStayApart(t *testing.T) {
	require.NotEqual(t, joinItems([]string{"user", "admin"}, encodeItem), joinItems([]string{"user,admin"}, encodeItem))
	require.NotEqual(t, joinItems([]string{"a,b"}, encodeItem), joinItems([]string{"a%2Cb"}, encodeItem))
}

func TestA57_ItemsInAHeaderAreEncodedOnce(t *testing.T) {
	require.Equal(t, "ops%2Cadmin,50%25,a%3Bb,Zo%C3%AB x", joinItems([]string{"ops,admin", "50%", "a;b", "Zo\u00eb x"}, encodeHeaderItem))
	require.Equal(t, "%20a,b%20,c d,%20", joinItems([]string{" a", "b ", "c d", " "}, encodeHeaderItem), "HTTP has no spaces at the ends")
	require.Equal(t, "ops%2Cadmin,Zo\u00eb", joinItems([]string{"ops,admin", "Zo\u00eb"}, encodeItem), "a query can hold that")
}

func TestA57_AListOfOneIsNoListOfItsParts(t *testing.T) {
	const dn = "CN=Staff,OU=admin"
	read := func(value any, encode itemEncoder) string {
		groups := func(context.Context, *tokeninject.Identity) any { return value }
		text, _ := valueOf([]piece{{key: "authz.claim.groups", lookup: asList(groups), encode: encode}})(t.Context(), nil, &tokeninject.Identity{})
		return text
	}
	for _, encode := range []itemEncoder{encodeItem, encodeHeaderItem} {
		require.Equal(t, "CN=Staff%2COU=admin", read(dn, encode))
		require.Equal(t, "CN=Staff%2COU=admin", read([]any{dn}, encode))
		require.Equal(t, "CN=Staff%2COU=admin,b", read([]any{dn, "b"}, encode))
		require.Empty(t, read(nil, encode))
	}
	var c compiler
	c.list("inject header X", "x", encodeItem)
	require.ErrorContains(t, c.err, "inject header X: list is for a placeholder of the gate")
}

func TestA57_AValueDoesNotEndTheQuotesAroundIt(t *testing.T) {
	name := `Al "x\", "admin": "yes`
	id := &tokeninject.Identity{Username: name, Scope: "a b"}
	read := func(template Template) string {
		var c compiler
		text, ok := c.value("inject header X", template, encodeHeaderItem)(t.Context(), nil, id)
		require.NoError(t, c.err)
		require.True(t, ok)
		return text
	}
	var person map[string]any
	require.NoError(t, json.Unmarshal([]byte(read(`{"name": "{authz.username}", "scope": "all of {authz.scope}"}`)), &person))
	require.Equal(t, map[string]any{"name": name, "scope": "all of a b"}, person)
	require.NoError(t, json.Unmarshal([]byte(read(`{"dir": "C:\\", "name": "{authz.username}"}`)), &person))
	require.Equal(t, map[string]any{"dir": `C:\`, "name": name, "scope": "all of a b"}, person)
	t.Setenv("GATEWRIGHT_TEST", `{"name": "`)
	require.NoError(t, json.Unmarshal([]byte(read(`{env.GATEWRIGHT_TEST}{authz.username}", "scope": "all of {authz.scope}"\}`)), &person))
	require.Equal(t, name, person["name"], "where the quotes are in the environment")
	require.Equal(t, `"\"" `+name, read(`"\"" {authz.username}`), "not behind them")
}

func TestUsernameOfATokenIsThePersonsAndARobotHasNone(t *testing.T) {
	w := newWorld(t)
	w.site = strings.Replace(w.site, "{http.auth.user.id}", "{authz.username}/{authz.user.mail}", 1)
	w.start()
	client := w.browser()
	members, err := w.redeem(w.code(client))
	require.NoError(t, err)
	_, body, err := w.api(client, members["access_token"].(string))
	require.NoError(t, err)
	require.Equal(t, "user=alice/alice@example.com", body)
	robot, err := w.robotToken()
	require.NoError(t, err)
	_, body, err = w.api(client, robot)
	require.NoError(t, err)
	require.Equal(t, "user=", body)
}

func TestW3_Templates(t *testing.T) {
	t.Setenv("GATEWRIGHT_TEST", "{authz.username}")
	repl := caddy.NewEmptyReplacer()
	repl.Set("http.request.host", "app.example")
	repl.Set("http.request.header.Empty", "")
	ctx := context.WithValue(t.Context(), caddy.ReplacerCtxKey, repl)
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	id := &tokeninject.Identity{Subject: "alice-1", Username: "alice", ClientID: "shop", Scope: "a b", SessionID: "s1"}
	for _, c := range []struct {
		name, template string
		id             *tokeninject.Identity
		want           string
		missing        bool
	}{
		{name: "constant", template: "fixed", want: "fixed"},
		{name: "nothing", template: "", want: ""},
		{name: "subject", template: "{http.auth.user.id}", id: id, want: "alice-1"},
		{name: "username", template: "{authz.username}", id: id, want: "alice"},
		{name: "client", template: "{authz.client_id}", id: id, want: "shop"},
		{name: "scope", template: "{authz.scope}", id: id, want: "a b"},
		{name: "session", template: "{authz.session_id}", id: id, want: "s1"},
		{name: "claim that is not there", template: "{authz.claim.email}", id: id, missing: true},
		{name: "mixed", template: "u={authz.username}; h={http.request.host}", id: id, want: "u=alice; h=app.example"},
		{name: "half missing", template: "u={authz.username}{authz.claim.email}", id: id, missing: true},
		{name: "nobody", template: "{http.auth.user.id}", missing: true},
		{name: "nobody in a mixed one", template: "u={authz.username}", missing: true},
		{name: "empty of the request", template: "{http.request.header.Empty}", id: id, missing: true},
		{name: "a placeholder that nobody knows", template: "{no.such.thing}", id: id, missing: true},
		{name: "claim with a colon", template: "{authz.claim.cognito:groups}", id: id, missing: true},
		{name: "claim that is a URL", template: "{authz.claim.https://example.com/roles}", id: id, missing: true},
		{name: "attribute with an option", template: "{authz.user.cn;lang-de}", id: id, missing: true},
		{name: "header with brackets", template: "{http.request.header.(a=b)}", id: id, missing: true},
		{name: "braces around no name are text", template: `{"a":{"b":1}} {a b} {1}`, id: id, want: `{"a":{"b":1}} {a b} {1}`},
		{name: "escaped braces are text", template: `\{authz.username\}`, id: id, want: "{authz.username}"},
		{name: "unclosed", template: "{authz.username", id: id, want: "{authz.username"},
		{name: "empty braces", template: "{}", id: id, want: "{}"},
		{name: "what the environment holds is text", template: "{env.GATEWRIGHT_TEST}", id: id, want: "{authz.username}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var compiler compiler
			value := compiler.value("inject", Template(c.template), encodeHeaderItem)
			require.NoError(t, compiler.err)
			got, ok := value(ctx, r, c.id)
			require.Equal(t, !c.missing, ok)
			require.Equal(t, c.want, got)
		})
	}
}

func TestW3_WhatLooksLikeAPlaceholderOfTheGateIsOne(t *testing.T) {
	var c compiler
	c.value("inject header X", "{authz.nonsense:x}", encodeItem)
	require.EqualError(t, c.err, "inject header X: there is no placeholder {authz.nonsense:x}")
	c = compiler{}
	path := filepath.Join(t.TempDir(), "my secret; {x")
	require.NoError(t, os.WriteFile(path, []byte("s3cret"), 0o600))
	value := c.value("inject header X", Template("{file."+path+"}"), encodeItem)
	require.NoError(t, c.err)
	got, ok := value(t.Context(), nil, nil)
	require.True(t, ok)
	require.Equal(t, "s3cret", got)
}

func TestTemplateWithAnEmptyVariableIsAnError(t *testing.T) {
	var c compiler
	c.value("inject header X", "{env.GATEWRIGHT_TEST_UNSET}", encodeItem)
	c.value("inject header Y", "{env.GATEWRIGHT_TEST_UNSET}", encodeItem)
	require.EqualError(t, c.err, "inject header X: evaluated placeholder {env.GATEWRIGHT_TEST_UNSET} is empty")
}

func TestExposedPlaceholders(t *testing.T) {
	repl := caddy.NewReplacer()
	repl.Set("http.auth.user.id", "somebody else's")
	ctx := context.WithValue(t.Context(), caddy.ReplacerCtxKey, repl)
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{})
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)

	varsOf(r).expose(tokeninject.Verdict{Request: r})
	for _, key := range []string{
		"http.auth.user.id", "http.auth.user.email", "authz.claim.email", "authz.user.mail", "authz.roles", "authz.scope",
		"authz.client_id", "authz.issuer", "authz.username", "authz.session_id",
	} {
		value, known := repl.GetString(key)
		require.True(t, known, key)
		require.Empty(t, value, key)
	}
	_, known := repl.Get("authz.nonsense")
	require.False(t, known)

	varsOf(r).expose(tokeninject.Verdict{Request: r, Identity: &tokeninject.Identity{Subject: "alice-1", Username: "alice"}})
	require.Equal(t, "alice-1 alice", repl.ReplaceAll("{http.auth.user.id} {authz.username}", "?"))
	varsOf(r).expose(tokeninject.Verdict{Request: r, Identity: &tokeninject.Identity{Subject: "bob-1", Username: "bob"}})
	require.Equal(t, "bob-1 bob", repl.ReplaceAll("{http.auth.user.id} {authz.username}", "?"), "the innermost gate counts")
	varsOf(r).expose(tokeninject.Verdict{Request: r})
	require.Equal(t, "? ?", repl.ReplaceAll("{http.auth.user.id} {authz.username}", "?"))
	require.Empty(t, caddy.ToString(caddyhttp.GetVar(ctx, identityVar)), "{http.vars.*} has nothing of it")
}

func TestW3_ListsOfClaimsAttributesAndTheClientsAddress(t *testing.T) {
	w := newWorld(t)
	w.block = `
		grant_type authorization_code refresh_token client_credentials password
		client teller {
			secret teller-secret
			redirect_uri https://teller.example.com/callback
			grant_type authorization_code password
			scope openid orders.read
			prompt_user off
		}`
	w.site = `
	token_inject {
		resource_server orders
		refresh 5s
		inject header X-Mail {authz.user.mail} repeat
		inject header X-Client {authz.client_id} repeat
		inject header X-Address {client_ip}
		inject query scope {authz.claim.none} repeat
	}
	respond "{http.request.header.X-Mail} {http.request.header.X-Client} {http.request.header.X-Address} {query}"`
	w.start()
	tokens, err := w.token("teller", "teller-secret", url.Values{
		"grant_type": {"password"}, "username": {"alice"}, "password": {password}, "scope": {"openid orders.read"},
	})
	require.NoError(t, err)
	_, body, err := w.api(w.browser(), tokens["access_token"].(string))
	require.NoError(t, err)
	require.Regexp(t, `^alice@example\.com teller (127\.0\.0\.1|::1) $`, body)
}

func TestClaimItems(t *testing.T) {
	for want, value := range map[string]any{
		"[]": nil, "[a%2Cb]": "a,b", "[a b%2Cc]": []string{"a", "", "b,c"}, "[1 x]": []any{json.Number("1"), "x"}, "[true]": true,
	} {
		require.Equal(t, want, fmt.Sprint(claimItems(value, encodeItem)))
	}
	var c compiler
	require.Nil(t, c.values("inject header X", "x{authz.roles}", encodeItem))
	require.ErrorContains(t, c.err, `inject header X: repeat is for one placeholder with a list`)
}
