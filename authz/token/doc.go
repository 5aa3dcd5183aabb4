// Package token is the vocabulary of signed and encrypted tokens: the keys of
// one issuer, compact JWS and JWE, strict JSON, and the JWT profile for access
// tokens (RFC 9068). It decides nothing about who may have a token.
//
// A token that is made goes
//
//	AccessToken.Marshal -> Keys.Sign -> nothing | Keys.Encrypt | Encrypter.Encrypt
//	                                    (none)    (server_key)   (resource_key)
//
// and one that is taken goes the same way back
//
//	IsJWE -> Keys.Decrypt | Sealer.OpenJWE | Decrypter.Decrypt -> Verifier.Verify -> ParseAccessToken
//
// Keys are as of a time, and a Plan says what a configuration wants of them. A
// key is
//
//	next        published, and known to all nodes, but not used, for PublishAhead
//	current     signs, or encrypts for "server_key"
//	old         verifies, or decrypts, as long as anything lives that it made
//
// and then gone. Plan.Adopt, at the start of a server, brings in the keys of
// files and makes what is missing; Plan.Tend, called again and again, does what
// the time asks for; Plan.Rotate makes a next key without waiting for its time.
// Each gives new Keys, and whoever calls it stores those that differ before
// using them. When next becomes current needs no writing: every node that has
// the stored keys knows when. The private half of a generated key goes soon
// after it is old. The master secret stays for ever.
//
// What always holds:
//
//   - A key has one algorithm and one only; a token's header can't choose
//     another (RFC 8725 §3.1). Nothing in a header is a key or leads to one.
//   - Encryption wraps a signature and never replaces it: what comes out of a
//     JWE is a compact JWS, still to be verified (RFC 7519 §11.2).
//   - Everything a stranger sends is capped at MaxSize before it is looked at,
//     and has one spelling: base64url without stray bits or line breaks, JSON
//     without duplicate members, invalid Unicode or deep nesting.
//   - Keys, Verifier, Encrypter, Decrypter and Sealer never change once made
//     and are safe for concurrent use. Time is always an argument.
//   - Secrets don't print: formatting a type that holds one gives "[redacted]".
//
// Errors are kinds (ErrSignature, ErrExpired, …) wrapped with a reason for the
// log. A reason holds neither a secret nor a token, yet it isn't for clients.
//
// This is a leaf: it imports the standard library, go-jose and x/crypto, and
// nothing of this module.
package token
