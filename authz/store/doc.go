// Package store says what the authorization server needs of a place to keep
// short-lived state: opaque bytes under a key, an expiry, and one atomic step.
//
// Everything else is built from that step, so a new kind of record adds no
// method to any store: [Take] redeems a single-use value, [Records] is a typed
// view that hashes identifiers before they become keys, and [Namespace] gives
// each issuer a part of one store.
//
// The invariants every store keeps, and storetest.Run checks:
//
//   - an expired entry is absent, whether or not it has been purged;
//   - of N concurrent updates of a key, each sees the result of the one before;
//   - an update whose function fails changes nothing;
//   - bytes going in and out are copies.
//
// [Memory] is for tests and development; the folders beside this file hold the
// durable stores, each the only importer of its driver. The package imports
// nothing but the standard library.
package store
