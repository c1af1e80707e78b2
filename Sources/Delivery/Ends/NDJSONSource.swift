package import AfterloginKafka
import AfterloginSystem
import Glibc

/// Lines of a file or of standard input as records: one event a line, one partition, the line's number as offset.
package final class NDJSONSource: RecordSource {
    private struct Flow {
        /// `resumeIntake` was called since the last batch that closed the intake.
        var hasResumed = false
        var isStopped = false
    }

    /// Longer lines are cut here, and are undecodable for their length: memory stays bounded whatever is read.
    package static let maxLineBytes = 32 << 20

    private let path: String
    private let descriptor: Int32
    private let partition: TopicPartition
    private let flow = Mutex(Flow())
    private let waker: Waker

    /// Reads from `path`; `-` is standard input.
    ///
    /// - Throws: `Unreadable` where there is no such file.
    package init(path: String) throws {
        self.path = path
        self.descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        guard self.descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw Unreadable(
                description: "cannot read \(path): \(reason); --input takes a file, or - for standard input"
            )
        }
        self.partition = TopicPartition(topic: path == "-" ? "stdin" : path, partition: 0)
        self.waker = try Waker()
    }

    /// Why the input can't be read.
    package struct Unreadable: Error, CustomStringConvertible {
        package var description: String
    }

    package func start(_ receiver: any RecordReceiver) throws {
        receiver.partitionsAssigned([AssignedPartition(topicPartition: self.partition, committedOffset: nil)])
        // The pool must never block: reading has a thread of its own, which waits for room in between.
        NamedThread.start("afterlogin.input") {
            self.read(receiver)
            if self.descriptor != 0 { Glibc.close(self.descriptor) }
        }
    }

    private func read(_ receiver: any RecordReceiver) {
        var lines = LineCutter(maxLineBytes: Self.maxLineBytes)
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        var offset: Int64 = 0
        while !self.flow.withLock(\.isStopped) {
            let count = buffer.withUnsafeMutableBytes { Glibc.read(self.descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                let name = self.descriptor == 0 ? "standard input" : self.path
                let message = "cannot read \(name): \(String(cString: strerror(errno)))"
                return receiver.consumerFailed(KafkaError(code: "_READ", number: -1, message: message))
            }
            let found = count == 0 ? lines.finished() : lines.received(buffer[..<count])
            // A line has no time of its own but that at which it was read.
            let now = Int64(time(nil)) * 1_000
            var records: [KafkaRecord] = []
            for line in found {
                // Editors of Windows put a byte order mark before the first.
                let line = offset == 0 && line.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(line.dropFirst(3)) : line
                if !line.isBlank {
                    records.append(
                        KafkaRecord(
                            topicPartition: self.partition,
                            offset: offset,
                            timestamp: now,
                            key: nil,
                            value: line
                        )
                    )
                }
                offset += 1
            }
            self.deliver(records, receiver)
            if count == 0 { return receiver.inputEnded() }
        }
    }

    /// A part at a time, so that the limits of what is admitted hold also for short lines.
    private func deliver(_ records: [KafkaRecord], _ receiver: any RecordReceiver) {
        for start in stride(from: 0, to: records.count, by: 500) {
            let part = Array(records[start..<min(start + 500, records.count)])
            if receiver.batchReceived(part, ends: [:]) { continue }
            // `resumeIntake` may have come before the answer: then the flow is what it says.
            while !self.flow.withLock({ $0.isStopped || $0.hasResumed }) { self.waker.wait(.milliseconds(500)) }
            self.flow.withLock { $0.hasResumed = false }
        }
    }

    package func resumeIntake() {
        self.flow.withLock { $0.hasResumed = true }
        self.waker.wake()
    }

    package func stopIntake() {
        self.flow.withLock { $0.isStopped = true }
        self.waker.wake()
    }

    package func finishRevocation() {}

    package func commit(
        _ offsets: [OffsetCommit],
        completion: @escaping @Sendable (Result<Void, KafkaError>) -> Void
    ) {
        completion(.success(()))
    }

    package var keepsCompletionMap: Bool { false }
    package func close() async { self.stopIntake() }
    package var leaseIsValid: Bool { true }
    package func highWatermarks() -> [TopicPartition: Int64] { [:] }
}

/// Cuts bytes into lines, each bounded: what is beyond the bound is dropped.
struct LineCutter {
    let maxLineBytes: Int
    private var line: [UInt8] = []

    init(maxLineBytes: Int) { self.maxLineBytes = maxLineBytes }

    mutating func received(_ bytes: ArraySlice<UInt8>) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var rest = bytes
        while let end = rest.firstIndex(of: 0x0A) {
            self.append(rest[rest.startIndex..<end])
            lines.append(self.take())
            rest = rest[(end + 1)...]
        }
        self.append(rest)
        return lines
    }

    /// The last line, where it has no end.
    mutating func finished() -> [[UInt8]] { self.line.isEmpty ? [] : [self.take()] }

    private mutating func append(_ bytes: ArraySlice<UInt8>) {
        self.line += bytes.prefix(self.maxLineBytes - self.line.count)
    }

    private mutating func take() -> [UInt8] {
        defer { self.line = [] }
        if self.line.last == 0x0D { self.line.removeLast() }
        return self.line
    }
}

extension [UInt8] {
    fileprivate var isBlank: Bool { self.allSatisfy { $0 == 0x20 || $0 == 0x09 } }
}
