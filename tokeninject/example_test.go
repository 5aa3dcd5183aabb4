package tokeninject_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gatewright/gatewright/authz/revocation"
	"github.com/gatewright/gatewright/authz/store"
	"github.com/gatewright/gatewright/authz/token"
	"github.com/gatewright/gatewright/tokeninject"
)

// issuer knows one token only. A real one is an adapter to an authorization server.
type issuer struct{ tokeninject.Issuer }

func (issuer) URL() string                     { return "https://id.example" }
func (issuer) Ready(context.Context) error     { return nil }
func (issuer) Audience(string) (string, error) { return "https://orders.example", nil }
func (issuer) Account(subject string) string   { return subject }
func (issuer) Revocations() *revocation.Feed   { return revocation.New(store.NewMemory(nil), nil) }
func (issuer) Open(_ context.Context, raw string, _ tokeninject.Decrypt) ([]byte, time.Time, error) {
	if raw != "good" {
		return nil, time.Time{}, token.ErrSignature
	}
	return []byte(`{"iss":"https://id.example","sub":"alice","aud":"https://orders.example","client_id":"shop",
		"jti":"1","iat":1700000000,"exp":1700000600,"scope":"orders.read"}`), time.Time{}, nil
}

func ExampleNew() {
	gate, err := tokeninject.New(tokeninject.Config{
		Issuer:         issuer{},
		ResourceServer: "orders",
		Now:            func() time.Time { return time.Unix(1_700_000_300, 0) },
		Require:        []tokeninject.Requirement{{Kind: tokeninject.RequireScope, Values: []string{"orders.read"}}},
		Headers: []tokeninject.HeaderInjection{{
			Name: "X-User",
			Value: func(_ context.Context, _ *http.Request, id *tokeninject.Identity) (string, bool) {
				return id.Subject, true
			},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gate.Close()

	for _, authorization := range []string{"Bearer good", "Bearer bad", ""} {
		r := httptest.NewRequest(http.MethodGet, "https://orders.example/", nil)
		r.Header.Set("X_User", "mallory")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		verdict := gate.Check(w, r, tokeninject.Verdict{})
		if !verdict.Pass {
			gate.Deny(w, r, verdict.Refusal)
			fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
			continue
		}
		fmt.Println(verdict.Request.Header)
		verdict.Done()
	}
	// Output:
	// map[X-User:[alice]]
	// 401 Bearer realm="orders.example", error="invalid_token", error_description="the access token is not valid here"
	// 401 Bearer realm="orders.example", scope="orders.read"
}
