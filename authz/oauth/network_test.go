package oauth

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNetworkIsWhatOneClientChoosesFrom(t *testing.T) {
	for ip, want := range map[string]string{
		"2001:db8::1":           "2001:db8::/64",
		"2001:db8::ffff:0:1":    "2001:db8::/64",
		"2001:db8:0:1::1":       "2001:db8:0:1::/64",
		"fe80::1%eth0":          "fe80::/64",
		"fe80::2%eth1":          "fe80::/64",
		"192.0.2.1":             "192.0.2.1",
		"::ffff:192.0.2.1":      "192.0.2.1",
		"":                      "",
		"@":                     "@",
		"client.example":        "client.example",
		"192.0.2.1:443":         "192.0.2.1:443",
		"2001:db8::/64":         "2001:db8::/64",
		"::ffff:192.0.2.1%eth0": "192.0.2.1",
	} {
		require.Equal(t, want, Network(ip), ip)
	}
}
