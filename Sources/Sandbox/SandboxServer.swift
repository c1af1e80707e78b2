import Cryptography
import FoundationEssentials
import HTTPServer
import JSON
import Synchronization

/// A stand-in for an identity provider, its Management API, and the APIs that rules call.
///
/// Over TLS with a certificate of its own; faults can be switched while it runs, over `faults` or the control API.
package final class SandboxServer: Sendable {
    /// The file for the certificate can't be written.
    package struct Unwritable: Error, CustomStringConvertible {
        package let description: String
    }

    private enum Listening {
        case not
        case on(HTTPServer)
        /// Refusing connections: nobody listens on the port.
        case refusing
    }

    private struct State {
        var listening = Listening.not
        var control: HTTPServer?
        var port = 0
    }

    private let configuration: SandboxConfiguration
    private let api: SandboxAPI
    private let key: SigningKey
    private let certificate: String
    private let state = Mutex(State())

    /// Makes keys and the certificate; listens only after `start`.
    package init(_ configuration: SandboxConfiguration) throws {
        self.configuration = configuration
        self.api = try SandboxAPI(configuration)
        self.key = try SigningKey.generateP256()
        self.certificate = try self.key.makeCertificate(names: configuration.names, days: 365)
    }

    package var faults: FaultBoard { self.api.faults }
    package var statistics: SandboxStatistics { self.api.statistics }

    /// Listens, and writes the certificate to `caFile`.
    ///
    /// - Returns: Where it is found.
    /// - Throws: where an address is taken, or the file cannot be written.
    package func start() throws -> SandboxAddress {
        if let caFile = self.configuration.caFile, !self.configuration.isPlain {
            do {
                try Data(self.certificate.utf8).write(to: URL(filePath: caFile), options: .atomic)
            } catch {
                throw Unwritable(description: "cannot write \(caFile): is its folder there, and may it be written to?")
            }
        }
        let server = try self.makeServer(self.configuration.listen)
        let control = try HTTPServer(configuration: .init(listen: self.configuration.control)) { [weak self] request in
            self?.control(request) ?? .now(.reset)
        }
        self.state.withLock { state in
            state.listening = .on(server)
            state.port = server.port
            state.control = control
        }
        let name = self.configuration.names.first ?? "localhost"
        return SandboxAddress(
            port: server.port,
            controlPort: control.port,
            url: "\(self.configuration.isPlain ? "http" : "https")://\(name):\(server.port)",
            controlURL: "http://127.0.0.1:\(control.port)",
            caFile: self.configuration.isPlain ? nil : self.configuration.caFile
        )
    }

    private func makeServer(_ listen: String) throws -> HTTPServer {
        var configuration = HTTPServer.Configuration(listen: listen)
        configuration.maxConnections = 4_000
        configuration.idleTimeout = .seconds(120)
        if !self.configuration.isPlain {
            configuration.certificate = self.certificate
            configuration.privateKey = try self.key.privatePEM
        }
        let api = self.api
        return try HTTPServer(configuration: configuration) { api.answer($0) }
    }

    /// Closes the port and all its connections: an outage as a client sees it when nobody listens.
    package func refuse() async {
        let server: HTTPServer? = self.state.withLock { state in
            guard case .on(let server) = state.listening else { return nil }
            state.listening = .refusing
            return server
        }
        await server?.shutdown()
    }

    /// Listens again on the same port.
    package func accept() throws {
        try self.state.withLock { state in
            guard case .refusing = state.listening else { return }
            let host = self.configuration.listen.prefix(
                upTo: self.configuration.listen.lastIndex(of: ":") ?? self.configuration.listen.startIndex
            )
            state.listening = .on(try self.makeServer("\(host):\(state.port)"))
        }
    }

    package func stop() async {
        let (listening, control) = self.state.withLock { state in
            defer { state = State() }
            return (state.listening, state.control)
        }
        if case .on(let server) = listening { await server.shutdown() }
        await control?.shutdown()
    }
}
