package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"github.com/gatewright/gatewright/authz/oauth"
)

// browser signs a person in as one would, by the pages of the issuer.
type browser struct {
	b      *bench
	user   string
	client *http.Client
}

// perAddress is how many browsers share an address: a gate lets one begin only so many logins.
const perAddress = 20

// newBrowser comes from one of many addresses, as different people do: all of 127.0.0.0/8 is this machine.
func newBrowser(b *bench, number int) (*browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	network := number / perAddress
	from := &net.TCPAddr{IP: net.IPv4(127, 1, byte(network>>8), byte(network))}
	dialer := &net.Dialer{LocalAddr: from}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}}
	client := &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		req.Header.Del("Referer")
		if strings.HasPrefix(req.URL.String(), redirectURI) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return &browser{b: b, user: b.config.Users[number%len(b.config.Users)], client: client}, nil
}

func (br *browser) close() { br.client.CloseIdleConnections() }

var (
	formPattern  = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
	inputPattern = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// open opens a page and answers the forms of the issuer until none is left. It returns where that led.
func (br *browser) open(target string) (*url.URL, error) {
	req, err := br.request(http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	for range 4 {
		page, err := br.do(req)
		if err != nil {
			return nil, err
		}
		switch page.status {
		case http.StatusOK:
		case http.StatusFound, http.StatusSeeOther: // to the client, which is nowhere
			return url.Parse(page.location)
		default:
			return nil, fmt.Errorf("%s answered %d: %.300s", page.url.Path, page.status, page.body)
		}
		form := formPattern.FindStringSubmatch(page.body)
		if form == nil {
			return page.url, nil
		}
		values := url.Values{"username": {br.user}, "password": {password}, "decision": {"allow"}}
		for _, input := range inputPattern.FindAllStringSubmatch(page.body, -1) {
			values.Set(input[1], html.UnescapeString(input[2]))
		}
		action, err := page.url.Parse(html.UnescapeString(form[1]))
		if err != nil {
			return nil, err
		}
		if req, err = br.request(http.MethodPost, action.String(), strings.NewReader(values.Encode())); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the issuer never stops asking")
}

func (br *browser) request(method, target string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(br.b.ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/html")
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", br.b.config.Issuer)
	}
	return req, nil
}

// answer is a response whose body is read.
type answer struct {
	status   int
	url      *url.URL
	location string
	body     string
}

func (br *browser) do(req *http.Request) (answer, error) {
	resp, err := br.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Request.URL, resp.Header.Get("Location"), string(body)}, err
}

// session signs in at the gate for browsers and returns the Cookie header that goes on with.
func (br *browser) session() (string, error) {
	page := "http://" + site(br.b.config.Ports.Session) + "/"
	if _, err := br.open(page); err != nil {
		return "", err
	}
	at, err := url.Parse(page)
	if err != nil {
		return "", err
	}
	var cookies []string
	for _, cookie := range br.client.Jar.Cookies(at) {
		cookies = append(cookies, cookie.Name+"="+cookie.Value)
	}
	return strings.Join(cookies, "; "), nil
}

// refreshToken signs in to the client "shop" by the code flow.
func (br *browser) refreshToken() (string, error) {
	c, verifier := br.b.config, oauth.NewSecret()
	query := url.Values{
		"response_type": {"code"}, "client_id": {"shop"}, "redirect_uri": {redirectURI}, "state": {"s"},
		"scope":          {"es256.read"}, // without openid: an ID token is another signature
		"code_challenge": {oauth.S256(verifier)}, "code_challenge_method": {"S256"},
	}
	back, err := br.open(c.Issuer + "/authorize?" + query.Encode())
	if err != nil {
		return "", err
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {redirectURI},
		"code_verifier": {verifier}, "client_id": {"shop"}, "client_secret": {c.Secret},
	}
	req, err := br.request(http.MethodPost, c.Issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	response, err := br.do(req)
	if err != nil {
		return "", err
	}
	refresh, err := refreshTokenOf([]byte(response.body))
	if err != nil {
		return "", fmt.Errorf("the token endpoint answered %d: %w", response.status, err)
	}
	return refresh, nil
}

// refreshTokenOf reads a token response.
func refreshTokenOf(body []byte) (string, error) {
	var response struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal(body, &response); err != nil {
		return "", err
	}
	if response.RefreshToken == "" {
		return "", fmt.Errorf("no refresh token: %.200s", body)
	}
	return response.RefreshToken, nil
}
