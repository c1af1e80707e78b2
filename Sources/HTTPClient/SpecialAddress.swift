/// Whether an address is one that the internet does not route to (the registries of RFC 6890).
package enum SpecialAddress {
    /// Prefixes of IPv4, with their lengths in bits.
    private static let networks: [(prefix: UInt32, bits: UInt32)] = [
        (0x0000_0000, 8),  // "this network"
        (0x0a00_0000, 8),  // private
        (0x6440_0000, 10),  // carrier-grade NAT
        (0x7f00_0000, 8),  // loopback
        (0xa9fe_0000, 16),  // link-local, where clouds keep their metadata
        (0xac10_0000, 12),  // private
        (0xc000_0000, 24),  // IETF protocol assignments
        (0xc000_0200, 24),  // documentation
        (0xc058_6300, 24),  // 6to4 relays
        (0xc0a8_0000, 16),  // private
        (0xc612_0000, 15),  // benchmarking
        (0xc633_6400, 24),  // documentation
        (0xcb00_7100, 24),  // documentation
        (0xe000_0000, 4),  // multicast
        (0xf000_0000, 4),  // reserved, broadcast
    ]

    /// Whether an IPv4 address, in host byte order, is one.
    package static func contains(ipv4 address: UInt32) -> Bool {
        self.networks.contains { (address ^ $0.prefix) >> (32 - $0.bits) == 0 }
    }

    /// Whether an IPv6 address is one; `high` is its first eight bytes, in host byte order.
    package static func contains(ipv6 high: UInt64, _ low: UInt64) -> Bool {
        // What carries an IPv4 address leads to that one: mapped, and NAT64.
        if high == 0, low >> 32 == 0xffff { return self.contains(ipv4: UInt32(truncatingIfNeeded: low)) }
        if high == 0x0064_ff9b_0000_0000, low >> 32 == 0 { return self.contains(ipv4: UInt32(truncatingIfNeeded: low)) }
        // Global unicast is 2000::/3; nothing else is routed.
        guard high >> 61 == 0b001 else { return true }
        return high >> 41 == 0x2001_0000 >> 9  // 2001::/23: protocol assignments, Teredo among them
            || high >> 32 == 0x2001_0db8  // documentation
            || high >> 48 == 0x2002  // 6to4
            || high >> 44 == 0x3fff0  // documentation
    }
}
