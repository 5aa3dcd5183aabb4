// Package oauth holds the vocabulary that every part of the product shares: error codes, request
// parameters, scope strings, PKCE, redirect URI rules, challenges and secrets.
//
// It is a leaf: it imports the standard library only, so the authorization server and the gate can
// both speak it without knowing each other.
package oauth
