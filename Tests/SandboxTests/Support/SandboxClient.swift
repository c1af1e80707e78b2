import AfterloginHTTPClient
import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginSandbox
import AfterloginSystem
import FoundationEssentials

/// A sandbox that listens, and a client that trusts its certificate.
final class SandboxClient: Sendable {
    let sandbox: SandboxServer
    let address: SandboxAddress
    private let client: HTTPClient

    init(_ configure: (inout SandboxConfiguration) -> Void = { _ in }) throws {
        var configuration = SandboxConfiguration()
        let file = FileManager.default.temporaryDirectory.appending(path: "sandbox-\(UUID()).pem").path
        configuration.caFile = file
        configure(&configuration)
        self.sandbox = try SandboxServer(configuration)
        self.address = try self.sandbox.start()
        var client = HTTPClient.Configuration()
        client.caFile = self.address.caFile
        self.client = try HTTPClient(configuration: client)
        // The client has read it.
        try? FileManager.default.removeItem(atPath: file)
    }

    func send(
        _ method: String,
        _ path: String,
        headers: HTTPFields = [],
        body: [UInt8] = [],
        timeout: Duration = .seconds(20)
    ) async throws(HTTPFailure) -> HTTPResponse {
        let base = path.hasPrefix("/control") ? self.address.controlURL : self.address.url
        // A door has an address of its own.
        let url = path.hasPrefix("http") ? path : base + path
        var request = HTTPRequest(method, url, headers: headers, body: body)
        request.allowsSpecialAddresses = true
        request.timeout = timeout
        return try await self.client.send(request)
    }

    func send(_ method: String, _ path: String, json: JSONValue, bearer: String? = nil) async throws -> HTTPResponse {
        var headers: HTTPFields = ["content-type": "application/json"]
        if let bearer { headers["authorization"] = "Bearer \(bearer)" }
        return try await self.send(method, path, headers: headers, body: json.serialized())
    }

    func get(_ path: String, bearer: String? = nil) async throws -> HTTPResponse {
        try await self.send("GET", path, headers: bearer.map { ["authorization": "Bearer \($0)"] } ?? [])
    }

    static func tokenRequest(
        secret: String = "sandbox-secret",
        audience: String? = "https://profiles.example/api",
        grant: String = "client_credentials"
    ) -> JSONValue {
        var value: JSONValue = [
            "grant_type": .string(grant), "client_id": "sandbox-client", "client_secret": .string(secret),
        ]
        value["audience"] = audience.map { .string($0) }
        return value
    }

    func token(_ audience: String = "https://profiles.example/api") async throws -> String {
        let response = try await self.send("POST", "/oauth/token", json: Self.tokenRequest(audience: audience))
        return response.json["access_token"]?.string ?? "status \(response.status)"
    }

    func stop() async {
        await self.client.shutdown()
        await self.sandbox.stop()
    }
}

extension HTTPResponse {
    var json: JSONValue { (try? JSONValue(parsing: self.body)) ?? .null }
}

/// A clock that a test turns.
final class TurnedClock: Sendable {
    private let time = Mutex(1_800_000_000.0)
    func turn(_ seconds: Double) { self.time.withLock { $0 += seconds } }
    var now: @Sendable () -> Double { { self.time.withLock { $0 } } }
}
