package authz

import (
	"context"
	"errors"
	"net/http"

	"github.com/gatewright/gatewright/authz/oauth"
	"github.com/gatewright/gatewright/authz/store"
)

// This file lists clients: all of them to administrators, developers see their own (C2).

const (
	// listPage is how many clients one page of the list has.
	listPage = 100
	// maxCursor is the most that the cursor of the list may measure, in bytes.
	maxCursor = 256
)

// clientList is a page of clients; next, if there, is the parameter "from" of the next one.
type clientList struct {
	Clients []*clientInformation `json:"clients"`
	Next    string               `json:"next,omitempty"`
}

// listClients lists all clients to administrators, and their own to developers; without secrets.
func (s *Server) listClients(r *http.Request) (any, error) {
	who, err := s.registrant(r, nil)
	if err != nil {
		return nil, err
	}
	params, err := oauth.ParseQuery(r)
	if err != nil {
		return nil, err
	}
	if len(params.Get("from")) > maxCursor {
		return nil, oauth.Errorf(oauth.InvalidRequest, "from is none that this server gave")
	}
	var records []*registration
	list := clientList{Clients: []*clientInformation{}}
	if who.kind == registrantAdmin {
		records, list.Next, err = s.run.clients.List(r.Context(), params.Get("from"), listPage)
	} else {
		records, list.Next, err = s.ownedBy(r.Context(), who.subject, params.Get("from"))
	}
	if err != nil {
		return nil, errClientStore.Because(err)
	}
	for _, rec := range records {
		list.Clients = append(list.Clients, s.information(rec, "", ""))
	}
	return list, nil
}

func (s *Server) ownedBy(ctx context.Context, owner, from string) (records []*registration, next string, err error) {
	name := ownedBy(owner)
	owned, next, err := s.index(name).List(ctx, from, listPage)
	if err != nil {
		return nil, "", err
	}
	for _, entry := range owned {
		rec, err := s.run.clients.Get(ctx, entry.ID)
		switch {
		case err == nil && rec.Owner == owner:
			records = append(records, rec)
		case err == nil, errors.Is(err, store.ErrNotFound):
			s.sweep(ctx, name, entry)
		default:
			return nil, "", err
		}
	}
	return records, next, nil
}
