package grants

import "slices"

// MaxFamilies is how many families of one client live at a time.
const MaxFamilies = 10

// familySpace is how large a record grows by families, in a document that has
// frame bytes besides. The rest of MaxSize is left to consents: a user with many
// families can still agree to something.
func familySpace(frame int) int { return frame + (MaxSize-frame)/4*3 }

// Family returns the family of client with this id, nil when there is none. It
// may be changed until families are next added or removed.
func (r *Record) Family(client, id string) *Family {
	c := r.Clients[client]
	if c == nil {
		return nil
	}
	i := c.index(id)
	if i < 0 {
		return nil
	}
	return &c.Families[i]
}

// AddFamily adds a family to client, in place of one with the same id, and
// returns the families that had to go for it, for the caller to revoke: the
// oldest of the client beyond MaxFamilies, and, when the record outgrows its
// space, the oldest of whichever client has most. A client keeps its newest
// family, and the new one always stays. Prune first, as Update does, or expired
// families count.
func (r *Record) AddFamily(client string, f Family) (dropped []Family) {
	c := r.client(client)
	if i := c.index(f.ID); i >= 0 {
		c.Families = slices.Delete(c.Families, i, i+1)
	}
	dropped = c.dropOldest(MaxFamilies - 1)
	c.Families = append(c.Families, f)
	slices.SortStableFunc(c.Families, func(a, b Family) int { return a.Issued.Compare(b.Issued) })
	return append(dropped, r.makeRoom(f.ID)...)
}

// RemoveFamily removes the family with this id, of whichever client, and
// returns it; ok is false when there is none.
func (r *Record) RemoveFamily(id string) (removed Family, ok bool) {
	for _, c := range r.Clients {
		if i := c.index(id); i >= 0 {
			removed = c.Families[i]
			c.Families = slices.Delete(c.Families, i, i+1)
			return removed, true
		}
	}
	return Family{}, false
}

// makeRoom drops families while the record is larger than its familySpace, but
// not the one with the id keep. A record that cannot be encoded is left alone, for
// Update to report.
func (r *Record) makeRoom(keep string) (dropped []Family) {
	for {
		size, err := r.Size()
		if err != nil || size <= familySpace(r.frame) {
			return dropped
		}
		c := r.largest()
		if c == nil {
			return dropped
		}
		i := 0
		if c.Families[0].ID == keep {
			i = 1
		}
		dropped = append(dropped, c.Families[i])
		c.Families = slices.Delete(c.Families, i, i+1)
	}
}

// largest returns the client with most families, of at least two, and among
// equals the one with the oldest; nil when there is none.
func (r *Record) largest() (most *Client) {
	for _, c := range r.Clients {
		switch {
		case len(c.Families) < 2:
		case most == nil || len(c.Families) > len(most.Families):
			most = c
		case len(c.Families) == len(most.Families) && c.Families[0].Issued.Before(most.Families[0].Issued):
			most = c
		}
	}
	return most
}

// dropOldest removes families from the front until at most n are left.
func (c *Client) dropOldest(n int) (dropped []Family) {
	excess := len(c.Families) - n
	if excess <= 0 {
		return nil
	}
	dropped = slices.Clone(c.Families[:excess])
	c.Families = slices.Delete(c.Families, 0, excess)
	return dropped
}

// index returns where the family with this id is, -1 for nowhere.
func (c *Client) index(id string) int {
	return slices.IndexFunc(c.Families, func(f Family) bool { return f.ID == id })
}
