import AfterloginRuleHost
import AfterloginSystem

/// Holds the first request of an evaluation until it is let go; after a restart every request is answered at once.
final class HoldingClient: EvaluationClient {
    private struct State {
        var held: [HostRequest] = []
        var isOpen = false
        var restarts = 0
        var lines: [ConsoleLine] = []
        var urls: [String] = []
        var wasSeen = false
        var waits = false
        var watcher: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    /// Of all requests.
    var urls: [String] { self.state.withLock(\.urls) }
    /// The host has said that it waits for what will never come.
    var isStuck: Bool { self.state.withLock(\.waits) }
    var restarts: Int { self.state.withLock(\.restarts) }
    var lines: [ConsoleLine] { self.state.withLock(\.lines) }

    /// One that holds nothing.
    static func open() -> HoldingClient {
        let client = HoldingClient()
        client.letGo()
        return client
    }

    /// Returns when the rule has made a request or printed a line.
    func seen() async {
        await withCheckedContinuation { continuation in
            let isLate = self.state.withLock { state in
                if !state.wasSeen { state.watcher = continuation }
                return state.wasSeen
            }
            if isLate { continuation.resume() }
        }
    }

    func letGo() {
        let held = self.state.withLock { state in
            state.isOpen = true
            defer { state.held = [] }
            return state.held
        }
        for request in held { Self.answer(request) }
    }

    func requestMade(_ request: HostRequest) {
        let isOpen = self.state.withLock { state in
            state.urls.append(request.url)
            if !state.isOpen { state.held.append(request) }
            return state.isOpen
        }
        if isOpen { Self.answer(request) }
        self.noticed()
    }

    func consolePrinted(_ line: ConsoleLine) {
        self.state.withLock { $0.lines.append(line) }
        self.noticed()
    }

    func requestCancelled(_ number: UInt32) -> String? {
        self.noticed()
        return "api.example"
    }

    func warned(_ warning: HostWarning) {}

    func waits(for destinations: [String]) {
        self.state.withLock { $0.waits = true }
        self.noticed()
    }

    func restarted() {
        self.state.withLock { state in
            state.restarts += 1
            state.isOpen = true
            state.held = []
        }
    }

    private func noticed() {
        let watcher = self.state.withLock { state in
            state.wasSeen = true
            return state.watcher.take()
        }
        watcher?.resume()
    }

    private static func answer(_ request: HostRequest) {
        request.reply(.response(HostResponse(status: 200, reason: "OK", body: Array("{}".utf8))))
    }
}
