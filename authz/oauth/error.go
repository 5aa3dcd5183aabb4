package oauth

import (
	"errors"
	"fmt"
	"net/http"
)

// Code is an error code of an RFC. It is itself an error, so errors.Is(err, oauth.InvalidGrant)
// works on any error made here.
type Code string

// Error codes of RFC 6749 §4.1.2.1 and §5.2.
const (
	InvalidRequest          Code = "invalid_request"
	InvalidClient           Code = "invalid_client"
	InvalidGrant            Code = "invalid_grant"
	InvalidScope            Code = "invalid_scope"
	UnauthorizedClient      Code = "unauthorized_client"
	UnsupportedGrantType    Code = "unsupported_grant_type"
	UnsupportedResponseType Code = "unsupported_response_type"
	AccessDenied            Code = "access_denied"
	ServerError             Code = "server_error"
	TemporarilyUnavailable  Code = "temporarily_unavailable"
)

// Error codes of other specifications.
const (
	InvalidToken             Code = "invalid_token"              // RFC 6750 §3.1
	InsufficientScope        Code = "insufficient_scope"         // RFC 6750 §3.1
	InvalidTarget            Code = "invalid_target"             // RFC 8707 §2
	UnsupportedTokenType     Code = "unsupported_token_type"     // RFC 7009 §2.2.1
	LoginRequired            Code = "login_required"             // OpenID Connect Core §3.1.2.6
	ConsentRequired          Code = "consent_required"           // OpenID Connect Core §3.1.2.6
	InteractionRequired      Code = "interaction_required"       // OpenID Connect Core §3.1.2.6
	InvalidRequestURI        Code = "invalid_request_uri"        // OpenID Connect Core §3.1.2.6
	InvalidRequestObject     Code = "invalid_request_object"     // OpenID Connect Core §3.1.2.6
	RegistrationNotSupported Code = "registration_not_supported" // OpenID Connect Core §3.1.2.6
	InvalidRedirectURI       Code = "invalid_redirect_uri"       // RFC 7591 §3.2.2
	InvalidClientMetadata    Code = "invalid_client_metadata"    // RFC 7591 §3.2.2
	InvalidSoftwareStatement Code = "invalid_software_statement" // RFC 7591 §3.2.2
	// UnapprovedSoftwareStatement says that a software statement is nobody's whom the server trusts (RFC 7591 §3.2.2).
	UnapprovedSoftwareStatement Code = "unapproved_software_statement"
	// UnmetAuthenticationRequirements is OpenID Connect Core Error Code UNMET_AUTHENTICATION_REQUIREMENTS.
	UnmetAuthenticationRequirements Code = "unmet_authentication_requirements"
	// InsufficientUserAuthentication asks for a stronger or fresher login (RFC 9470 §3).
	InsufficientUserAuthentication Code = "insufficient_user_authentication"
)

// Error returns the code as it goes over the wire.
func (c Code) Error() string { return string(c) }

// Status is the HTTP status that carries the code in a direct answer (RFC 6749 §5.2, RFC 6750 §3.1).
func (c Code) Status() int {
	switch c {
	case InvalidClient, InvalidToken, InsufficientUserAuthentication, InvalidSoftwareStatement:
		return http.StatusUnauthorized
	case InsufficientScope, AccessDenied:
		return http.StatusForbidden
	case ServerError:
		return http.StatusInternalServerError
	case TemporarilyUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

// Error is what one request gets wrong. Code and Description go to the client and hold nothing
// secret; Cause stays in the log.
type Error struct {
	Code        Code
	Description string
	Cause       error
}

// Errorf makes an Error whose description is meant for the client.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Description: fmt.Sprintf(format, args...)}
}

// Because adds the cause, which only the log sees.
func (e *Error) Because(cause error) *Error {
	return &Error{Code: e.Code, Description: e.Description, Cause: cause}
}

// Error is for the log: it holds the cause as well.
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Description != "" {
		text += ": " + e.Description
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap makes errors.Is find both the code and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Cause}
}

// From turns any error into one with a code. What has none is a server_error without a word to the
// client, so that no internals leak by accident.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if code, ok := errors.AsType[Code](err); ok {
		return &Error{Code: code, Cause: err}
	}
	return &Error{Code: ServerError, Cause: err}
}
