package oauth

import "strings"

// maxClip is the most bytes that Clip leaves of a text.
const maxClip = 64

// Clip keeps what a stranger sent from filling a log: of a long text it leaves the beginning, whole characters.
func Clip(s string) string {
	if len(s) > maxClip {
		return strings.ToValidUTF8(s[:maxClip], "") + "…"
	}
	return s
}
