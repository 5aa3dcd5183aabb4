package authz

import (
	"context"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/users"
)

// healthTimeout bounds how long a part may take to say that it is well.
const healthTimeout = 2 * time.Second

// health answers 200 when the server can do its work, else 503 (O6). Which part is ill is told to
// this machine only.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	parts := map[string]string{}
	status, state := http.StatusOK, "ready"
	for name, check := range s.vitals() {
		parts[name] = "ok"
		if err := check(ctx); err != nil {
			s.cfg.Logger.Error("a part is not well", zap.String("part", name), zap.Error(err))
			parts[name], status, state = "failed", http.StatusServiceUnavailable, "unavailable"
		}
	}
	doc := map[string]any{"status": state}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil && oauth.IsLoopback(host) && oauth.IsLoopback(s.clientIP(r)) {
		doc["parts"] = parts
	}
	writeJSON(w, status, doc)
}

// vitals are the parts without which the server can't do its work.
func (s *Server) vitals() map[string]func(context.Context) error {
	vitals := map[string]func(context.Context) error{"store": s.run.store.Ping, "keys": s.checkKeys}
	if checker, ok := s.cfg.Users.(users.HealthChecker); ok {
		vitals["directory"] = checker.Health
	}
	return vitals
}

// checkKeys signs something and reads it again.
func (s *Server) checkKeys(context.Context) error {
	raw, err := s.run.keys().Sign(s.cfg.Signing.AccessToken, healthType, []byte("{}"))
	if err != nil {
		return err
	}
	_, err = s.run.keys().Verifier().Verify(raw, healthType)
	return err
}

// healthType makes what checkKeys signs good for nothing else.
const healthType = "health"
