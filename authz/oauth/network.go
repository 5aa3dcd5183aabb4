package oauth

import "net/netip"

// Network is what limits per client count by: of an IPv6 address its /64, from which one client
// chooses addresses as it likes; of an IPv4 address, also one written as IPv6, the address itself.
// Anything else comes back as it is.
func Network(ip string) string {
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	if address = address.Unmap(); address.Is4() {
		return address.String()
	}
	return netip.PrefixFrom(address.WithZone(""), 64).Masked().String()
}
