package fetch

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

type dialContext = func(ctx context.Context, network, address string) (net.Conn, error)

// guardedDial looks at each address in the moment of connecting: a name that resolves anew, or to
// several addresses, can't slip one past the check. Hosts that the operator allows by name are spared.
func guardedDial(allowed map[string]bool) dialContext {
	guarded := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error { return checkAddress(address) }}
	free := new(net.Dialer)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(address)
		if host = strings.ToLower(host); allowed[host] || allowed[strings.ToLower(address)] {
			return free.DialContext(ctx, network, address)
		}
		return guarded.DialContext(ctx, network, address)
	}
}

// parseHosts reads AllowHosts: host or host:port, an IPv6 address in brackets where a port follows.
func parseHosts(hosts []string) (map[string]bool, error) {
	allowed := make(map[string]bool, len(hosts))
	for _, given := range hosts {
		name := strings.ToLower(given)
		if host, port, err := net.SplitHostPort(name); err == nil {
			if _, err := strconv.ParseUint(port, 10, 16); err != nil || host == "" {
				return nil, fmt.Errorf("allow_host %q is not a host, or host:port", given)
			}
		} else if name = strings.Trim(name, "[]"); name == "" || strings.ContainsAny(name, "/*?#@ ") {
			return nil, fmt.Errorf("allow_host %q is not a host, or host:port", given)
		}
		allowed[name] = true
	}
	return allowed, nil
}

// checkAddress refuses what is not a public address, of any port.
func checkAddress(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !public(at.Addr()) {
		return fmt.Errorf("%w: %s", ErrTarget, address)
	}
	return nil
}

// globalIPv6 is all that is assigned of IPv6's unicast space (RFC 4291 §2.4): loopback, link-local,
// unique local, multicast, mapped, and NAT64 addresses (RFC 6052, RFC 8215) lie outside it.
var globalIPv6 = netip.MustParsePrefix("2000::/3")

// notPublic are the addresses that lead nowhere, inside, or to an IPv4 address written as IPv6, by the
// IANA special-purpose registries (RFC 6890), and what clouds serve their secrets at.
var notPublic = prefixes(
	"0.0.0.0/8",        // this network (RFC 791)
	"10.0.0.0/8",       // private (RFC 1918)
	"100.64.0.0/10",    // shared, behind carriers' NAT (RFC 6598)
	"127.0.0.0/8",      // loopback
	"168.63.129.16/32", // Azure's platform, at a public address
	"169.254.0.0/16",   // link-local, and most clouds' metadata
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // IETF protocol assignments
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays (RFC 7526)
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks (RFC 2544)
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, broadcast
	"2001::/23",        // IETF protocol assignments, Teredo (RFC 4380)
	"2001:db8::/32",    // documentation
	"2002::/16",        // 6to4, holds an IPv4 address (RFC 3056)
	"3fff::/20",        // documentation (RFC 9637)
)

func prefixes(texts ...string) []netip.Prefix {
	parsed := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		parsed[i] = netip.MustParsePrefix(text)
	}
	return parsed
}

func public(address netip.Addr) bool {
	if address = address.Unmap(); address.Is6() && !globalIPv6.Contains(address.WithZone("")) {
		return false
	}
	for _, prefix := range notPublic {
		if prefix.Contains(address) {
			return false
		}
	}
	return true
}
