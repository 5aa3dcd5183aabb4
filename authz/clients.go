package authz

import "context"

// findClient returns the client of an ID, nil when there is none. It is asked anew for each request,
// since clients come and go; an error says that nobody knows now, and has the code
// temporarily_unavailable.
func (s *Server) findClient(_ context.Context, id string) (*client, error) {
	if id == GateClientID {
		return s.gate, nil
	}
	return s.clients[id], nil
}

// activeClient is findClient for clients that may be used.
func (s *Server) activeClient(ctx context.Context, id string) (*client, error) {
	c, err := s.findClient(ctx, id)
	if err != nil || c == nil || c.Disabled {
		return nil, err
	}
	return c, nil
}
