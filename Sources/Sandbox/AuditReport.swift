package import AfterloginJSON

/// What an audit found.
package struct AuditReport: Sendable {
    /// In milliseconds, from the time for which the login was meant to its result's timestamp.
    package struct Latency: Sendable, Hashable {
        package var p50 = 0.0
        package var p90 = 0.0
        package var p99 = 0.0
        package var longest = 0.0
    }

    /// Records of the input topics.
    package var logins = 0
    package var updates = 0
    package var denials = 0
    /// By `afterlogin-reason`.
    package var failures: [String: Int] = [:]
    /// Further results of a login that had one.
    package var duplicates = 0
    /// Of those: another kind of result, or another id, than the first.
    package var contradictions = 0
    /// Logins without any result.
    package var lost = 0
    /// First results of a user's logins that came in another order than the logins.
    package var orderViolations = 0
    /// Results of no login in the input topics, and records that are not results.
    package var strangers = 0
    package var latency = Latency()
    /// What all rules took together: the time that logins would have waited with these rules on their path.
    package var ruleMilliseconds = 0.0
    /// Timestamps of the first and last result, in milliseconds since 1970.
    package var firstResult: Int64?
    package var lastResult: Int64?
    /// A few of each, in words.
    package var examples: [String] = []

    package var failureCount: Int { self.failures.values.reduce(0, +) }
    package var isClean: Bool {
        self.lost == 0 && self.orderViolations == 0 && self.strangers == 0 && self.contradictions == 0
    }

    package var json: JSONValue {
        let failures = self.failures.sorted { $0.key < $1.key }
            .map { JSONValue.object(["reason": .string($0.key), "count": JSONValue($0.value)]) }
        return [
            "logins": JSONValue(self.logins), "updates": JSONValue(self.updates), "denials": JSONValue(self.denials),
            "failures": .array(failures), "duplicates": JSONValue(self.duplicates),
            "contradictions": JSONValue(self.contradictions), "lost": JSONValue(self.lost),
            "orderViolations": JSONValue(self.orderViolations), "strangers": JSONValue(self.strangers),
            "latencyMilliseconds": [
                "p50": JSONValue(self.latency.p50), "p90": JSONValue(self.latency.p90),
                "p99": JSONValue(self.latency.p99), "max": JSONValue(self.latency.longest),
            ],
            "ruleMilliseconds": JSONValue(self.ruleMilliseconds.rounded()),
            "examples": .array(self.examples.map { .string($0) }),
        ]
    }
}
