package import AfterloginKafka

/// What a login ended in, ready to be written.
package struct ResultRecord: Sendable {
    package enum Kind: String, Sendable {
        case update, denial, failure
        /// What rules wrote of a login that failed all the same: goes out before its failure, and is not its result.
        case changes
    }

    package var kind: Kind
    package var key: [UInt8]?
    package var value: [UInt8]?
    package var headers: [KafkaHeader]
    /// `afterlogin-reason` of a failure.
    package var reason: String?
    /// What is written before it, to its own topic; empty for most.
    package var preceding: [ResultRecord] = []

    /// What it weighs on its way to the broker, roughly.
    package var byteCount: Int {
        (self.key?.count ?? 0) + (self.value?.count ?? 0)
            + self.headers.reduce(0) { $0 + $1.name.utf8.count + ($1.value?.count ?? 0) }
    }
}

/// Why a login has no update: the headers of its failure.
package struct FailureDescription: Sendable {
    /// Every reason there is.
    static let reasons = [
        "undecodable", "rule-error", "rule-timeout", "limit", "crashed", "attempts-exhausted", "too-old",
        "result-too-large",
    ]

    /// One of `reasons`.
    package var reason: String
    package var message: String
    package var rule: String?
    /// `FILE:LINE:COLUMN` of the rule.
    package var place: String?
    package var attempts = 0
    /// Milliseconds since 1970.
    package var firstAttempt: Int64?
    package var lastAttempt: Int64?

    package init(
        reason: String,
        message: String,
        rule: String? = nil,
        place: String? = nil,
        attempts: Int = 0,
        firstAttempt: Int64? = nil,
        lastAttempt: Int64? = nil
    ) {
        self.reason = reason
        self.message = message
        self.rule = rule
        self.place = place
        self.attempts = attempts
        self.firstAttempt = firstAttempt
        self.lastAttempt = lastAttempt
    }
}
