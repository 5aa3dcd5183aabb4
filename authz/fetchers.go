package authz

import "github.com/gatewright/gatewright/authz/fetch"

// fetchers get what URLs of clients name. Anybody may have a request object fetched, again and again, from a
// host that takes its time: that must not keep anybody from keys, nor what strangers registered keep others
// from theirs (A51).
type fetchers struct {
	documents *fetch.Fetcher // key sets and sector files
	objects   *fetch.Fetcher // request objects
}

func newFetchers(documents *fetch.Fetcher) fetchers { return fetchers{documents, documents.Apart()} }

// maxObjects bounds how many request objects of one client are fetched at once.
const maxObjects = 8

// forClient has request objects in a share of the client's own.
func (f fetchers) forClient() fetchers { return fetchers{f.documents, f.objects.Share(maxObjects)} }

// registrationFetchers are those of a registered client.
func (s *Server) registrationFetchers(rec *registration) fetchers {
	if rec.unverified() {
		return s.strangersFetch
	}
	return s.registeredFetch
}
