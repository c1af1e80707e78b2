import AfterloginSystem
import Glibc

/// A TCP connection to this machine that says what it is told; what blocks runs on a thread of its own.
final class RawConnection: Sendable {
    enum End: Equatable {
        case closed
        case reset
        /// Nothing more came for ten seconds.
        case silent
    }

    private let descriptor: Int32

    init(port: Int) {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        precondition(status == 0, "cannot connect to port \(port): \(errno)")
        var patience = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(self.descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(self.descriptor) }

    /// Sends all of it, or as much as the peer takes before it closes.
    @discardableResult
    func send(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(self.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Everything until the end of the connection, or until `isWhole` says that it has come.
    func receive(
        until isWhole: @escaping @Sendable (String) -> Bool = { _ in false }
    ) async -> (text: String, end: End?) {
        await NamedThread.run("connection") { self.receiveBlocking(until: isWhole) }
    }

    private func receiveBlocking(until isWhole: (String) -> Bool) -> (text: String, end: End?) {
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = recv(self.descriptor, &buffer, buffer.count, 0)
            if count == 0 { return (text, .closed) }
            if count < 0 { return (text, errno == ECONNRESET ? .reset : .silent) }
            text += String(decoding: buffer[..<count], as: UTF8.self)
            if isWhole(text) { return (text, nil) }
        }
    }
}
