import AfterloginHTTPServer
import AfterloginSystem

/// A port of the sandbox, and what becomes of connections to it.
final class SandboxDoor: Sendable {
    /// Whether requests are left without an answer.
    final class Gate: Sendable {
        private let isShut = Mutex(false)

        func set(isShut: Bool) { self.isShut.withLock { $0 = isShut } }

        func answer(_ request: HTTPServer.Request, by api: SandboxAPI) -> HTTPServer.Answer {
            self.isShut.withLock { $0 } ? .never : api.answer(request)
        }
    }

    typealias MakeServer = @Sendable (_ listen: String, _ isExpired: Bool, _ gate: Gate) throws -> HTTPServer

    private enum Listening {
        case closed
        case open(HTTPServer)
        /// The server no longer listens, but its connections are there, and hang.
        case blackHole(BlackHole, HTTPServer?)
    }

    private struct State {
        var listening: Listening
        var fault: Fault.Connection?
        /// Changes wait for each other.
        var last: Task<Void, any Error>?
        /// What ends the fault by itself.
        var end: Task<Void, Never>?
    }

    let port: Int
    private let address: String
    private let gate = Gate()
    private let makeServer: MakeServer
    private let state: Mutex<State>

    /// Listens.
    ///
    /// - Parameters:
    ///   - listen: host:port; the port stays when it is closed and opened again.
    ///   - makeServer: Makes what answers there; with a certificate that has expired, or with a good one.
    /// - Throws: where the address is taken.
    init(listen: String, makeServer: @escaping MakeServer) throws {
        let server = try makeServer(listen, false, self.gate)
        self.port = server.port
        self.address = "\(listen.prefix(upTo: listen.lastIndex(of: ":") ?? listen.startIndex)):\(server.port)"
        self.makeServer = makeServer
        self.state = Mutex(State(listening: .open(server)))
    }

    var fault: Fault.Connection? { self.state.withLock { $0.fault } }

    /// Puts the fault in the place of an earlier one; nil: the door is open again.
    ///
    /// - Parameters:
    ///   - fault: What becomes of connections from here on.
    ///   - seconds: After which it ends by itself; nil: never.
    /// - Throws: where the port has been taken by somebody else meanwhile.
    func change(to fault: Fault.Connection?, for seconds: Double? = nil) async throws {
        let change = self.state.withLock { state in
            state.end?.cancel()
            state.end = seconds.map { seconds in
                Task { [weak self] in
                    guard (try? await Task.sleep(for: .seconds(seconds))) != nil else { return }
                    try? await self?.open()
                }
            }
            return self.enqueue(fault, &state)
        }
        try await change.value
    }

    private func open() async throws { try await self.state.withLock { self.enqueue(nil, &$0) }.value }

    /// Closed for good.
    func close() async { try? await self.change(to: .refused) }

    private func enqueue(_ fault: Fault.Connection?, _ state: inout State) -> Task<Void, any Error> {
        let task = Task { [last = state.last] in
            _ = await last?.result
            try await self.turn(to: fault)
        }
        state.last = task
        return task
    }

    private func turn(to fault: Fault.Connection?) async throws {
        let (old, oldFault) = self.state.withLock { ($0.listening, $0.fault) }
        guard fault != oldFault else { return }
        if case .blackhole = fault, case .open(let server) = old {
            // What is asked on connections that are there is lost as well.
            self.gate.set(isShut: true)
            server.stopListening()
            let hole = try BlackHole(listen: self.address)
            self.state.withLock { ($0.listening, $0.fault) = (.blackHole(hole, server), fault) }
            return
        }
        self.state.withLock { ($0.listening, $0.fault) = (.closed, .refused) }
        switch old {
        case .open(let server): await server.shutdown()
        case .blackHole(let hole, let server):
            hole.close()
            await server?.shutdown()
        case .closed: break
        }
        let listening: Listening
        switch fault {
        case .refused: return
        case .blackhole: listening = .blackHole(try BlackHole(listen: self.address), nil)
        case .expired: listening = .open(try self.makeServer(self.address, true, self.gate))
        case nil: listening = .open(try self.makeServer(self.address, false, self.gate))
        }
        self.gate.set(isShut: false)
        self.state.withLock { ($0.listening, $0.fault) = (listening, fault) }
    }
}

extension HTTPServer.Answer {
    /// None until the connection ends: a server that stops ends them all.
    static var never: Self { .at(.now + .seconds(86_400), .reset) }
}
