package import JSON

/// What a sandbox has done so far.
package struct SandboxStatistics: Sendable, Hashable {
    package struct Requests: Sendable, Hashable {
        package var received = 0
        /// By status; hangs and resets have none.
        package var answered: [Int: Int] = [:]
    }

    package var endpoints: [Endpoint: Requests] = [:]
    package var tokensByAudience: [String: Int] = [:]
    package var usersWritten = 0

    package var json: JSONValue {
        var endpoints: JSONValue = [:]
        for endpoint in Endpoint.allCases {
            let requests = self.endpoints[endpoint] ?? Requests()
            let statuses = requests.answered.sorted { $0.key < $1.key }
                .map { (name: String($0.key), value: JSONValue($0.value)) }
            endpoints[endpoint.rawValue] = ["received": JSONValue(requests.received), "answered": JSONValue(statuses)]
        }
        let tokens = self.tokensByAudience.sorted { $0.key < $1.key }
            .map { (name: $0.key, value: JSONValue($0.value)) }
        return [
            "endpoints": endpoints, "tokens": JSONValue(tokens), "users_written": JSONValue(self.usersWritten),
        ]
    }
}
