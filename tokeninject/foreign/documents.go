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
	now      func() time.Time
	metadata *held[*metadata]
	keys     *held[*keySet]
}

// keySet is an issuer's keys, as they were at some time.
type keySet struct {
	*token.Verifier
	fetched time.Time
}

// counts is until when what the keys say counts: then the issuer may have withdrawn them. While nobody can tell, it is
// asked in a moment.
func (k *keySet) counts(now time.Time) time.Time {
	if until := k.fetched.Add(aged); until.After(now) {
		return until
	}
	return now.Add(retryAfter)
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
	d := &Documents{url: url, http: client, now: now}
	d.metadata = newHeld(now, d.fetchMetadata)
	d.keys = newHeld(now, d.fetchKeys)
	return d, nil
}
