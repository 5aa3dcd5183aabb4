package foreign

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz/token"
	"github.com/gatewright/gatewright/tokeninject"
)

// Open verifies an access token as RFC 9068 has it. What is none, being opaque or of another profile, is
// shown to the issuer where the operator said so. until is how long its word counts, or its keys do.
func (i *Issuer) Open(ctx context.Context, raw string, decrypt tokeninject.Decrypt) (payload []byte, until time.Time, err error) {
	if decrypt != nil {
		if raw, err = decrypt(ctx); err != nil {
			return nil, time.Time{}, err
		}
	}
	if signed(raw) {
		payload, until, err = i.verify(ctx, raw, token.TypeAccessToken)
		if err == nil || i.cfg.Introspection == nil || !errors.Is(err, token.ErrType) {
			return payload, until, err
		}
	}
	if i.cfg.Introspection == nil {
		return nil, time.Time{}, errOpaque
	}
	return i.introspect(ctx, raw)
}

// errOpaque is a token that only the issuer can tell the worth of, and nobody may ask it.
var errOpaque = errors.New("the token is no signed JWT, and the gate has no introspect")

func signed(raw string) bool { return strings.Count(raw, ".") == 2 }
