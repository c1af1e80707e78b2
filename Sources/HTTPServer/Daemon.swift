import AfterloginSystem

import struct Synchronization.Atomic

/// An `MHD_Daemon` and what it calls back into.
///
/// Locks: `suspended` may be held while libmicrohttpd's own are taken (`MHD_suspend_connection`), never the other way
/// round: it calls back without a lock of its own.
final class Daemon: Sendable {
    /// Connections whose handler answers later.
    private struct Suspended {
        var isClosing = false
        var lastNumber = 0
        var exchanges: [Int: SuspendedExchange] = [:]
        /// What sleeps until the next of them has its time.
        var alarm: (time: ContinuousClock.Instant, task: Task<Void, Never>)?
    }

    /// One of them: leaving the table is the right to resume it, once.
    private struct SuspendedExchange {
        let connection: ServerConnection
        /// Makes the response; nil where that is made, and waits for its time.
        var task: Task<Void, Never>?
        var made: (time: ContinuousClock.Instant, response: HTTPServer.Response)?
    }

    private enum Lifecycle {
        case running(DaemonHandle)
        /// The callbacks to make once everything has ended.
        case stopping([@Sendable () -> Void])
        case stopped
    }

    let configuration: HTTPServer.Configuration
    let handler: @Sendable (HTTPServer.Request) -> HTTPServer.Answer
    private let suspended = Mutex(Suspended())
    private let connections = Mutex<[ObjectIdentifier: ServerConnection]>([:])
    private let isListening = Atomic(true)
    private let lifecycle = Mutex(Lifecycle.stopped)
    private let sweeper = Mutex<Task<Void, Never>?>(nil)

    init(
        configuration: HTTPServer.Configuration,
        socket: ListenSocket,
        handler: @escaping @Sendable (HTTPServer.Request) -> HTTPServer.Answer
    ) throws(HTTPServer.ListenError) {
        self.configuration = configuration
        self.handler = handler
        let handle = try DaemonHandle(configuration: configuration, socket: socket, callbacks: self)
        self.lifecycle.withLock { $0 = .running(handle) }
        let period = min(configuration.transferDeadline / 4, .seconds(5))
        let task = Task { [weak self] in
            while (try? await Task.sleep(for: period)) != nil { self?.endSlowConnections() }
        }
        self.sweeper.withLock { $0 = task }
    }

    // MARK: Connections

    func connectionOpened(_ connection: ServerConnection) {
        self.connections.withLock { connections in
            if self.configuration.makesRoom, connections.count >= self.configuration.maxConnections {
                Self.makeRoom(&connections)
            }
            connections[ObjectIdentifier(connection)] = connection
        }
    }

    /// Ends the one that has had the most time; it leaves the table when libmicrohttpd has seen that.
    private static func makeRoom(_ connections: inout [ObjectIdentifier: ServerConnection]) {
        let open = connections.values.compactMap { connection in
            connection.endsAt.map { (connection: connection, endsAt: $0) }
        }
        open.min { $0.endsAt < $1.endsAt }?.connection.endEarly()
    }

    /// The descriptor is closed only after this.
    func connectionClosed(_ connection: ServerConnection) {
        _ = self.connections.withLock { $0.removeValue(forKey: ObjectIdentifier(connection)) }
    }

    private func endSlowConnections() {
        let now = ContinuousClock.now
        self.connections.withLock { connections in
            for connection in connections.values where connection.isLate(at: now) { connection.hangUp() }
        }
    }

    // MARK: Answers that take their time

    /// Suspends the connection and runs the handler's closure.
    ///
    /// - Returns: false where the server is going away.
    func suspend(
        _ connection: ServerConnection,
        until answer: @escaping @Sendable () async -> HTTPServer.Response
    ) -> Bool {
        self.suspend(connection) { suspended, number in
            // The task finds its entry: the table is locked until it is there.
            suspended.exchanges[number]?.task = Task { [weak self] in
                let response = await answer()
                self?.answered(number, response)
            }
        }
    }

    private func answered(_ number: Int, _ response: HTTPServer.Response) {
        guard let exchange = self.suspended.withLock({ $0.exchanges.removeValue(forKey: number) }) else { return }
        exchange.connection.resume(with: response)
    }

