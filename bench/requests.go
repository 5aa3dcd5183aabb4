package main

import (
	"encoding/base64"
	"fmt"
	"net/url"
)

// getWith is a GET request with one header line beyond what any client sends.
func getWith(port int, header, value string) []byte {
	return fmt.Appendf(nil, "GET /orders/4711 HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n%s: %s\r\n\r\n",
		site(port), header, value)
}

func bearer(port int, token string) []byte { return getWith(port, "Authorization", "Bearer "+token) }

// bearers are requests to one site with many tokens.
func bearers(port int, tokens []string) [][]byte {
	requests := make([][]byte, len(tokens))
	for i, token := range tokens {
		requests[i] = bearer(port, token)
	}
	return requests
}

// post is a form of a client that authenticates by Basic.
func (b *bench) post(port int, path, client string, form url.Values) []byte {
	basic := base64.StdEncoding.EncodeToString([]byte(client + ":" + b.config.Secret))
	body := form.Encode()
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\nAuthorization: Basic %s\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		path, site(port), basic, len(body), body)
}
