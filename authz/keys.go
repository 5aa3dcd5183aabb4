package authz

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/gatewright/gatewright/authz/token"
)

// keyDocument is the name under which a server's keys are kept.
const keyDocument = "keys.json"

// loadKeys reads the server's keys and makes what is missing. Making happens under a lock, so that
// the nodes of a cluster agree on one set.
func (s *Server) loadKeys(ctx context.Context) (*token.Keys, error) {
	keys, complete, err := s.readKeys(ctx)
	if err != nil || complete {
		return keys, err
	}
	if err := s.cfg.Keys.Lock(ctx, keyDocument); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	defer func() { _ = s.cfg.Keys.Unlock(context.WithoutCancel(ctx), keyDocument) }()
	keys, complete, err = s.readKeys(ctx) // another node may have been first
	if err != nil || complete {
		return keys, err
	}
	document, err := keys.Marshal()
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Keys.Save(ctx, keyDocument, document); err != nil {
		return nil, fmt.Errorf("save: %w", err)
	}
	return keys, nil
}

// readKeys returns a full set of keys; complete is false when some were made just now.
func (s *Server) readKeys(ctx context.Context) (keys *token.Keys, complete bool, err error) {
	document, err := s.cfg.Keys.Load(ctx, keyDocument)
	if errors.Is(err, fs.ErrNotExist) {
		keys, err = token.GenerateKeys(s.cfg.Signing.Algorithms, s.now())
		return keys, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("load: %w", err)
	}
	if keys, err = token.ParseKeys(document); err != nil {
		return nil, false, err
	}
	keys, added, err := keys.WithAlgorithms(s.cfg.Signing.Algorithms, s.now())
	return keys, !added, err
}
