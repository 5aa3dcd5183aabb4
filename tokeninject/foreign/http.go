package foreign

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/oauth"
)

const (
	fetchTimeout = 10 * time.Second
	maxBody      = 256 << 10 // bytes
)

// errAway is an issuer that can't answer now, as opposed to one that says no.
func errAway(cause error) error { return fmt.Errorf("%w: %w", oauth.TemporarilyUnavailable, cause) }

// get fetches a JSON document.
func (d *Documents) get(ctx context.Context, address string, bearer string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	status, _, body, err := d.do(r)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s answered with status %d", address, status)
	}
	return body, err
}

// do sends a request and reads the answer, bounded.
func (d *Documents) do(r *http.Request) (status int, header http.Header, body []byte, err error) {
	resp, err := d.http.Do(r) // #nosec G704 -- the operator named the issuer, and that one its endpoints
	if err != nil {
		return 0, nil, nil, errAway(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return 0, nil, nil, errAway(err)
	case len(body) > maxBody:
		return 0, nil, nil, errAway(errors.New("the answer is too large"))
	case resp.StatusCode >= http.StatusInternalServerError, resp.StatusCode == http.StatusTooManyRequests:
		return 0, nil, nil, errAway(fmt.Errorf("%s answered with status %d", r.URL.Host+r.URL.Path, resp.StatusCode))
	}
	return resp.StatusCode, resp.Header, body, nil
}

// post sends a form as a client. methods are those that the endpoint takes (RFC 8414 §2); none given: the
// header, as RFC 6749 §2.3.1 has it.
func (i *Issuer) post(ctx context.Context, endpoint string, form url.Values, as Client, methods []string, accept string) (int, http.Header, []byte, error) {
	inHeader := as.Secret != "" && !onlyPost(methods)
	if !inHeader {
		form.Set("client_id", as.ID)
		if as.Secret != "" {
			form.Set("client_secret", as.Secret)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", accept)
	if inHeader {
		r.SetBasicAuth(url.QueryEscape(as.ID), url.QueryEscape(as.Secret))
	}
	return i.do(r)
}

// onlyPost tells whether an endpoint takes a secret in the form and nowhere else.
func onlyPost(methods []string) bool {
	post := false
	for _, method := range methods {
		switch method {
		case "client_secret_basic":
			return false
		case "client_secret_post":
			post = true
		}
	}
	return post
}

// refusal reads an error answer of RFC 6749 §5.2. It never quotes the issuer's words to a client.
func refusal(status int, body []byte) error {
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error == "" {
		return fmt.Errorf("the issuer answered with status %d", status)
	}
	return oauth.Errorf(oauth.Code(answer.Error), "").Because(fmt.Errorf("the issuer says %q", oauth.Clip(answer.Description)))
}

// NewClient makes the client of an issuer whose server is trusted in another way; nil: the usual one. It
// follows no redirect: an endpoint is where the metadata says, or nowhere.
func NewClient(trust *tls.Config) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trust
	transport.MaxIdleConnsPerHost = maxAsking
	return &http.Client{
		Transport:     transport,
		Timeout:       fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
