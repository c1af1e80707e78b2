import Glibc

/// A bound TCP socket that listens.
struct ListenSocket {
    let descriptor: Int32
    let port: Int

    /// Binds `host:port`; an IPv6 address stands in brackets, an empty host is every address.
    ///
    /// - Parameters:
    ///   - address: Of that form; port 0 takes a free one.
    ///   - backlog: Connections that the kernel keeps until they are accepted.
    /// - Throws: where the address is not of that form, or is taken.
    init(address: String, backlog: Int32 = 1_024) throws(HTTPServer.ListenError) {
        guard let colon = address.lastIndex(of: ":"), let number = UInt16(address[address.index(after: colon)...])
        else {
            throw HTTPServer.ListenError(
                description: "cannot listen on '\(address)': it is not of the form host:port",
                isOfTheAddress: true
            )
        }
        var host = address[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        var hints = unsafe addrinfo()
        unsafe hints.ai_flags = AI_PASSIVE
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let status = unsafe getaddrinfo(host.isEmpty ? nil : String(host), String(number), &hints, &found)
        guard status == 0, let first = unsafe found else {
            throw HTTPServer.ListenError(
                description: "cannot listen on \(address): \(unsafe String(cString: gai_strerror(status)))",
                isOfTheAddress: true
            )
        }
        defer { unsafe freeaddrinfo(first) }
        let descriptor = unsafe socket(
            first.pointee.ai_family,
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
                | Int32(SOCK_NONBLOCK.rawValue),
            0
        )
        var on: Int32 = 1
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard descriptor >= 0,
            unsafe bind(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0,
            listen(descriptor, backlog) == 0
        else {
            let reason = unsafe String(cString: strerror(errno))
            if descriptor >= 0 { close(descriptor) }
            throw HTTPServer.ListenError(description: "cannot listen on \(address): \(reason)")
        }
        self.descriptor = descriptor
        self.port = Self.port(of: descriptor)
    }

    private static func port(of descriptor: Int32) -> Int {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                _ = unsafe getsockname(descriptor, generic, &length)
            }
            // The port stands at the same place in `sockaddr_in` and `sockaddr_in6`.
            return unsafe pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { internet in
                Int(UInt16(bigEndian: unsafe internet.pointee.sin_port))
            }
        }
    }
}
