/// What tells one log from another of the same name: a record that was taken from it.
package struct TopicFingerprint: Hashable, Sendable {
    package var offset: Int64
    /// Milliseconds since 1970, or nil.
    package var timestamp: Int64?
    /// CRC-32C of key and value.
    package var checksum: UInt32

    package init(offset: Int64, timestamp: Int64?, checksum: UInt32) {
        self.offset = offset
        self.timestamp = timestamp
        self.checksum = checksum
    }

    init(offset: Int64, timestamp: Int64?, key: [UInt8]?, value: [UInt8]?) {
        var checksum = CRC32C()
        // The lengths, too: or a byte could move from the key to the value, and a null be an empty text.
        for count in [key?.count ?? -1, value?.count ?? -1] {
            checksum.add((0..<4).map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) })
        }
        checksum.add(key ?? [])
        checksum.add(value ?? [])
        self.init(offset: offset, timestamp: timestamp, checksum: checksum.value)
    }

    init(of record: KafkaRecord) {
        self.init(offset: record.offset, timestamp: record.timestamp, key: record.key, value: record.value)
    }
}

/// The identifier that a cluster gives a topic when it is created (KIP-516); one that is made again has another.
package struct TopicID: Hashable, Sendable, CustomStringConvertible {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// 32 hexadecimal digits.
    package var description: String { self.high.hexadecimal + self.low.hexadecimal }
}

extension FixedWidthInteger where Self: UnsignedInteger {
    /// All digits, leading zeros too, in lower case.
    var hexadecimal: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: Self.bitWidth / 4 - digits.utf8.count) + digits
    }
}
