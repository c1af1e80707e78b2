import AfterloginTestSupport
import Testing

@testable import AfterloginKafka

@Suite("The metadata of a commit", .timeLimit(.minutes(1)))
struct CommitMetadataTests {
    private let full = CommitMetadata(
        map: Array("1-3.7;a:".utf8),
        fingerprint: TopicFingerprint(offset: 1_055, timestamp: 1_764_000_000_123, checksum: 0x00C0_FFEE),
        topicID: TopicID(high: 1, low: .max)
    )

    @Test func whatIsWrittenIsReadAgain() throws {
        for metadata in [self.full, CommitMetadata(), CommitMetadata(map: Array("x".utf8))] {
            #expect(CommitMetadata.read(try metadata.encoded()) == .own(metadata))
        }
        let known = "al1;m8:1-3.7;a:;f27:1055,1764000000123,00c0ffee;t32:0000000000000001ffffffffffffffff;#"
        #expect(String(decoding: try self.full.encoded().dropLast(8), as: UTF8.self) == known)
    }

    @Test func theChecksumIsKafkasOwn() {
        // RFC 3720, appendix B.4.
        #expect(CRC32C.of("123456789".utf8) == 0xE306_9283)
        #expect(CRC32C.of(Array(repeating: 0, count: 32)) == 0x8A91_36AA)
        var inParts = CRC32C()
        inParts.add("12345".utf8)
        inParts.add("6789".utf8)
        #expect(inParts.value == 0xE306_9283)
    }

    @Test func nothingIsNotForeign() { #expect(CommitMetadata.read([]) == .empty) }

    @Test(arguments: [
        "a", "map:1", "al1;", "al2;#00000000", "{\"json\":true}", "al1;m2:ab;#00000000", "NONE", ";;;;;;;;;;;;;;;;;;",
    ])
    func whatOthersWroteIsForeign(_ text: String) { #expect(CommitMetadata.read(Array(text.utf8)) == .foreign) }

    private func sealed(_ fields: String) -> [UInt8] {
        let text = "al1;" + fields
        return Array("\(text)#\(CRC32C.of(text.utf8).hexadecimal)".utf8)
    }

    @Test func unknownTagsAreSkippedAndDropped() throws {
        let read = CommitMetadata.read(self.sealed("z3:abc;m1:x;c1:1;"))
        #expect(read == .own(CommitMetadata(map: Array("x".utf8))))
        #expect(try CommitMetadata(map: Array("x".utf8)).encoded() == self.sealed("m1:x;"))
    }

    @Test(arguments: [
        "m1:x;m1:y;", "m:x;", "m2:x;", "m1:xy;", "m99999:x;", "M1:x;", "m1:\u{7};", "m-1:x;", "m1x;", "f3:1,2;",
        "f10:1,,00000000", "f12:-1,,00000000;", "f11:1,-,00000000;", "f10:1,,0000000g;", "t2:00;", "m1", "m",
        "f20:99999999999999999999;", "f31:99999999999999999999,,00000000;",
    ])
    func brokenFieldsUnderAGoodChecksumAreForeign(_ fields: String) {
        #expect(CommitMetadata.read(self.sealed(fields)) == .foreign)
    }

    @Test func theLongestMapFitsWithEverythingElse() throws {
        var metadata = CommitMetadata(
            map: Array(repeating: 0x61, count: OffsetCommit.maxMapBytes),
            fingerprint: TopicFingerprint(offset: .max, timestamp: .max, checksum: .max),
            topicID: TopicID(high: .max, low: .max)
        )
        let bytes = try metadata.encoded()
        #expect(bytes.count <= OffsetCommit.maxMetadataBytes)
        #expect(CommitMetadata.read(bytes) == .own(metadata))
        metadata.map.append(0x61)
        let tooLong = #expect(throws: KafkaError.self) { try metadata.encoded() }
        #expect(tooLong?.code == "OFFSET_METADATA_TOO_LARGE")
        metadata.map = [0x61, 0]
        let notText = #expect(throws: KafkaError.self) { try metadata.encoded() }
        #expect(notText?.code == "_INVALID_ARG")
    }

    /// Whatever stands there: never a crash, never something that was not written.
    @Test func damageIsAlwaysSeen() throws {
        for seed in 0..<20_000 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            var metadata = CommitMetadata(
                map: (0..<Int.random(in: 0...40, using: &random)).map { _ in
                    UInt8.random(in: 0x20...0x7E, using: &random)
                }
            )
            if Bool.random(using: &random) {
                metadata.fingerprint = TopicFingerprint(
                    offset: .random(in: 0 ... .max, using: &random),
                    timestamp: Bool.random(using: &random) ? .random(in: 0 ... .max, using: &random) : nil,
                    checksum: .random(in: 0 ... .max, using: &random)
                )
            }
            if Bool.random(using: &random) {
                metadata.topicID = TopicID(
                    high: .random(in: 0 ... .max, using: &random),
                    low: .random(in: 0 ... .max, using: &random)
                )
            }
            let bytes = try metadata.encoded()
            try #require(CommitMetadata.read(bytes) == .own(metadata), "seed \(seed)")
            var damaged = bytes
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                damaged[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: damaged.removeLast(Int.random(in: 1..<bytes.count, using: &random))
            case 2: damaged.removeFirst(Int.random(in: 1..<bytes.count, using: &random))
            default:
                damaged.insert(.random(in: 0...255, using: &random), at: .random(in: 0...bytes.count, using: &random))
            }
            try #require(CommitMetadata.read(damaged) == .foreign, "seed \(seed)")
            // Random fields under a good checksum: read or refused, and what is read can be written again.
            let noise = (0..<Int.random(in: 0...60, using: &random)).map { _ in
                Array("mft0123456789:;,#af \u{0}é".utf8).randomElement(using: &random) ?? 0
            }
            if case .own(let own) = CommitMetadata.read(self.sealed(String(decoding: noise, as: UTF8.self))) {
                try #require(CommitMetadata.read(own.encoded()) == .own(own), "seed \(seed)")
            }
        }
    }
}
