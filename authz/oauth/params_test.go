package oauth

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const formType = "application/x-www-form-urlencoded"

func query(encoded string) *http.Request {
	return &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/authorize", RawQuery: encoded}}
}

func form(contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

// TestParameters sends each row as a query and as a form: the rules are the same.
func TestParameters(t *testing.T) {
	for name, row := range map[string]struct {
		encoded string
		want    Params // nil: invalid_request
	}{
		"none":                      {"", Params{}},
		"RFC 6749 Appendix B":       {"a=%20%25%26%2B%C2%A3%E2%82%AC", Params{"a": {" %&+£€"}}},
		"plus is a space":           {"scope=a+b", Params{"scope": {"a b"}}},
		"no value means left out":   {"scope=&state=x&nonce", Params{"state": {"x"}}},
		"RFC 8707 resource repeats": {"resource=b&resource=a", Params{"resource": {"b", "a"}}},
		"an empty resource is none": {"resource=&resource=a&resource=", Params{"resource": {"a"}}},
		"only empty resources":      {"resource=&resource=", Params{}},
		"a space is a value":        {"scope=+", Params{"scope": {" "}}},
		"A21 client_id repeated":    {"client_id=a&client_id=b", nil},
		"A21 repeated with itself":  {"client_id=a&client_id=a", nil},
		"A21 one of the two empty":  {"client_id=a&client_id=", nil},
		"A21 redirect_uri":          {"redirect_uri=a&x=y&redirect_uri=b", nil},
		"A21 scope":                 {"scope=a&scope=b", nil},
		"A21 code_challenge":        {"code_challenge=a&code_challenge=b", nil},
		"A21 encoded name":          {"client_id=a&client%5Fid=b", nil},
		"A21 unknown parameter":     {"colour=a&colour=b", nil},
		"A21 resource in capitals":  {"Resource=a&Resource=b", nil},
		"not UTF-8":                 {"state=%ff", nil},
		"not UTF-8 in a name":       {"st%ffate=a", nil},
		"overlong UTF-8":            {"state=%c0%80", nil},
		"NUL":                       {"state=a%00b", nil},
		"NUL in a name":             {"st%00ate=a", nil},
		"NUL in a resource":         {"resource=a&resource=%00", nil},
		"broken percent":            {"state=%zz", nil},
		"semicolon":                 {"client_id=a;client_id=b", nil},
	} {
		t.Run(name, func(t *testing.T) {
			inQuery, errQuery := ParseQuery(query(row.encoded))
			inForm, errForm := ParseForm(form(formType, row.encoded))
			if row.want == nil {
				require.ErrorIs(t, errQuery, InvalidRequest)
				require.ErrorIs(t, errForm, InvalidRequest)
			} else {
				require.NoError(t, errQuery)
				require.NoError(t, errForm)
			}
			require.Equal(t, row.want, inQuery)
			require.Equal(t, row.want, inForm)
		})
	}
}

func TestParamsAreReadByName(t *testing.T) {
	p, err := ParseQuery(query("state=x&scope=&resource=a&resource=b"))
	require.NoError(t, err)
	require.Equal(t, "x", p.Get("state"))
	require.True(t, p.Has("state"))
	require.Empty(t, p.Get("scope"))
	require.False(t, p.Has("scope"))
	require.False(t, p.Has("nonce"))
	require.Equal(t, []string{"a", "b"}, p.Values("resource"))
	require.Equal(t, "a", p.Get("resource"))
	require.Empty(t, p.Values("audience"))
}

func TestRFC6749_3_2_ContentTypeOfForms(t *testing.T) {
	for contentType, accepted := range map[string]bool{
		formType:                               true,
		formType + ";charset=UTF-8":            true,
		"APPLICATION/X-WWW-Form-urlencoded":    true,
		"":                                     false,
		"application/json":                     false,
		"multipart/form-data; boundary=x":      false,
		"text/plain":                           false,
		formType + ", application/json":        false,
		"application/x-www-form-urlencoded-ng": false,
	} {
		p, err := ParseForm(form(contentType, "a=b"))
		if !accepted {
			require.ErrorIs(t, err, InvalidRequest, contentType)
			require.Nil(t, p)
			continue
		}
		require.NoError(t, err, contentType)
		require.Equal(t, "b", p.Get("a"))
	}
}

func TestRFC6749_2_3_1_NoParametersInTheURLOfAPost(t *testing.T) {
	for _, raw := range []string{"client_secret=s", "a", "&"} {
		r := form(formType, "grant_type=authorization_code")
		r.URL.RawQuery = raw
		p, err := ParseForm(r)
		require.ErrorIs(t, err, InvalidRequest, raw)
		require.Nil(t, p)
		require.NotContains(t, err.Error(), "client_secret")
	}
}

func TestSizeOfParameters(t *testing.T) {
	largest := "state=" + strings.Repeat("x", MaxForm-len("state="))
	for _, row := range []struct {
		encoded  string
		accepted bool
	}{{largest, true}, {largest + "x", false}} {
		_, errQuery := ParseQuery(query(row.encoded))
		_, errForm := ParseForm(form(formType, row.encoded))
		if row.accepted {
			require.NoError(t, errQuery)
			require.NoError(t, errForm)
		} else {
			require.ErrorIs(t, errQuery, InvalidRequest)
			require.ErrorIs(t, errForm, InvalidRequest)
		}
	}
}

func TestFormIsNotReadPastItsLimit(t *testing.T) {
	body := &endless{}
	r := form(formType, "")
	r.Body = io.NopCloser(body)
	_, err := ParseForm(r)
	require.ErrorIs(t, err, InvalidRequest)
	require.LessOrEqual(t, body.read, 2*MaxForm)
}

// endless is a body that doesn't end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return copy(p, strings.Repeat("x", len(p))), nil
}

func TestFormThatBreaksOff(t *testing.T) {
	broken := errors.New("connection reset")
	r := form(formType, "")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("grant_type=auth"), failing{broken}))
	p, err := ParseForm(r)
	require.ErrorIs(t, err, InvalidRequest)
	require.ErrorIs(t, err, broken)
	require.Nil(t, p)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
