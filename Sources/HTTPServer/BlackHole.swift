import AfterloginSystem
import Glibc

/// A port on which no connection comes about: nobody answers, as where a firewall drops all packets.
///
/// Its queue of one connection is full and is never emptied, and then Linux answers no SYN. A client that goes on trying
/// (after 1, 3, 7 … seconds) connects to whoever listens on the port afterwards.
package final class BlackHole: Sendable {
    package let port: Int
    /// Nil once it is closed.
    private let descriptors: Mutex<[Int32]?>

    /// Listens on the address, and is full.
    ///
    /// - Throws: `HTTPServer.ListenError` where the address is taken, or no descriptor is left.
    package init(listen: String) throws(HTTPServer.ListenError) {
        let socket = try ListenSocket(address: listen, backlog: 0)
        self.port = socket.port
        // One is enough with a queue of 0; another shows that it is, and costs nothing.
        let fillers = (0..<2).compactMap { _ in Self.connect(to: socket.descriptor) }
        self.descriptors = Mutex([socket.descriptor] + fillers)
    }

    deinit { self.close() }

    /// Gives the port away.
    package func close() {
        for descriptor in self.descriptors.withLock({ $0.take() }) ?? [] { Glibc.close(descriptor) }
    }

    private static func connect(to listener: Int32) -> Int32? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic -> Int32? in
                guard unsafe getsockname(listener, generic, &length) == 0 else { return nil }
                let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
                let descriptor = unsafe socket(Int32(generic.pointee.sa_family), type, 0)
                guard descriptor >= 0 else { return nil }
                _ = unsafe Glibc.connect(descriptor, generic, length)
                return descriptor
            }
        }
    }
}
