package authz

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/token"
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

func (s *Server) checkKeys(context.Context) error { return s.tryKeys(s.run.keys()) }

// tryKeys signs something and reads it again.
func (s *Server) tryKeys(keys *token.Keys) error {
	raw, err := keys.Sign(s.cfg.Signing.AccessToken, healthType, []byte("{}"))
	if err != nil {
		return err
	}
	_, err = keys.Verifier().Verify(raw, healthType)
	return err
}

// ExamineKeys reads the keys as Start would, changes nothing, and tries them. It returns the algorithms that they
// sign with; fs.ErrNotExist before the first Start.
func (s *Server) ExamineKeys(ctx context.Context) (algorithms []string, err error) {
	ring := &keyring{store: s.cfg.Keys, plan: s.keyPlan, now: s.now, log: s.cfg.Logger}
	document, err := ring.load(ctx)
	if err == nil && document == nil {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	keys, _, err := ring.after(document, ring.plan.Adopt)
	if err == nil {
		err = s.tryKeys(keys)
	}
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	for _, algorithm := range keys.Algorithms() {
		algorithms = append(algorithms, string(algorithm))
	}
	return algorithms, nil
}

// healthType makes what checkKeys signs good for nothing else.
const healthType = "health"
