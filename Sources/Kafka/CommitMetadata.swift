import AfterloginCRDKafka

/// What a commit says beside its offset, in the text that brokers keep with it.
///
/// `al1;`, then fields, then `#` and the CRC-32C of all before it as eight hexadecimal digits. A field is its tag (a lower-case letter), the length of its
/// text, a colon, the text and a semicolon: `m5:1-3.7;`. Tags: `m` the completion map, `f` the fingerprint, `t` the topic's identifier. Unknown tags are
/// skipped, and dropped when the offset is committed again. Everything is printable ASCII.
struct CommitMetadata: Hashable, Sendable {
    /// What stood in a committed offset.
    enum Reading: Hashable, Sendable {
        /// Nothing: of an older version, or of another program that commits offsets only.
        case empty
        case own(CommitMetadata)
        /// Damaged, of a later version, or of another program: to be ignored, but said.
        case foreign
    }

    /// The completion map; what it says is the ledger's.
    var map: [UInt8] = []
    var fingerprint: TopicFingerprint?
    var topicID: TopicID?

    private static let prefix = Array("al1;".utf8)
    private static let checksumLength = 9

    /// The text for the broker.
    ///
    /// - Throws: `OFFSET_METADATA_TOO_LARGE` where the map is too long, `_INVALID_ARG` where it is not printable ASCII.
    func encoded() throws(KafkaError) -> [UInt8] {
        guard self.map.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, "a completion map must be printable ASCII")
        }
        var bytes = Self.prefix
        if !self.map.isEmpty { bytes.append(field: "m", self.map) }
        if let fingerprint { bytes.append(field: "f", Array(fingerprint.text.utf8)) }
        if let topicID { bytes.append(field: "t", Array(topicID.description.utf8)) }
        bytes += "#\(CRC32C.of(bytes).hexadecimal)".utf8
        guard self.map.count <= OffsetCommit.maxMapBytes, bytes.count <= OffsetCommit.maxMetadataBytes else {
            throw KafkaError(
                RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE,
                "a completion map of \(self.map.count) bytes, \(OffsetCommit.maxMapBytes) at most"
            )
        }
        return bytes
    }

    static func read(_ bytes: [UInt8]) -> Reading {
        guard !bytes.isEmpty else { return .empty }
        let end = bytes.count - Self.checksumLength
        guard end >= Self.prefix.count, bytes.starts(with: Self.prefix),
            bytes[end...].elementsEqual("#\(CRC32C.of(bytes[..<end]).hexadecimal)".utf8)
        else { return .foreign }
        var metadata = CommitMetadata()
        var rest = bytes[Self.prefix.count..<end]
        var seen: Set<UInt8> = []
        while !rest.isEmpty {
            guard let field = rest.removeField(), seen.insert(field.tag).inserted,
                metadata.take(field.tag, Array(field.text))
            else { return .foreign }
        }
        return .own(metadata)
    }

    /// False where the text is not what the tag announces.
    private mutating func take(_ tag: UInt8, _ text: [UInt8]) -> Bool {
        switch tag {
        case UInt8(ascii: "m"):
            self.map = text
            return true
        case UInt8(ascii: "f"):
            self.fingerprint = TopicFingerprint(text)
            return self.fingerprint != nil
        case UInt8(ascii: "t"):
            self.topicID = TopicID(text)
            return self.topicID != nil
        default: return true
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(field tag: Character, _ text: [UInt8]) {
        self += "\(tag)\(text.count):".utf8
        self += text
        self.append(UInt8(ascii: ";"))
    }
}

extension ArraySlice<UInt8> {
    /// Takes the first field off; nil where there is none that is whole.
    fileprivate mutating func removeField() -> (tag: UInt8, text: ArraySlice<UInt8>)? {
        guard let tag = self.popFirst(), (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(tag),
            let colon = self.prefix(6).firstIndex(of: UInt8(ascii: ":")),
            let count = Int(digits: self[self.startIndex..<colon])
        else { return nil }
        self = self[(colon + 1)...]
        guard count < self.count, self[self.startIndex + count] == UInt8(ascii: ";") else { return nil }
        let text = self.prefix(count)
        self = self.dropFirst(count + 1)
        return text.allSatisfy { (0x20...0x7E).contains($0) } ? (tag, text) : nil
    }
}

extension Int {
    /// Decimal digits only, no sign.
    fileprivate init?(digits: ArraySlice<UInt8>) {
        guard !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        self.init(String(decoding: digits, as: UTF8.self))
    }
}

extension TopicFingerprint {
    /// Offset, timestamp (or nothing) and checksum.
    fileprivate var text: String {
        "\(self.offset),\(self.timestamp.map(String.init) ?? ""),\(self.checksum.hexadecimal)"
    }

    fileprivate init?(_ text: [UInt8]) {
        let parts = text.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        guard parts.count == 3, let offset = Int(digits: parts[0]),
            let checksum = UInt32(hexadecimal: parts[2])
        else { return nil }
        let timestamp = Int(digits: parts[1])
        guard timestamp != nil || parts[1].isEmpty else { return nil }
        self.init(offset: Int64(offset), timestamp: timestamp.map(Int64.init), checksum: checksum)
    }
}

extension TopicID {
    fileprivate init?(_ text: [UInt8]) {
        guard let high = UInt64(hexadecimal: text.prefix(16)), let low = UInt64(hexadecimal: text.dropFirst(16)) else {
            return nil
        }
        self.init(high: high, low: low)
    }
}

extension FixedWidthInteger where Self: UnsignedInteger {
    /// Reads all digits that `hexadecimal` writes, and nothing else.
    fileprivate init?(hexadecimal digits: ArraySlice<UInt8>) {
        guard digits.count == Self.bitWidth / 4,
            let value = Self(String(decoding: digits, as: UTF8.self), radix: 16),
            digits.elementsEqual(value.hexadecimal.utf8)
        else { return nil }
        self = value
    }
}
