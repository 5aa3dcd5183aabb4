package grants

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Record is what one user granted at one issuer.
type Record struct {
	// Clients holds the grants by client_id.
	Clients map[string]*Client `json:"clients,omitempty"`

	// frame is how large the document is that the record is a part of, without
	// the record; 0 for a record by itself, in a store.
	frame int
}

// Client is what a user granted to one client.
type Client struct {
	// Consents says when the user agreed to each scope.
	Consents map[string]time.Time `json:"consents,omitempty"`
	// Families are the refresh-token families, the oldest first.
	Families []Family `json:"families,omitempty"`
	// NotBefore is when the user last withdrew, or all tokens of the user were
	// ended, zero for never: tokens issued up to then are dead. Kept until
	// KeepNotBefore.
	NotBefore time.Time `json:"not_before,omitzero"`
	// KeepNotBefore is when the last token from before NotBefore has expired.
	KeepNotBefore time.Time `json:"keep_not_before,omitzero"`
}

// Family is one refresh-token family: the tokens that rotation makes of one
// authorization. A revoked family is removed, not marked.
type Family struct {
	ID     string    `json:"id"`
	Issued time.Time `json:"issued"`
	// Expires is when no token of the family lives any more; zero is never.
	Expires  time.Time `json:"expires,omitzero"`
	LastUsed time.Time `json:"last_used,omitzero"`
	// Scope is what was granted; a refresh may narrow it, never widen it.
	Scope          []string `json:"scope,omitempty"`
	ResourceServer string   `json:"resource_server,omitempty"`
	// Device is the device or revocation id that the client named, if any.
	Device string `json:"device,omitempty"`
}

// Live reports whether the family has not expired at now.
func (f Family) Live(now time.Time) bool {
	return f.Expires.IsZero() || now.Before(f.Expires)
}

// Consented returns those of scopes that the user has not agreed to for client
// since then, in their order; none missing is nil. What is older was agreed to for
// another client of the same ID; the time has whole seconds.
func (r *Record) Consented(client string, scopes []string, since time.Time) (missing []string) {
	var agreed map[string]time.Time
	if c := r.Clients[client]; c != nil {
		agreed = c.Consents
	}
	for _, scope := range scopes {
		if at, ok := agreed[scope]; !ok || at.Unix() < since.Unix() {
			missing = append(missing, scope)
		}
	}
	return missing
}

// Consent notes that the user agreed at this time to scopes for client, besides
// those agreed to before.
func (r *Record) Consent(client string, scopes []string, at time.Time) {
	if len(scopes) == 0 {
		return
	}
	c := r.client(client)
	if c.Consents == nil {
		c.Consents = make(map[string]time.Time, len(scopes))
	}
	for _, scope := range scopes {
		c.Consents[scope] = at
	}
}

// Withdraw ends all that the user granted to client and returns its families,
// for the caller to revoke. Tokens issued up to at are dead (see Withdrawn);
// keep is when the last of them has expired, and with it the note of at.
func (r *Record) Withdraw(client string, at, keep time.Time) (ended []Family) {
	c := r.Clients[client]
	if c == nil {
		return nil
	}
	c.Consents = nil
	return c.end(at, keep)
}

// EndAll ends the tokens of every client, as Withdraw does, but takes no consent
// back.
func (r *Record) EndAll(at, keep time.Time) (ended []Family) {
	for _, c := range r.Clients {
		ended = append(ended, c.end(at, keep)...)
	}
	return ended
}

// EndDevice removes the families of one device, those of the client or, where it is
// "", of every client, and returns them, for the caller to revoke.
func (r *Record) EndDevice(client, device string) (ended []Family) {
	for id, c := range r.Clients {
		if client != "" && id != client {
			continue
		}
		c.Families = slices.DeleteFunc(c.Families, func(f Family) bool {
			if f.Device != device {
				return false
			}
			ended = append(ended, f)
			return true
		})
	}
	return ended
}

// end removes all families and notes that tokens issued up to at are dead.
func (c *Client) end(at, keep time.Time) (ended []Family) {
	ended, c.Families = c.Families, nil
	if at.After(c.NotBefore) {
		c.NotBefore = at
	}
	if keep.After(c.KeepNotBefore) {
		c.KeepNotBefore = keep
	}
	return ended
}

// Withdrawn reports whether a token of client issued at this time died by Withdraw
// or EndAll. Issue times have whole seconds, so one of the same second is dead.
func (r *Record) Withdrawn(client string, issued time.Time) bool {
	c := r.Clients[client]
	return c != nil && !c.NotBefore.IsZero() && issued.Unix() <= c.NotBefore.Unix()
}

// Prune removes what has expired at now, and clients of which nothing is left.
func (r *Record) Prune(now time.Time) {
	maps.DeleteFunc(r.Clients, func(_ string, c *Client) bool {
		if c == nil {
			return true
		}
		c.Families = slices.DeleteFunc(c.Families, func(f Family) bool { return !f.Live(now) })
		if !now.Before(c.KeepNotBefore) {
			c.NotBefore, c.KeepNotBefore = time.Time{}, time.Time{}
		}
		return len(c.Consents) == 0 && len(c.Families) == 0 && c.NotBefore.IsZero()
	})
}

// Empty reports whether nothing is granted. Prune first.
func (r *Record) Empty() bool { return len(r.Clients) == 0 }

// Expires returns when the record becomes empty by itself; the zero time, which
// means never, when a consent or an endless family is in it.
func (r *Record) Expires() time.Time {
	var last time.Time
	for _, c := range r.Clients {
		if len(c.Consents) > 0 {
			return time.Time{}
		}
		if c.KeepNotBefore.After(last) {
			last = c.KeepNotBefore
		}
		for _, f := range c.Families {
			if f.Expires.IsZero() {
				return time.Time{}
			}
			if f.Expires.After(last) {
				last = f.Expires
			}
		}
	}
	return last
}

// Size returns the length in bytes of the record, encoded as JSON, or of the
// document in the directory that it is a part of, as it would be written now.
func (r *Record) Size() (int, error) {
	if r.frame > 0 {
		return r.documentSize()
	}
	encoded, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("grants: encode: %w", err)
	}
	return len(encoded), nil
}

func (r *Record) documentSize() (int, error) {
	texts, err := encodeClients(r.Clients)
	if err != nil {
		return 0, err
	}
	size := r.frame
	for _, text := range texts {
		size += len(text) + sealSize
	}
	return size, nil
}

// clone returns a copy that shares nothing with r.
func (r *Record) clone() *Record {
	other := &Record{Clients: make(map[string]*Client, len(r.Clients)), frame: r.frame}
	for id, c := range r.Clients {
		copied := *c
		copied.Consents = maps.Clone(c.Consents)
		copied.Families = slices.Clone(c.Families)
		for i := range copied.Families {
			copied.Families[i].Scope = slices.Clone(copied.Families[i].Scope)
		}
		other.Clients[id] = &copied
	}
	return other
}

// client returns the grants of a client to change, making them if need be.
func (r *Record) client(id string) *Client {
	if r.Clients == nil {
		r.Clients = make(map[string]*Client)
	}
	c := r.Clients[id]
	if c == nil {
		c = &Client{}
		r.Clients[id] = c
	}
	return c
}
