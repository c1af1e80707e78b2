import AfterloginSystem

/// An embedded HTTP/1.1 server over libmicrohttpd: async handlers, TLS, bounded bodies.
///
/// One thread (`http.server`) reads, parses and writes. A handler that answers `.now` runs on it, without a hop; one that
/// answers `.later` suspends its connection, and its closure runs in a task of Swift's pool; one that answers `.at` does
/// so without a task of its own.
package final class HTTPServer: Sendable {
    /// Answers at once, or says that it will answer later.
    package enum Answer: Sendable {
        case now(Response)
        case later(@Sendable () async -> Response)
        /// Not before that time, and up to a millisecond later: answers that are due together go together.
        case at(ContinuousClock.Instant, Response)
    }

    /// What bounds a server.
    package struct Configuration: Sendable {
        /// `127.0.0.1:8080`, `[::1]:0`, `0.0.0.0:9000`; port 0 takes a free one.
        package var listen: String
        /// PEM texts; nil serves plain HTTP.
        package var certificate: String?
        package var privateKey: String?
        /// A larger body gets 413. (Line and headers together are bounded by 32 kB, libmicrohttpd's pool: 431 or 414.)
        package var maxBodyBytes = 1 << 20
        /// Further connections wait in the kernel's queue.
        package var maxConnections = 2_000
        /// Beyond them the connection whose request has been on its way the longest is closed instead, so that whoever asks at once is heard.
        package var makesRoom = false
        /// A connection on which nothing moves is closed.
        package var idleTimeout: Duration = .seconds(30)
        /// A request has to arrive whole, and its response to be taken, within this time, however it drips.
        package var transferDeadline: Duration = .seconds(60)
        package init(listen: String) { self.listen = listen }
    }

    /// Why a server cannot listen.
    package struct ListenError: Error, CustomStringConvertible {
        package let description: String
        /// The address is none: not of its form, or of a host that nobody knows.
        package var isOfTheAddress = false
    }

    package let port: Int
    private let daemon: Daemon

    /// Listens, and answers from here on.
    ///
    /// - Throws: `ListenError`: an address that is invalid or taken, a certificate that cannot be read.
    package init(configuration: Configuration, handler: @escaping @Sendable (Request) -> Answer) throws {
        let socket = try ListenSocket(address: configuration.listen)
        var configuration = configuration
        configuration.maxConnections = DescriptorPlan.current.accepted(atMost: configuration.maxConnections)
        self.port = socket.port
        self.daemon = try Daemon(configuration: configuration, socket: socket, handler: handler)
    }

    deinit { self.daemon.stopLater() }

    /// Gives the port away; connections that are there stay.
    package func stopListening() { self.daemon.stopListening() }

    /// Stops listening and ends every connection; handlers that are still at work are cancelled, and not waited for.
    package func shutdown() async {
        await withCheckedContinuation { continuation in
            self.daemon.stopLater { continuation.resume() }
        }
    }
}
