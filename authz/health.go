package authz

import (
	"context"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz/oauth"
)

// healthTimeout bounds how long a part may take to say that it is well.
const healthTimeout = 2 * time.Second

// health answers 200 when the server can do its work, else 503 (O6). Which part is ill is told to
// this machine only.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	parts := map[string]string{"store": "ok", "keys": "ok"}
	status, state := http.StatusOK, "ready"
	if err := s.run.store.Ping(ctx); err != nil {
		s.cfg.Logger.Error("store is not well", zap.Error(err))
		parts["store"], status, state = "failed", http.StatusServiceUnavailable, "unavailable"
	}
	doc := map[string]any{"status": state}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil && oauth.IsLoopback(host) && oauth.IsLoopback(s.clientIP(r)) {
		doc["parts"] = parts
	}
	writeJSON(w, status, doc)
}
