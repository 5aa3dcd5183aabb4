// Package revocation is the feed of what was revoked and has not yet expired.
//
// Access tokens are self-contained, so a gate that checks one asks nobody; it
// asks the feed it holds in memory whether the token's grant family or login
// session has ended, or whether its user, its client, or what that user granted
// that client was cut off at a time not before the token's issue. Entries live until the last token they
// concern has expired, which bounds the feed.
//
// A revocation goes to the store first, then into memory, then to the
// subscribers. When the store fails it still takes effect in this process, and
// the caller learns of the failure: the feed fails closed.
//
// The package imports authz/store and the standard library.
package revocation
