import AfterloginCryptography
import AfterloginHTTPServer
import AfterloginSystem
import FoundationEssentials

/// A stand-in for an identity provider, its Management API, and the APIs that rules call.
///
/// Over TLS with a certificate of its own; faults can be switched while it runs, over `faults`, `change` or the control API.
package final class SandboxServer: Sendable {
    /// What cannot be done as it was asked for.
    package struct Refusal: Error, CustomStringConvertible {
        package let description: String
    }

    private struct State {
        /// By endpoint; nil is the port of all.
        var doors: [Endpoint?: SandboxDoor] = [:]
        var control: HTTPServer?
    }

    private let configuration: SandboxConfiguration
    private let api: SandboxAPI
    private let key: SigningKey
    private let certificate: String
    private let expiredCertificate: String
    private let state = Mutex(State())

    /// Makes keys and certificates; listens only after `start`.
    package init(_ configuration: SandboxConfiguration) throws {
        self.configuration = configuration
        self.api = try SandboxAPI(configuration)
        self.key = try SigningKey.generateP256()
        self.certificate = try self.key.makeCertificate(names: configuration.names, days: 365)
        // Of another subject: of two authorities of one name, OpenSSL takes the one that is in force.
        let names = ["expired.invalid"] + configuration.names
        self.expiredCertificate = try self.key.makeCertificate(names: names, days: -1)
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
                // Both are trusted: that it has expired is all that is wrong with the other.
                let authorities = self.certificate + self.expiredCertificate
                try Data(authorities.utf8).write(to: URL(filePath: caFile), options: .atomic)
            } catch {
                throw Refusal(description: "cannot write \(caFile): is its folder there, and may it be written to?")
            }
        }
        let main = try SandboxDoor(listen: self.configuration.listen) { try self.makeServer($0, $1, $2) }
        var doors: [Endpoint?: SandboxDoor] = [nil: main]
        for (endpoint, listen) in self.configuration.doors {
            doors[endpoint] = try SandboxDoor(listen: listen) { try self.makeServer($0, $1, $2) }
        }
        let control = try HTTPServer(configuration: .init(listen: self.configuration.control)) { [weak self] request in
            self?.control(request) ?? .now(.reset)
        }
        self.state.withLock { $0 = State(doors: doors, control: control) }
        let name = self.configuration.names.first ?? "localhost"
        func url(_ port: Int) -> String { "\(self.configuration.isPlain ? "http" : "https")://\(name):\(port)" }
        return SandboxAddress(
            port: main.port,
            controlPort: control.port,
            url: url(main.port),
            controlURL: "http://127.0.0.1:\(control.port)",
            caFile: self.configuration.isPlain ? nil : self.configuration.caFile,
            doors: self.configuration.doors.keys.reduce(into: [:]) { urls, endpoint in
                urls[endpoint] = doors[endpoint].map { url($0.port) }
            }
        )
    }

    private func makeServer(_ listen: String, _ isExpired: Bool, _ gate: SandboxDoor.Gate) throws -> HTTPServer {
        var configuration = HTTPServer.Configuration(listen: listen)
        configuration.maxConnections = 4_000
        configuration.idleTimeout = .seconds(120)
        if !self.configuration.isPlain {
            configuration.certificate = isExpired ? self.expiredCertificate : self.certificate
            configuration.privateKey = try self.key.privatePEM
        }
        let api = self.api
        return try HTTPServer(configuration: configuration) { gate.answer($0, by: api) }
    }

    // MARK: Faults

    /// Switches faults of requests and of connections; nil: all is well again.
    ///
    /// - Parameters:
    ///   - fault: What is wrong from here on, in the place of what was.
    ///   - endpoint: Whose requests, and whose port; nil: the port of all.
    /// - Throws: `Refusal` where there is no such port; `HTTPServer.ListenError` where it has been taken meanwhile.
    package func change(_ fault: SwitchedFault?, on endpoint: Endpoint?) async throws {
        let door = self.state.withLock { $0.doors[endpoint] }
        if let problem = self.problem(fault, on: endpoint, hasDoor: door != nil) { throw Refusal(description: problem) }
        if let endpoint {
            let isOfRequests = fault?.fault.concernsRequests ?? false
            self.faults.set(isOfRequests ? fault?.fault : nil, on: endpoint, for: fault?.seconds)
        }
        try await door?.change(to: fault?.fault.connection, for: fault?.seconds)
    }

    private func problem(_ fault: SwitchedFault?, on endpoint: Endpoint?, hasDoor: Bool) -> String? {
        guard let fault else { return nil }
        guard endpoint != nil || !fault.fault.concernsRequests else {
            return "main is a port, which knows connection only; give the others to an endpoint"
        }
        guard let connection = fault.fault.connection else { return nil }
        guard hasDoor else {
            let name = endpoint?.rawValue ?? "main"
            return "\(name) has no port of its own whose connections could be \(connection.rawValue): "
                + "start with --door \(name)=127.0.0.1:0, or name main for the port of all"
        }
        return connection == .expired && self.configuration.isPlain ? "plain HTTP has no certificate to expire" : nil
    }

    /// All is well again, everywhere.
    package func clearFaults() async throws {
        self.faults.clear()
        for door in self.state.withLock({ $0.doors }).values { try await door.change(to: nil) }
    }

    /// What is wrong now, by the names of the control API.
    var currentFaults: [(name: String, fault: Fault)] {
        let requests = self.faults.faults
        let doors = self.state.withLock { $0.doors }
        let names: [Endpoint?] = [nil] + Endpoint.allCases
        return names.compactMap { endpoint in
            var fault = endpoint.flatMap { requests[$0] } ?? Fault()
            fault.connection = doors[endpoint]?.fault
            return fault == Fault() ? nil : (endpoint?.rawValue ?? "main", fault)
        }
    }

    /// Closes the port and all its connections: an outage as a client sees it when nobody listens.
    package func refuse() async throws { try await self.state.withLock { $0.doors[nil] }?.change(to: .refused) }

    /// Listens again on the same port.
    package func accept() async throws { try await self.state.withLock { $0.doors[nil] }?.change(to: nil) }

    package func stop() async {
        let (doors, control) = self.state.withLock { state in
            defer { state = State() }
            return (state.doors, state.control)
        }
        for door in doors.values { await door.close() }
        await control?.shutdown()
    }
}
