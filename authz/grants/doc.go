// Package grants keeps what a user has granted to clients: the scopes the user
// agreed to, and the refresh-token families that came of it. It holds no usable
// token.
//
// A [Record] is all of one user at one issuer, and is read and written as a
// whole: a consent page, a new family and a withdrawal that race each other
// never lose one another's change. [Grants] is where records live: [NewStored]
// keeps them in a store, [NewDirectory] in an attribute of the user's own entry
// in a directory. The rules are methods of Record and know neither.
//
// A record is bounded: [MaxFamilies] living families a client, [MaxSize] bytes
// in all. Where a family makes room for another, the caller learns which, to
// revoke it.
//
// # The document in the directory
//
// The attribute holds one XML 1.0 document in UTF-8, of at most MaxSize bytes
// and without a document type. examples/ldap/schema/grants.xsd is its schema.
//
//	<grants xmlns="https://github.com/gatewright/gatewright/grants" version="1">
//	  <issuer id="https://id.example">
//	    <client seal="…" id="mail-app" not-before="…" keep-not-before="…">
//	      <consent scope="mail" at="2030-01-02T03:04:05Z"/>
//	      <family id="…" issued="…" expires="…" last-used="…"
//	              scope="mail files" resource-server="api" device="phone"/>
//	    </client>
//	  </issuer>
//	</grants>
//
// Times are xs:dateTime in UTC, to the nanosecond. What an attribute would say
// of a zero value is left out, but for at and issued. A family's id opens
// nothing: tokens are made of keys that are not here.
//
//   - Each issuer has an element of its own. An issuer writes that one and keeps
//     every other byte as it was, another's elements included.
//   - A content with another root element, of another version, or that is not
//     well-formed is not ours to overwrite: [ErrForeign].
//   - Each client element is sealed: a MAC, under a key that is used for nothing
//     else and must never be lost, over the version, the issuer, the subject,
//     the client and the canonical form of the element. That form is what this
//     package writes: the order above, no white space, clients by id, consents by
//     scope, families from the oldest, times in UTC. So re-indenting does no
//     harm, while a client element that was altered, or copied to another user,
//     issuer or client, grants nothing. It stays as it is until that client is
//     granted something again.
//
// What a seal can't see is an old value that comes back, from a replica, a
// backup, or by hand. What was revoked or withdrawn is therefore kept in the
// store, too, until it would have expired, and wins over the directory.
//
// # When the directory is written
//
// When a family begins or ends and when consent is given or withdrawn, and for
// the last use of a family at most hourly. An Update that changes no more than
// that writes nothing. For some time after a write, that user's grants are read
// from the write server, since replicas may lag.
//
// The package imports authz/store, authz/users, zap and the standard library.
package grants
