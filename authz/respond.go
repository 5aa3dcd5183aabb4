package authz

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
)

// writeJSON answers with a document that no cache may keep (RFC 6749 §5.1).
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	writeDocument(w, status, body, err)
}

// writeDocument is writeJSON for what is encoded already, or could not be.
func writeDocument(w http.ResponseWriter, status int, body []byte, err error) {
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	writeAs(w, typeJSON, status, body)
}

const typeJSON = "application/json"

func writeAs(w http.ResponseWriter, contentType string, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // G705: never HTML, and no browser may take it for anything else
}

// writeError is the one place where an error becomes an answer to a client (RFC 6749 §5.2).
func writeError(w http.ResponseWriter, e *oauth.Error) { writeErrorStatus(w, statusOf(w, e), e) }

func writeErrorStatus(w http.ResponseWriter, status int, e *oauth.Error) {
	body := struct {
		Error       oauth.Code `json:"error"`
		Description string     `json:"error_description,omitempty"`
	}{e.Code, e.Description}
	writeJSON(w, status, body)
}

// setRetryAfter says in whole seconds when it is worth trying again (RFC 9110 §10.2.3).
func setRetryAfter(w http.ResponseWriter, wait time.Duration) {
	if wait > 0 { // else nobody knows
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
}

// errorPageOptions is what an error page may know of the request.
type errorPageOptions struct {
	uiLocales string
	client    *client
	back      *backView // to the client
}

// errorPage tells a person what went wrong, with a reference that the log has too.
func (s *Server) errorPage(w http.ResponseWriter, r *http.Request, err error, opts errorPageOptions) {
	e := oauth.From(err)
	reference := oauth.NewID()[:8]
	s.log(r, "error page", e, zap.String("reference", reference))
	view := errorView{Code: e.Code, Message: pageCauses.message(err, ""), Reference: reference, Back: opts.back}
	if opts.client != nil {
		view.Client = &clientView{Name: opts.client.Name}
	}
	status := statusOf(w, e)
	if e.Code == oauth.InvalidClient {
		status = http.StatusBadRequest // a 401 would need a challenge, and nobody is challenged here
	}
	s.pages.render(w, r, status, view, pageOptions{UILocales: opts.uiLocales})
}

// causes are words for errors, the first that fits.
type causes []struct {
	cause error
	key   messageKey
}

func (c causes) message(err error, otherwise messageKey) messageKey {
	for _, m := range c {
		if errors.Is(err, m.cause) {
			return m.key
		}
	}
	return otherwise
}

// pageCauses are what an error page has words for where the code alone doesn't say it.
var pageCauses = causes{
	{errInteraction, msgNothingHere},
	{errExpired, msgExpired},
	{errBrowser, msgCookiesMissing},
	{errDecided, msgAlreadyUsed},
	{errExhausted, msgFactorLocked},
	{errLocked, msgLocked},
	{errUnknownClient, msgUnknownClient},
	{errNotAdmitted, msgNotAllowed},
	{errRedirectMismatch, msgRedirectMismatch},
	{errTooMany, msgTooMany},
	{errStranger, msgStranger},
}

// log writes down why a request failed: a fault of ours as an error, a bad request for the curious.
func (s *Server) log(r *http.Request, message string, e *oauth.Error, fields ...zap.Field) {
	level := zap.InfoLevel
	if (e.Code == oauth.ServerError || e.Code == oauth.TemporarilyUnavailable) && !errors.Is(e, errTooMany) {
		level = zap.ErrorLevel
	}
	entry := s.cfg.Logger.Check(level, message)
	if entry == nil {
		return
	}
	fields = append(fields,
		zap.String("endpoint", r.URL.Path),
		zap.String("code", string(e.Code)),
		zap.String("description", e.Description),
		zap.String("remote", s.clientIP(r)),
	)
	if e.Cause != nil {
		fields = append(fields, zap.String("cause", fmt.Sprint(e.Cause)))
	}
	entry.Write(fields...)
}
