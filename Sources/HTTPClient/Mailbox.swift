import AfterloginCCurl
import AfterloginHTTPMessages
import AfterloginSystem
import Glibc

import struct Synchronization.Atomic

/// A request on its way to the thread.
final class Job: Sendable {
    let request: HTTPRequest
    /// The cancellation may overtake the start: whoever starts looks here, whoever cancels a job that has not started does nothing.
    let isCancelled = Atomic(false)

    init(_ request: HTTPRequest) { self.request = request }
}

/// How callers reach the thread: a list of commands, and a descriptor that wakes it.
///
/// The descriptor is written only when the thread sleeps (or is about to), at most once per sleep.
final class Mailbox: Sendable {
    typealias Continuation = CheckedContinuation<Result<HTTPResponse, HTTPFailure>, Never>

    enum Command {
        case start(Job, Continuation)
        case cancel(Job)
        case ping(@Sendable () -> Void)
        /// Bytes were released that somebody waits for.
        case look
    }

    private struct State {
        var commands: [Command] = []
        var isAsleep = false
        var isClosing = false
        /// The thread has ended: nothing is taken any more.
        var isClosed = false
        /// Called when it has.
        var closed: [@Sendable () -> Void] = []
    }

    /// Registered edge-triggered, so that nobody has to read it.
    let wakeDescriptor: Int32
    private let state = Mutex(State())

    init() throws(HTTPFailure) {
        self.wakeDescriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard self.wakeDescriptor >= 0 else {
            throw HTTPFailure(kind: .other, message: "no descriptor left for the HTTP client", code: "EMFILE")
        }
    }

    deinit { Glibc.close(self.wakeDescriptor) }

    // MARK: For callers

    func post(_ command: Command) {
        let (isTaken, wasAsleep) = self.state.withLock { state in
            guard !state.isClosing else { return (false, false) }
            state.commands.append(command)
            return (true, exchange(&state.isAsleep, with: false))
        }
        if wasAsleep { self.wake() }
        guard !isTaken else { return }
        switch command {
        case .start(_, let continuation): continuation.resume(returning: .failure(.shutDown))
        case .ping(let answer): answer()
        case .cancel, .look: break
        }
    }

    func close(_ closed: (@Sendable () -> Void)? = nil) {
        let (isClosed, wasAsleep) = self.state.withLock { state in
            if state.isClosed { return (true, false) }
            state.isClosing = true
            if let closed { state.closed.append(closed) }
            return (false, exchange(&state.isAsleep, with: false))
        }
        if wasAsleep { self.wake() }
        if isClosed { closed?() }
    }

    /// After the lock is released: the thread takes it first of all.
    private func wake() { eventfd_write(self.wakeDescriptor, 1) }

    // MARK: For the thread

    /// Takes all commands, in exchange for an empty array.
    ///
    /// - Returns: false once the mailbox is closing.
    func take(into commands: inout [Command]) -> Bool {
        self.state.withLock { state in
            state.isAsleep = false
            swap(&state.commands, &commands)
            return !state.isClosing
        }
    }

    /// Asks to be woken from here on, unless there is something to do already.
    func sleeps() -> Bool {
        self.state.withLock { state in
            state.isAsleep = state.commands.isEmpty && !state.isClosing
            return state.isAsleep
        }
    }

    func threadEnded() {
        let closed = self.state.withLock { state in
            state.isClosed = true
            defer { state.closed = [] }
            return state.closed
        }
        for callback in closed { callback() }
    }
}
