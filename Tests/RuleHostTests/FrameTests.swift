import Testing

@testable import AfterloginRuleHost

@Suite("Frames", .timeLimit(.minutes(1)))
struct FrameTests {
    /// A frame as a host writes it.
    private func bytes(_ kind: UInt8, _ evaluation: UInt8, _ payload: [UInt8]) -> [UInt8] {
        [UInt8(payload.count), 0, 0, 0, kind, evaluation, 0, 0, 0] + payload
    }

    @Test(arguments: 1...13)
    func framesAreTheSameWhereverTheReadsCutThem(_ size: Int) throws {
        var decoder = FrameDecoder(maxFrameBytes: 64)
        let all = self.bytes(67, 1, [1, 2, 3]) + self.bytes(72, 0, []) + self.bytes(70, 2, [9])
        var frames: [(FrameKind, UInt32, [UInt8])] = []
        for start in stride(from: 0, to: all.count, by: size) {
            decoder.received(all[start..<min(start + size, all.count)])
            while let frame = try decoder.next() { frames.append((frame.kind, frame.evaluation, Array(frame.payload))) }
        }
        #expect(frames.map(\.0) == [.done, .pong, .console])
        #expect(frames.map(\.1) == [1, 0, 2])
        #expect(frames.map(\.2) == [[1, 2, 3], [], [9]])
    }

    @Test func aFrameOverTheLimitIsNonsenseBeforeItsBytesCome() {
        var decoder = FrameDecoder(maxFrameBytes: 64)
        decoder.received([65, 0, 0, 0, 67, 1, 0, 0, 0])
        #expect(throws: ProtocolViolation.self) { try decoder.next() }
    }

    @Test(arguments: [0, 1, 7, 64, 74, 255] as [UInt8])
    func aKindThatIsNotTheHostsIsNonsense(_ kind: UInt8) {
        var decoder = FrameDecoder(maxFrameBytes: 64)
        decoder.received(self.bytes(kind, 1, [])[...])
        #expect(throws: ProtocolViolation.self) { try decoder.next() }
    }

    @Test func aPartThatIsLongerThanItsFrameIsRefused() {
        var frame = Frame(kind: .done, evaluation: 1, payload: [5, 0, 0, 0, 1, 2, 3, 4])
        #expect(throws: ProtocolViolation.self) { try frame.takePart() }
        var short = Frame(kind: .done, evaluation: 1, payload: [5, 0, 0])
        #expect(throws: ProtocolViolation.self) { try short.takeNumber() }
        #expect(throws: ProtocolViolation.self) { try short.takeSecret() }
    }

    @Test func whatIsWrittenIsLaidOutAsTheHostReadsIt() {
        var writer = FrameWriter()
        writer.append(.response, 258, .numberedPart(3, [7, 8]), .bytes([9]))
        #expect(Array(writer.unwritten) == [11, 0, 0, 0, 3, 2, 1, 0, 0, 6, 0, 0, 0, 3, 0, 0, 0, 7, 8, 9])
        writer.wrote(19)
        #expect(Array(writer.unwritten) == [9])
        writer.wrote(1)
        #expect(writer.isEmpty)
    }

    @Test func aLargeBodyIsWrittenAsItIsAndInItsPlace() {
        var writer = FrameWriter()
        let large = [UInt8](repeating: 7, count: 100_000)
        writer.append(.ping, 1)
        writer.append(.response, 2, .number(3), .bytes(large[...]))
        writer.append(.ping, 4)
        #expect(writer.count == 3 * Frame.headerBytes + 4 + large.count)
        var all: [UInt8] = []
        while !writer.isEmpty {
            let some = Array(writer.unwritten.prefix(30_000))
            all += some
            writer.wrote(some.count)
        }
        let expected: [UInt8] = [0, 0, 0, 0, 6, 1, 0, 0, 0] + [0xA4, 0x86, 1, 0, 3, 2, 0, 0, 0, 3, 0, 0, 0] + large
        #expect(all == expected + [0, 0, 0, 0, 6, 4, 0, 0, 0])
        writer.append(.ping, 5)
        #expect(Array(writer.unwritten) == [0, 0, 0, 0, 6, 5, 0, 0, 0])
    }

    @Test func aLineWithoutEndIsCut() {
        var buffer = LineBuffer()
        #expect(buffer.received(ArraySlice(repeating: 0x78, count: 10_000)).isEmpty)
        #expect(buffer.received([0x78, 0x0A, 0x79, 0x0A]) == [String(repeating: "x", count: 4_096), "y"])
    }
}
