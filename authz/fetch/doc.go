// Package fetch gets documents from URLs that clients name: their key sets, request objects and sector
// files, and it posts to the addresses where they want to hear of logouts.
//
// Whoever registers a client chooses such a URL, and with it what this machine connects to. So a
// [Fetcher] takes https only, follows no redirect, uses no proxy, and looks at the address of every
// connection in the moment it is made, whatever name led there and whatever that name said before: it
// must be a public one (A51). Size and time are bounded, and so is how many requests run at once:
// in all, and for each whose URLs others have us follow ([Fetcher.Apart], [Fetcher.Share]).
// Errors are for the log only: told to a client, they would map the network from within.
//
// An operator's own URLs are another matter: see [Fetcher.Trusting].
//
// It is a leaf: of ours it imports the vocabulary only.
package fetch
