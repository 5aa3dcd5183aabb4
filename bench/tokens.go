package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
)

// mint makes access tokens as the issuer would, with its keys: 20 000 of them through the token endpoint would take
// longer than all the rest.
type mint struct {
	keys   *token.Keys
	issuer string
	by     map[string]resourceServer
}

func newMint(storage string, c config) (*mint, error) {
	found, err := filepath.Glob(filepath.Join(storage, "authz", "*", "keys.json"))
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d key documents in Caddy's storage instead of one", len(found))
	}
	document, err := os.ReadFile(found[0])
	if err != nil {
		return nil, err
	}
	m := &mint{issuer: c.Issuer, by: make(map[string]resourceServer)}
	for _, rs := range c.ResourceServers {
		m.by[rs.Name] = rs
	}
	m.keys, err = token.ParseKeys(document)
	return m, err
}

// one makes an access token of about 700 bytes that every gate for the resource server takes.
func (m *mint) one(resourceServer string) (string, error) {
	rs, now := m.by[resourceServer], time.Now()
	claims := token.AccessToken{
		Issuer: m.issuer, Subject: "7b1f4d0c-52c4-4f7e-9d0e-3f4b5a6c7d8e", ClientID: "shop", ID: oauth.NewSecret()[:22],
		GrantID: oauth.NewSecret()[:22], SessionID: oauth.NewSecret()[:22], Audience: []string{rs.Audience},
		Scope: []string{rs.Name + ".read"}, IssuedAt: now, ExpiresAt: now.Add(time.Hour), AuthTime: now,
		Roles: []string{"employee", "buyer"}, Extra: map[string]any{"claims": []string{"read"}},
	}
	for i := 0; rs.Name == ruled && i < ruleCount; i++ {
		claims.Extra[fmt.Sprintf("rule%d", i)] = "yes"
	}
	payload, err := claims.Marshal()
	if err != nil {
		return "", err
	}
	signed, err := m.keys.Sign(jose.SignatureAlgorithm(rs.Signed), token.TypeAccessToken, payload)
	if err != nil || rs.Encryption == "none" {
		return signed, err
	}
	return m.keys.Encrypt(signed)
}

// many makes n tokens, on every core.
func (m *mint) many(resourceServer string, n int) ([]string, error) {
	tokens := make([]string, n)
	workers := runtime.GOMAXPROCS(0)
	failures := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < n && failures[w] == nil; i += workers {
				tokens[i], failures[w] = m.one(resourceServer)
			}
		})
	}
	group.Wait()
	return tokens, errors.Join(failures...)
}
