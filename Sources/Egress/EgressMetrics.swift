package import AfterloginObservability

extension MetricDefinition {
    package static let callDuration = Self(
        "http.client.request.duration",
        "Time of a rule's call, its retries included, by host, status (none where no answer came) and what went wrong.",
        .histogram(buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]),
        labels: ["server.address", "server.port", "http.response.status_code", "error.type"]
    )
    package static let callRetries = Self(
        "afterlogin.egress.retries",
        "Calls sent again inside of a call.",
        .counter,
        labels: ["server.address", "server.port"]
    )
    package static let callsRefused = Self(
        "afterlogin.egress.refused",
        "Calls to hosts that egress.allow does not name.",
        .counter,
        labels: ["server.address", "server.port"]
    )
    package static let tokensFetched = Self(
        "afterlogin.tokens.fetched",
        "Access tokens fetched, by audience.",
        .counter,
        labels: ["audience"]
    )
    package static let tokenFailures = Self(
        "afterlogin.tokens.failures",
        "Token requests without a token, by kind: outage or refused.",
        .counter,
        labels: ["kind"]
    )
    package static let outages = Self(
        "afterlogin.outage",
        "1 while a token endpoint or a host is away, and work that needs it waits.",
        .gauge,
        labels: ["name"]
    )
}
