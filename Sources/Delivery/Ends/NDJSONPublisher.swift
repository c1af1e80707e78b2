import AfterloginKafka
import AfterloginObservability
import AfterloginSystem
import Glibc

/// Results as lines of a file or of standard output; written when this says so.
package final class NDJSONPublisher: ResultPublisher {
    private typealias Completion = @Sendable (PublishOutcome) -> Void

    private struct State {
        var lines: [UInt8] = []
        var completions: [Completion] = []
        var isClosed = false
        var failure: KafkaError?
        var closers: [CheckedContinuation<Void, Never>] = []
    }

    /// Why the output can't be written.
    package struct Unwritable: Error, CustomStringConvertible {
        package var description: String
    }

    private let descriptor: Int32
    private let path: String
    /// A person looks at it: what events and rules say must not steer the terminal.
    private let isTerminal: Bool
    private let state = Mutex(State())
    private let waker: Waker

    /// Writes to `path`, which is made anew; `-` is standard output.
    package init(path: String) throws {
        self.path = path
        self.descriptor = path == "-" ? 1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        self.isTerminal = isatty(self.descriptor) == 1
        guard self.descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw Unwritable(
                description: "cannot write \(path): \(reason); --output takes a file, or - for standard output"
            )
        }
        self.waker = try Waker()
        NamedThread.start("afterlogin.output") { self.writeAll() }
    }

    package func publish(
        _ result: ResultRecord,
        gathers _: Bool,
        completion: @escaping @Sendable (PublishOutcome) -> Void
    ) {
        let line = ResultLine.bytes(result)
        let (isOpen, wasEmpty) = self.state.withLock { state in
            guard !state.isClosed else { return (false, false) }
            let wasEmpty = state.lines.isEmpty
            state.lines += line
            state.lines.append(0x0A)
            state.completions.append(completion)
            return (true, wasEmpty)
        }
        if !isOpen { completion(.dropped) }
        if wasEmpty { self.waker.wake() }
    }

    private func writeAll() {
        while true {
            let (lines, completions, isClosed) = self.state.withLock { state in
                (exchange(&state.lines, with: []), exchange(&state.completions, with: []), state.isClosed)
            }
            let failure = self.write(self.isTerminal ? TerminalText.escaped(json: lines) : lines)
            for completion in completions { completion(failure.map { .failed($0) } ?? .acknowledged) }
            if lines.isEmpty, isClosed { break }
            if lines.isEmpty { self.waker.wait(.seconds(1)) }
        }
        if self.descriptor != 1 { Glibc.close(self.descriptor) }
        let closers = self.state.withLock { state in
            state.lines = []
            return exchange(&state.closers, with: [])
        }
        for closer in closers { closer.resume() }
    }

    private func write(_ bytes: [UInt8]) -> KafkaError? {
        if let failure = self.state.withLock(\.failure) { return failure }
        guard let code = Descriptors.writeAll(bytes, to: self.descriptor) else { return nil }
        let name = self.descriptor == 1 ? "standard output" : self.path
        let message = "cannot write \(name): \(String(cString: strerror(code)))"
        let failure = KafkaError(code: "_WRITE", number: -1, message: message, isFatal: true)
        self.state.withLock { $0.failure = failure }
        return failure
    }

    package func purge() {}

    package func close(deadline: Duration) async {
        await withCheckedContinuation { continuation in
            self.state.withLock { state in
                state.isClosed = true
                state.closers.append(continuation)
            }
            self.waker.wake()
        }
    }

    package var problem: String? { self.state.withLock { $0.failure?.description } }
}
