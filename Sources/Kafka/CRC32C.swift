/// The checksum that Kafka's own record batches have (Castagnoli's polynomial, RFC 3720 appendix B.4).
package struct CRC32C: Sendable {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 0 ? value >> 1 : value >> 1 ^ 0x82F6_3B78 }
    }

    private var state = UInt32.max

    package init() {}

    /// The checksum of everything that was added.
    package var value: UInt32 { ~self.state }

    package mutating func add(_ bytes: some Sequence<UInt8>) {
        let table = Self.table
        var state = self.state
        for byte in bytes { state = table[Int(UInt8(truncatingIfNeeded: state) ^ byte)] ^ state >> 8 }
        self.state = state
    }

    package static func of(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var checksum = Self()
        checksum.add(bytes)
        return checksum.value
    }
}
