package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/authz/users"
)

// live is the app of the running config. The routes of the admin API belong to the config that was loaded
// last, which may be one that was refused: they find the servers here (decision 2).
var live atomic.Pointer[App]

// Admin is the module admin.api.authz: what the commands of `caddy authz` ask of a running server.
//
//	POST /authz/keys/rotate          publishes successors of the generated keys
//	POST /authz/users/unlock         forgets wrong guesses at an account
//	POST /authz/users/reset_factor   forgets a person's second factors and wrong guesses at them, and signs them out
//
// The parameter server names the authorization server where there are several; the last two take
// {"username": "..."}. Nothing that it answers holds a secret.
type Admin struct{}

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.authz", New: func() caddy.Module { return new(Admin) }}
}

// Routes implements caddy.AdminRouter.
func (Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPath, Handler: caddy.AdminHandlerFunc(serveAdmin)}}
}

const adminPath = "/authz/"

// adminRequest is the body of a request.
type adminRequest struct {
	Username string `json:"username,omitempty"`
}

// adminActions are what can be asked, by path.
var adminActions = map[string]func(context.Context, *authz.Server, adminRequest) error{
	"keys/rotate":        func(ctx context.Context, s *authz.Server, _ adminRequest) error { return s.RotateKeys(ctx) },
	"users/unlock":       unlock,
	"users/reset_factor": resetFactor,
}

func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	action := adminActions[strings.TrimPrefix(r.URL.Path, adminPath)]
	switch {
	case action == nil:
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("there is no such action")}
	case r.Method != http.MethodPost:
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("use POST")}
	}
	var asked adminRequest
	if r.ContentLength != 0 {
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&asked); err != nil {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
		}
	}
	app := live.Load()
	if app == nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("no authorization server is running")}
	}
	is, err := app.issuer(r.URL.Query().Get("server"))
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: err}
	}
	if err := is.use(r.Context()); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
	}
	defer is.lease.give()
	if err := action(r.Context(), is.server, asked); err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, users.ErrNotFound) {
			status = http.StatusNotFound
		}
		return caddy.APIError{HTTPStatus: status, Err: err}
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string]string{"issuer": is.url})
}

func unlock(ctx context.Context, s *authz.Server, asked adminRequest) error {
	if asked.Username == "" {
		return fmt.Errorf("%w: a username is needed", users.ErrNotFound)
	}
	return s.Unlock(ctx, asked.Username)
}

func resetFactor(ctx context.Context, s *authz.Server, asked adminRequest) error {
	return s.ResetSecondFactor(ctx, asked.Username)
}

var _ caddy.AdminRouter = (*Admin)(nil)
