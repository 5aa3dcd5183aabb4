// Package grants keeps what a user has granted to clients: the scopes the user
// agreed to, and the refresh-token families that came of it. It holds no usable
// token.
//
// A [Record] is all of one user at one issuer, and is read and written as a
// whole: a consent page, a new family and a withdrawal that race each other
// never lose one another's change. [Grants] is where records live; [NewStored]
// keeps them in a store, and a user directory can keep them by the same
// interface. The rules are methods of Record and know neither.
//
// A record is bounded: [MaxFamilies] living families a client, [MaxSize] bytes
// in all. Where a family makes room for another, the caller learns which, to
// revoke it.
//
// The package imports authz/store and the standard library.
package grants
