// Package saml checks SAML 2.0 assertions that a client presents as a grant (RFC 7522 §3): whom an identity
// provider speaks of, for whom, and for how long.
//
// An assertion goes
//
//	read      base64url, bounded, in a form that every XML parser reads alike: no DTD, no comment, no
//	          processing instruction, no ID twice, one signature and that of the root
//	verify    by the certificates of its issuer, over the root, with SHA-2
//	examine   only what the signature covered: subject, audience, recipient, times
//
// What is examined is parsed anew from the very bytes that were digested. Whatever else the document held,
// wrapped around or beside them, is gone by then.
//
// It checks nothing twice: that an assertion is used once only is for the caller, who keeps its ID.
//
// Errors say why, for the log. Clients hear invalid_grant for all of them.
package saml
