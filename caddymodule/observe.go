package caddymodule

import (
	"context"

	"go.uber.org/zap"

	"github.com/gatewright/gatewright/authz"
)

// audit writes the events of an authorization server as structured log entries. An event holds no
// secret, so all of it is written; what does not apply is left out.
func audit(log *zap.Logger) func(ctx context.Context, e authz.Event) {
	return func(_ context.Context, e authz.Event) {
		entry := log.Check(zap.InfoLevel, e.Name)
		if entry == nil {
			return
		}
		fields := []zap.Field{zap.String("issuer", e.Issuer)}
		for _, f := range []struct{ name, value string }{
			{"client_id", e.ClientID},
			{"sub", e.Subject},
			{"grant", e.Grant},
			{"method", e.Method},
			{"account", e.Account},
			{"address", e.Address},
			{"error", string(e.Code)},
		} {
			if f.value != "" {
				fields = append(fields, zap.String(f.name, f.value))
			}
		}
		entry.Write(fields...)
	}
}
