package oauth

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxForm is the largest request body or query that is read, in bytes.
const MaxForm = 64 << 10

// Params are the parameters of one request, each at most once (RFC 6749 §3.1, §3.2) save
// "resource", which RFC 8707 §2 lets repeat. A parameter without a value counts as left out.
type Params map[string][]string

// Get returns the value of a parameter, "" when it was left out.
func (p Params) Get(name string) string {
	if v := p[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Has tells whether the parameter was sent with a value.
func (p Params) Has(name string) bool { return len(p[name]) > 0 }

// Values returns every value of a parameter that may repeat.
func (p Params) Values(name string) []string { return p[name] }

// ParseQuery reads parameters from the URL of a GET request.
func ParseQuery(r *http.Request) (Params, error) {
	if len(r.URL.RawQuery) > MaxForm {
		return nil, Errorf(InvalidRequest, "the request is too large")
	}
	return parse(r.URL.RawQuery, nil)
}

// ParseForm reads parameters from the body of a POST request. Only
// application/x-www-form-urlencoded is taken (RFC 6749 §3.2), and what stands in the URL is refused
// rather than mixed in: a secret in a URL ends up in logs. Names in repeatable may stand more than
// once, such as the check boxes of a page.
func ParseForm(r *http.Request, repeatable ...string) (Params, error) {
	if !IsForm(r) {
		return nil, Errorf(InvalidRequest, "the body must be application/x-www-form-urlencoded")
	}
	if r.URL.RawQuery != "" {
		return nil, Errorf(InvalidRequest, "parameters belong in the body, not in the URL")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxForm+1))
	if err != nil {
		return nil, Errorf(InvalidRequest, "the body could not be read").Because(err)
	}
	if len(body) > MaxForm {
		return nil, Errorf(InvalidRequest, "the request is too large")
	}
	return parse(string(body), repeatable)
}

// IsForm tells whether a request's body is application/x-www-form-urlencoded. The plain spelling,
// which nearly all clients send, is spared the parser.
func IsForm(r *http.Request) bool {
	const form = "application/x-www-form-urlencoded"
	contentType := r.Header.Get("Content-Type")
	if contentType == form {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == form
}

func parse(encoded string, repeatable []string) (Params, error) {
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, Errorf(InvalidRequest, "the parameters are not correctly encoded").Because(err)
	}
	for name, list := range values {
		if err := check(name, list, repeatable); err != nil {
			return nil, Errorf(InvalidRequest, "a parameter is malformed or repeated").Because(err)
		}
		if list = slices.DeleteFunc(list, func(value string) bool { return value == "" }); len(list) > 0 {
			values[name] = list
		} else {
			delete(values, name)
		}
	}
	return Params(values), nil
}

var (
	errRepeated = errors.New("parameter is repeated")
	errText     = errors.New("parameter is not UTF-8 text or holds a NUL")
)

func check(name string, list, repeatable []string) error {
	switch {
	case len(list) > 1 && name != "resource" && !slices.Contains(repeatable, name):
		return errRepeated
	case notText(name), slices.ContainsFunc(list, notText):
		return errText
	}
	return nil
}

func notText(s string) bool { return !utf8.ValidString(s) || strings.ContainsRune(s, 0) }
