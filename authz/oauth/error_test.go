package oauth

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStatusOfCodes(t *testing.T) {
	for code, row := range map[Code]struct {
		rule string
		want int
	}{
		InvalidRequest:                 {"RFC 6749 §5.2", http.StatusBadRequest},
		InvalidClient:                  {"RFC 6749 §5.2", http.StatusUnauthorized},
		InvalidGrant:                   {"RFC 6749 §5.2", http.StatusBadRequest},
		UnauthorizedClient:             {"RFC 6749 §5.2", http.StatusBadRequest},
		UnsupportedGrantType:           {"RFC 6749 §5.2", http.StatusBadRequest},
		InvalidScope:                   {"RFC 6749 §5.2", http.StatusBadRequest},
		UnsupportedResponseType:        {"RFC 6749 §4.1.2.1", http.StatusBadRequest},
		AccessDenied:                   {"RFC 6749 §4.1.2.1", http.StatusForbidden},
		ServerError:                    {"RFC 6749 §4.1.2.1", http.StatusInternalServerError},
		TemporarilyUnavailable:         {"RFC 6749 §4.1.2.1", http.StatusServiceUnavailable},
		InvalidToken:                   {"RFC 6750 §3.1", http.StatusUnauthorized},
		InsufficientScope:              {"RFC 6750 §3.1", http.StatusForbidden},
		InvalidTarget:                  {"RFC 8707 §2", http.StatusBadRequest},
		UnsupportedTokenType:           {"RFC 7009 §2.2.1", http.StatusBadRequest},
		LoginRequired:                  {"OpenID Connect Core §3.1.2.6", http.StatusBadRequest},
		InvalidRequestURI:              {"OpenID Connect Core §3.1.2.6", http.StatusBadRequest},
		InsufficientUserAuthentication: {"RFC 9470 §3", http.StatusUnauthorized},
	} {
		require.Equal(t, row.want, code.Status(), "%s %s", row.rule, code)
	}
}

func TestErrorKeepsCodeAndCause(t *testing.T) {
	plain := Errorf(InvalidGrant, "the code is used %d times", 2)
	require.EqualError(t, plain, "invalid_grant: the code is used 2 times")
	require.ErrorIs(t, plain, InvalidGrant)
	require.NotErrorIs(t, plain, InvalidRequest)
	require.NotErrorIs(t, plain, io.EOF)
	require.NotContains(t, plain.Unwrap(), nil)

	caused := plain.Because(fmt.Errorf("store: %w", io.EOF))
	require.EqualError(t, caused, "invalid_grant: the code is used 2 times: store: EOF")
	require.ErrorIs(t, caused, InvalidGrant)
	require.ErrorIs(t, caused, io.EOF)
	require.Equal(t, plain.Description, caused.Description, "the cause is for the log alone")
	require.NoError(t, plain.Cause, "errors are shared, so Because changes a copy")

	require.EqualError(t, &Error{Code: AccessDenied}, "access_denied")
}

func TestFrom(t *testing.T) {
	known := Errorf(InvalidScope, "no such scope").Because(io.EOF)
	for name, row := range map[string]struct {
		err  error
		code Code
		told string
	}{
		"an error with a code":       {known, InvalidScope, "no such scope"},
		"one that is wrapped":        {fmt.Errorf("token: %w", known), InvalidScope, "no such scope"},
		"one among others":           {errors.Join(io.ErrClosedPipe, known), InvalidScope, "no such scope"},
		"a bare code":                {AccessDenied, AccessDenied, ""},
		"a bare code that's wrapped": {fmt.Errorf("%w of 10.0.0.7", AccessDenied), AccessDenied, ""},
		"any other error":            {fmt.Errorf("dial 10.0.0.7: %w", io.EOF), ServerError, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := From(row.err)
			require.Equal(t, row.code, e.Code)
			require.Equal(t, row.told, e.Description)
			require.ErrorIs(t, e, row.code)
		})
	}
	require.Same(t, known, From(known))
	require.ErrorIs(t, From(fmt.Errorf("dial: %w", io.EOF)), io.EOF, "the log wants the cause")
}
