package foreign

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gatewright/gatewright/authz/token"
)

// Documents are what an issuer publishes of itself: its metadata and its keys. They belong to a URL and to whom its
// server is trusted by, so all Issuers of that may share them, those of a later configuration as well.
type Documents struct {
	url      string
	http     *http.Client
	metadata *held[*metadata]
	keys     *held[*token.Verifier]
}

// NewDocuments makes the documents of an issuer's URL, see Config. It fetches nothing.
func NewDocuments(url string, client *http.Client, now func() time.Time) (*Documents, error) {
	if err := checkURL(url); err != nil {
		return nil, fmt.Errorf("issuer %q: %w", url, err)
	}
	if client == nil {
		client = NewClient(nil)
	}
	if now == nil {
		now = time.Now
	}
	d := &Documents{url: url, http: client}
	d.metadata = newHeld(now, d.fetchMetadata)
	d.keys = newHeld(now, d.fetchKeys)
	return d, nil
}
