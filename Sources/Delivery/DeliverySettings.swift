/// What the path of a login is told of the configuration.
package struct DeliverySettings: Sendable {
    package var kafka = KafkaSettings()
    package var results = ResultSettings()
    /// Logins whose rules work; those that wait for an answer longer than a second do not count.
    package var concurrency = 256
    /// Evaluations that have begun, those that wait for an answer included.
    package var evaluations = 2_000
    package var admitted = AdmissionSettings()
    /// Results that no acknowledged commit covers.
    package var maxUncommitted = 1_000
    package var drain: Duration = .seconds(5)

    package init() {}
}

/// `kafka` of the configuration.
package struct KafkaSettings: Sendable {
    package enum Delivery: String, Sendable, CaseIterable {
        case atLeastOnce = "at-least-once"
        case transactional
    }
    package var brokers = "localhost:9092"
    package var group = "afterlogin"
    package var input = ["logins"]
    package var delivery = Delivery.atLeastOnce
    package var properties: [String: String] = [:]

    package init() {}
}

/// `results` of the configuration.
package struct ResultSettings: Sendable {
    package var updates = "user-updates"
    package var failures = "user-update-failures"
    package var source = "/afterlogin"

    package init() {}
}

/// `admitted` of the configuration.
package struct AdmissionSettings: Sendable {
    package var logins = 10_000
    package var bytes = 64 << 20

    package init() {}
}
