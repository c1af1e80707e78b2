import AfterloginSystem
import Glibc
import Testing

@Suite(.timeLimit(.minutes(1)))
struct LineWriterTests {
    /// Once it is full, whoever writes to it waits for somebody who reads.
    private struct Pipe {
        let reader: Int32
        let writer: Int32

        init() throws {
            var ends: [Int32] = [-1, -1]
            try #require(pipe(&ends) == 0)
            (self.reader, self.writer) = (ends[0], ends[1])
        }

        /// Returns how many bytes it took.
        func fill() throws -> Int {
            try #require(fcntl(self.writer, F_SETFL, O_NONBLOCK) == 0)
            var count = 0
            while Glibc.write(self.writer, [0], 1) == 1 { count += 1 }
            try #require(errno == EAGAIN && fcntl(self.writer, F_SETFL, 0) == 0)
            return count
        }

        func read(_ count: Int) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: count)
            var have = 0
            while have < count {
                let more = bytes[have...].withUnsafeMutableBytes { Glibc.read(self.reader, $0.baseAddress, $0.count) }
                guard more > 0 else { break }
                have += more
            }
            return bytes
        }

        func close() {
            Glibc.close(self.reader)
            Glibc.close(self.writer)
        }
    }

    private static func line(_ number: Int) -> [UInt8] {
        let text = "\(number) "
        return Array(text.utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: 999 - text.utf8.count) + [0x0A]
    }

    @Test
    func whoWritesNeverWaitsAndWhatIsDroppedIsCounted() throws {
        let pipe = try Pipe()
        let filled = try pipe.fill()
        let writer = LineWriter(pipe.writer, limit: 200_000, name: "test.lines")
        // Of 1 MB the writer keeps its limit, and the pipe takes nothing.
        let taken = (0..<1_000).filter { writer.append(Self.line($0)) }
        #expect(taken == Array(0..<200), "what is dropped comes after what is kept")
        #expect(writer.takeDropped() == 0, "there is no room to say so")
        #expect(!writer.flush(within: .zero))
        #expect(writer.append(Self.line(taken.count), isImportant: true), "half of the room is for what matters")

        _ = pipe.read(filled)
        let text = String(decoding: pipe.read((taken.count + 1) * 1_000), as: UTF8.self)
        let numbers = text.split(separator: "\n").map { $0.split(separator: " ").first.flatMap { Int($0) } }
        #expect(numbers == Array(0...taken.count), "whole lines, in their order")
        #expect(writer.flush(within: .seconds(30)))
        #expect(writer.takeDropped() == 1_000 - taken.count)
        #expect(writer.takeDropped() == 0)
        pipe.close()
    }

    @Test
    func aDescriptorThatDoesNotBlockGetsWholeLinesToo() throws {
        let pipe = try Pipe()
        try #require(fcntl(pipe.writer, F_SETFL, O_NONBLOCK) == 0)
        let writer = LineWriter(pipe.writer, name: "test.lines")
        for number in 0..<200 { #expect(writer.append(Self.line(number))) }
        #expect(pipe.read(200_000) == (0..<200).flatMap(Self.line))
        pipe.close()
    }
}
