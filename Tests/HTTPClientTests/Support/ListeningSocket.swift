import Glibc

/// A TCP socket that listens on 127.0.0.1.
final class ListeningSocket: Sendable {
    let port: Int
    private let descriptor: Int32

    init(backlog: Int32) {
        let stream = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        self.descriptor = socket(AF_INET, stream, 0)
        var address = Self.address(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = self.descriptor
        withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                precondition(bind(descriptor, address, length) == 0, "cannot bind: \(errno)")
                precondition(listen(descriptor, backlog) == 0, "cannot listen: \(errno)")
                getsockname(descriptor, address, &length)
            }
        }
        self.port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { close(self.descriptor) }

    private static func address(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        return address
    }

    /// The next connection; nil once stopped.
    func accept() -> Int32? {
        let descriptor = Glibc.accept(self.descriptor, nil, nil)
        guard descriptor >= 0 else { return nil }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return descriptor
    }

    func stop() { shutdown(self.descriptor, Int32(SHUT_RDWR)) }

    /// Connects without being accepted until the system takes no more: whoever comes then waits for an answer.
    ///
    /// - Returns: the descriptors, for the caller to close.
    func fillBacklog() -> [Int32] {
        var descriptors: [Int32] = []
        while descriptors.count < 64 {
            let stream = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            let descriptor = socket(AF_INET, stream, 0)
            descriptors.append(descriptor)
            var address = Self.address(port: self.port)
            _ = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            // On loopback, a connection is made before `connect` returns, or not at all.
            var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            if poll(&ready, 1, 100) == 0 { break }
        }
        return descriptors
    }
}
