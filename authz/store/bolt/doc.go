// Package bolt is the embedded durable store: one file of go.etcd.io/bbolt, for
// one process. It is the only importer of that driver.
//
// A write answers when it is on disk. Syncing costs far more than the write
// itself, so one goroutine collects what waits and commits it together: while a
// commit is under way the next batch gathers, without any delay of its own. A
// lone writer waits for one commit; a hundred share it. (bbolt's own Batch waits
// a fixed time for company instead, which makes the lone writer slow.)
//
// The file holds three buckets: "meta" names the format, "entries" maps a key to
// its expiry (8 bytes, big-endian milliseconds since 1970, 0 for never) and
// value, and "expiry" orders the keys by that expiry, so that Purge visits only
// what it frees.
package bolt