    /// Suspends the connection until the response has its time.
    ///
    /// - Returns: false where the server is going away.
    func suspend(
        _ connection: ServerConnection,
        until time: ContinuousClock.Instant,
        _ response: HTTPServer.Response
    ) -> Bool {
        self.suspend(connection) { suspended, number in
            suspended.exchanges[number]?.made = (time, response)
            self.setAlarm(to: time, &suspended)
        }
    }

    /// Enters it in the table under a new number, and completes the entry, under one lock.
    private func suspend(_ connection: ServerConnection, _ complete: (inout Suspended, Int) -> Void) -> Bool {
        self.suspended.withLock { suspended in
            guard !suspended.isClosing else { return false }
            suspended.lastNumber += 1
            connection.suspend()
            suspended.exchanges[suspended.lastNumber] = SuspendedExchange(connection: connection)
            complete(&suspended, suspended.lastNumber)
            return true
        }
    }

    private func setAlarm(to time: ContinuousClock.Instant, _ suspended: inout Suspended) {
        if let alarm = suspended.alarm, alarm.time <= time { return }
        suspended.alarm?.task.cancel()
        let task = Task { [weak self] in
            if (try? await Task.sleep(until: time, tolerance: .zero)) != nil { self?.answerDue() }
        }
        suspended.alarm = (time, task)
    }

    private func answerDue() {
        let due: [(ServerConnection, HTTPServer.Response)] = self.suspended.withLock { suspended in
            let now = ContinuousClock.now
            var due: [(ServerConnection, HTTPServer.Response)] = []
            var next: ContinuousClock.Instant?
            for (number, exchange) in suspended.exchanges {
                guard let (time, response) = exchange.made else { continue }
                if time <= now {
                    due.append((exchange.connection, response))
                    suspended.exchanges[number] = nil
                } else {
                    next = min(next ?? time, time)
                }
            }
            suspended.alarm = nil
            // A timer, and a scan of libmicrohttpd's list, for each answer would cost more than the answer.
            if let next { self.setAlarm(to: max(next, now + .milliseconds(1)), &suspended) }
            return due
        }
        for (connection, response) in due { connection.resume(with: response) }
    }

    // MARK: Stopping

    func stopListening() {
        self.lifecycle.withLock { lifecycle in
            if case .running(let handle) = lifecycle { self.stopListening(handle) }
        }
    }

    /// Once: asked again, libmicrohttpd gives the same number, which is another's by then.
    private func stopListening(_ handle: DaemonHandle) {
        guard self.isListening.exchange(false, ordering: .acquiringAndReleasing) else { return }
        handle.stopListening()
    }

    /// Ends everything on a thread of its own, since that blocks; `done` is called at the end (also of an earlier stop).
    func stopLater(_ done: (@Sendable () -> Void)? = nil) {
        enum Action {
            case stop(DaemonHandle)
            case wait
            case call
        }
        let action: Action = self.lifecycle.withLock { lifecycle in
            switch lifecycle {
            case .running(let handle):
                lifecycle = .stopping(done.map { [$0] } ?? [])
                return .stop(handle)
            case .stopping(let waiting):
                lifecycle = .stopping(waiting + (done.map { [$0] } ?? []))
                return .wait
            case .stopped:
                return .call
            }
        }
        switch action {
        case .stop(let handle): NamedThread.start("http.stop") { self.stop(handle) }
        case .wait: break
        case .call: done?()
        }
    }

    private func stop(_ handle: DaemonHandle) {
        self.stopListening(handle)
        self.sweeper.withLock { $0.take() }?.cancel()
        let exchanges = self.suspended.withLock { suspended in
            suspended.isClosing = true
            suspended.alarm?.task.cancel()
            defer { suspended.exchanges = [:] }
            return suspended.exchanges.values
        }
        var response = HTTPServer.Response(status: 503)
        response.resets = true
        for exchange in exchanges {
            exchange.task?.cancel()
            exchange.connection.resume(with: response)
        }
        handle.stop()
        let waiting: [@Sendable () -> Void] = self.lifecycle.withLock { lifecycle in
            guard case .stopping(let waiting) = lifecycle else { return [] }
            lifecycle = .stopped
            return waiting
        }
        for done in waiting { done() }
    }
}
