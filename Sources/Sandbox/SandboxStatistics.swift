package import AfterloginJSON

/// What a sandbox has done so far.
package struct SandboxStatistics: Sendable, Hashable {
    package struct Requests: Sendable, Hashable {
        package var received = 0
        /// By status; a truncated answer has one too.
        package var answered: [Int: Int] = [:]
        package var truncated = 0
        package var hung = 0
        package var reset = 0
    }

    /// Of a bucket of requests.
    package struct Bucket: Sendable, Hashable {
        package var allowed = 0
        package var refused = 0
        /// What it would have allowed at most since its first request.
        package var offered = 0
    }

    package var endpoints: [Endpoint: Requests] = [:]
    package var buckets: [Endpoint: Bucket] = [:]
    package var tokensByAudience: [String: Int] = [:]
    package var usersWritten = 0

    package var json: JSONValue {
        var endpoints: JSONValue = [:]
        for endpoint in Endpoint.allCases {
            let requests = self.endpoints[endpoint] ?? Requests()
            let statuses = requests.answered.sorted { $0.key < $1.key }
                .map { (name: String($0.key), value: JSONValue($0.value)) }
            var value: JSONValue = [
                "received": JSONValue(requests.received), "answered": JSONValue(statuses),
                "truncated": JSONValue(requests.truncated), "hung": JSONValue(requests.hung),
                "reset": JSONValue(requests.reset),
            ]
            if let bucket = self.buckets[endpoint] {
                value["bucket"] = [
                    "allowed": JSONValue(bucket.allowed), "refused": JSONValue(bucket.refused),
                    "offered": JSONValue(bucket.offered),
                ]
            }
            endpoints[endpoint.rawValue] = value
        }
        let tokens = self.tokensByAudience.sorted { $0.key < $1.key }
            .map { (name: $0.key, value: JSONValue($0.value)) }
        return [
            "endpoints": endpoints, "tokens": JSONValue(tokens), "users_written": JSONValue(self.usersWritten),
        ]
    }
}
