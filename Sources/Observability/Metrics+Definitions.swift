/// Every metric of the worker, each with its meaning. Names follow OpenTelemetry's semantic conventions where there is one, and so do the labels of those.
extension MetricDefinition {
    /// Seconds; from a fast call to the longest rule.
    private static let seconds = [
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 300, 3_600,
    ]

    package static let recordsConsumed = Self(
        "messaging.client.consumed.messages",
        "Records read from the input.",
        .counter,
        labels: ["messaging.destination.name"]
    )
    package static let resultsProduced = Self(
        "messaging.client.sent.messages",
        "Results acknowledged by the broker.",
        .counter,
        labels: ["messaging.destination.name"]
    )
    package static let processDuration = Self(
        "messaging.process.duration",
        "From a login's arrival to its acknowledged result.",
        .histogram(buckets: Self.seconds)
    )
    package static let loginsFinished = Self(
        "afterlogin.logins.finished",
        "Logins by how they ended: update, denial, failure.",
        .counter,
        labels: ["outcome"]
    )
    package static let failures = Self(
        "afterlogin.logins.failures",
        "Failures by reason.",
        .counter,
        labels: ["reason"]
    )
    package static let loginsAdmitted = Self(
        "afterlogin.logins.admitted",
        "Logins read and not yet finished, waiting ones included.",
        .gauge
    )
    package static let loginsRunning = Self("afterlogin.logins.running", "Logins whose rules run now.", .gauge)
    package static let loginsWaiting = Self(
        "afterlogin.logins.waiting",
        "Logins that wait for a retry or the end of an outage.",
        .gauge
    )
    package static let bytesAdmitted = Self("afterlogin.logins.admitted.bytes", "Bytes of the logins admitted.", .gauge)
    package static let retries = Self(
        "afterlogin.rules.retries",
        "Rules run again after a retryable call.",
        .counter,
        labels: ["rule"]
    )
    package static let staleResults = Self(
        "afterlogin.logins.stale",
        "Logins that finished after their partition was gone; their results count for nothing.",
        .counter
    )
    package static let lateResults = Self(
        "afterlogin.results.late",
        "Results acknowledged after their partition was gone: one may stand behind a newer one of the same user, from its next owner.",
        .counter
    )
    package static let commits = Self(
        "afterlogin.commits",
        "Commits of offsets by how they ended.",
        .counter,
        labels: ["outcome"]
    )
    package static let topicsReplaced = Self(
        "afterlogin.input.replaced",
        "Partitions of the input that were found to be of another topic of the same name, and are read from the beginning.",
        .counter
    )
    package static let positionsLost = Self(
        "afterlogin.input.positions_lost",
        "Partitions of the input whose committed offset does not exist (any more); they are not read until somebody says from where.",
        .counter
    )
    package static let foreignMetadata = Self(
        "afterlogin.commits.foreign_metadata",
        "Committed offsets whose metadata could not be read.",
        .counter
    )
    package static let uncommitted = Self(
        "afterlogin.results.uncommitted",
        "Results that no acknowledged commit covers yet.",
        .gauge
    )
    package static let lag = Self(
        "messaging.kafka.consumer.lag",
        "Records behind the newest one.",
        .gauge,
        labels: ["messaging.destination.name", "messaging.destination.partition.id"]
    )
    package static let ruleDuration = Self(
        "afterlogin.rules.duration",
        "Time that a rule took, its calls included.",
        .histogram(buckets: Self.seconds),
        labels: ["rule", "outcome"]
    )
    package static let ruleHostDeaths = Self(
        "afterlogin.rule_hosts.deaths",
        "Rule hosts that died, by reason: limit, crashed, timeout, unknown.",
        .counter,
        labels: ["reason"]
    )
    package static let ready = Self("afterlogin.ready", "1 when /readyz says so.", .gauge)
    package static let degraded = Self(
        "afterlogin.degraded",
        "1 while logins are not done as they should be for that cause, although a restart would not help; /readyz and /status name it.",
        .gauge,
        labels: ["cause"]
    )
    package static let buildInfo = Self(
        "afterlogin.build_info",
        "1, labelled with the versions of the worker and of librdkafka.",
        .gauge,
        labels: ["version", "librdkafka"]
    )
}
