import AfterloginSystem
import Glibc

/// A TCP server on this machine that says exactly what its script says, one thread for each connection.
///
/// A connection is closed when its script returns.
final class RawServer: Sendable {
    struct Log: Sendable {
        var accepted = 0
        var ended = 0
        /// Head and body, as they came.
        var requests: [String] = []
    }

    let port: Int
    let log = Observed(Log())
    private let listener: ListeningSocket
    private let open: OpenDescriptors

    init(_ script: @escaping @Sendable (RawConnection) -> Void) {
        let listener = ListeningSocket(backlog: 1_024)
        let open = OpenDescriptors()
        let log = self.log
        self.listener = listener
        self.open = open
        self.port = listener.port
        NamedThread.start("raw-server") {
            while let descriptor = listener.accept() {
                guard open.add(descriptor) else {
                    close(descriptor)
                    continue
                }
                let number = log.update { log in
                    log.accepted += 1
                    return log.accepted
                }
                NamedThread.start("raw-server") {
                    let connection = RawConnection(descriptor, number: number, log: log)
                    script(connection)
                    // A child that another test starts right now may hold the socket, too: closing would not end it.
                    if !connection.resets { shutdown(descriptor, Int32(SHUT_RDWR)) }
                    open.close(descriptor)
                    log.update { $0.ended += 1 }
                }
            }
        }
    }

    /// Answers every request with the same bytes, on connections that stay open.
    convenience init(answer: String) {
        self.init { connection in
            while connection.readRequest() != nil { connection.send(answer) }
        }
    }

    /// Answers the first request of every connection and closes.
    convenience init(answerAndClose answer: String) {
        self.init { connection in
            guard connection.readRequest() != nil else { return }
            connection.send(answer)
        }
    }

    /// Takes requests and never answers; a connection ends when the client ends it.
    static func silent() -> RawServer {
        RawServer { connection in
            while connection.readRequest() != nil {}
        }
    }

    deinit { self.stop() }

    func url(_ path: String = "/", scheme: String = "http", host: String = "127.0.0.1") -> String {
        "\(scheme)://\(host):\(self.port)\(path)"
    }

    /// Ends what is open, too.
    func stop() {
        self.listener.stop()
        self.open.endAll()
    }
}

/// One connection, used by its own thread.
final class RawConnection {
    /// From 1.
    let number: Int
    private let descriptor: Int32
    private let log: Observed<RawServer.Log>
    private var unread: [UInt8] = []
    private(set) var resets = false

    init(_ descriptor: Int32, number: Int, log: Observed<RawServer.Log>) {
        self.descriptor = descriptor
        self.number = number
        self.log = log
    }

    /// Head and body of the next request; nil at the end of the connection.
    func readRequest() -> String? {
        while true {
            if let count = Self.wholeRequest(self.unread) {
                let text = String(decoding: self.unread.prefix(count), as: UTF8.self)
                self.unread.removeFirst(count)
                self.log.update { $0.requests.append(text) }
                return text
            }
            guard self.receive() else { return nil }
        }
    }

    private func receive() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(self.descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return false }
        self.unread += buffer[..<count]
        return true
    }

    private static func wholeRequest(_ bytes: [UInt8]) -> Int? {
        let end = Array("\r\n\r\n".utf8)
        guard let headEnd = bytes.firstRange(of: end)?.upperBound else { return nil }
        let head = String(decoding: bytes[..<headEnd], as: UTF8.self)
        let length = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length: ") }
            .flatMap { Int($0.dropFirst(16)) }
        let count = headEnd + (length ?? 0)
        return bytes.count >= count ? count : nil
    }

    /// Sends all of it; false where the peer has gone.
    @discardableResult
    func send(_ text: String) -> Bool { self.send(Array(text.utf8)) }

    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(self.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Ends with a reset instead of a goodbye once the script returns.
    func resetAtEnd() {
        self.resets = true
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(self.descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    }

    /// Blocks until the client has gone.
    func waitForEnd() { while self.receive() {} }
}

/// What a stop must end, and no descriptor after its life.
private final class OpenDescriptors: Sendable {
    private let state = Mutex((isStopped: false, descriptors: Set<Int32>()))

    func add(_ descriptor: Int32) -> Bool {
        self.state.withLock { state in
            guard !state.isStopped else { return false }
            state.descriptors.insert(descriptor)
            return true
        }
    }

    func close(_ descriptor: Int32) {
        self.state.withLock { state in
            state.descriptors.remove(descriptor)
            _ = Glibc.close(descriptor)
        }
    }

    func endAll() {
        self.state.withLock { state in
            state.isStopped = true
            for descriptor in state.descriptors { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }
}
