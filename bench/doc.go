// Command bench measures what the gate and the mint cost, as ratios inside one run: machines differ and are noisy, so
// that a figure alone says little. It starts one Caddy whose sites differ only in what is measured, sends it load over
// loopback, and prints one table. It always exits with 0 once it could measure: this is a benchmark, not a test.
//
//	go run ./bench [-caddy FILE] [-row REGEXP] [-rounds N] [-round DURATION] [-profile FOLDER]
//
// How a ratio comes about: the two sides take turns in short rounds, each with the same requests byte for byte; every
// pair of rounds gives one ratio of throughputs, and the table has their median, smallest and largest. A load that
// comes from elsewhere hits both sides alike, and the median forgets where it did not.
//
// The upstream of every site is a few lines in this process that answer without looking (upstream.go), since a real
// one would add a cost of its own to both sides and so flatter the gate. The load generator (load.go) writes requests
// that are ready-made and reads no more of an answer than it needs, for the same reason: both cores belong to Caddy.
//
// The row of the directory has both its sides in this process, before the OpenLDAP of examples/ldap; it is left out
// where slapd is not installed.
//
// All of it is plain HTTP on loopback, which gate and issuer take there and nowhere else. TLS would hide more of the
// gate's cost than it adds to it.
package main
