import AfterloginSandbox
import Testing

/// Logins that wait for the world, on a real broker: an outage fails nobody, and takes nobody's data.
@Suite(
    .serialized,
    .enabled(if: KafkaBroker.isAvailable, "needs KAFKA_HOME"),
    .timeLimit(.minutes(3))
)
struct WaitingOnBrokerTests {
    private static let tokenRequest = """
        fetch(`https://${auth0.domain}/oauth/token`, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({
                grant_type: 'client_credentials', client_id: configuration.CLIENT_ID,
                client_secret: configuration.CLIENT_SECRET, audience: 'https://profiles.example/api',
            }),
        })
        """

    /// One token's promise for all logins: whoever finds a promise that never comes must be run again elsewhere.
    private static let keepsItsToken = """
        async function enrich(user, context, callback) {
            try {
                global.token ||= \(tokenRequest).then((answer) => {
                    if (!answer.ok) throw new Error(`token: ${answer.status}`);
                    return answer.json();
                });
                const profile = await fetch(`${configuration.API}/profiles/${encodeURIComponent(user.user_id)}`, {
                    headers: { authorization: `Bearer ${(await global.token).access_token}` },
                });
                if (!profile.ok) return callback(new Error(`profiles: ${profile.status}`));
                auth0.users.updateAppMetadata(user.user_id, { plan: (await profile.json()).plan });
                callback(null, user, context);
            } catch (error) {
                callback(error);
            }
        }
        """

    /// Calls back first, and swallows what fails: what it writes late is all that a login is for.
    private static let callsBackFirst = """
        function enrich(user, context, callback) {
            \(tokenRequest)
                .then((answer) => answer.json())
                .then((token) => fetch(`${configuration.API}/profiles/${encodeURIComponent(user.user_id)}`, {
                    headers: { authorization: `Bearer ${token.access_token}` },
                }))
                .then((profile) => {
                    if (!profile.ok) throw new Error(`profiles: ${profile.status}`);
                    return profile.json();
                })
                .then(({ plan }) => auth0.users.updateAppMetadata(user.user_id, { plan }))
                .catch((problem) => console.log(problem.message));
            callback(null, user, context);
        }
        """

    /// Half of the logins need something of a hanging API, and the others nothing.
    private static let callsForSome = """
        async function enrich(user, context, callback) {
            if (Number(user.user_id.replace(/\\D/g, '')) % 2) return callback(null, user, context);
            const answer = await fetch(`${configuration.API}/slow/${encodeURIComponent(user.user_id)}`);
            if (!answer.ok) return callback(new Error(`slow: ${answer.status}`));
            user.points = (await answer.json()).points;
            callback(null, user, context);
        }
        """

    /// All logins are updated, with what their rule fetches.
    private func expectAll(_ count: Int, _ staging: Staging, _ audit: ResultAudit) async throws {
        let report = try await staging.report(audit)
        #expect(report.isClean, "\(report.examples)")
        #expect(report.updates == count, "\(report.failures)")
        // One good answer for each: an update without its data has none.
        #expect(try staging.requests(to: "profiles", answered: 200) == count)
        #expect(try staging.tokens() == ["https://profiles.example/api": 1])
    }

    @Test
    func aPromiseOfATokenThatWasNotToBeHadStopsNobody() async throws {
        let staging = try await Staging(KafkaBroker(), rule: Self.keepsItsToken)
        defer { staging.close() }
        try staging.fault("token", #"{"error": {"status": 500}}"#)
        try await staging.produce(500)
        let worker = try staging.worker()
        let audit = try staging.audit()
        try worker.waitUntil("the outage has been noticed") { worker.standardErrorText.contains(" is away: ") }
        // Others find the first one's promise, and say so after a second.
        try worker.waitUntil("the endpoint has been asked again") {
            try staging.requests(to: "token") >= 4
        }
        #expect(audit.resultCount == 0)
        try staging.fault("token", nil)
        try worker.waitUntil("all results") { audit.resultCount == 500 }
        try await self.expectAll(500, staging, audit)
    }

    @Test
    func anOutageTakesNoDataFromWhoCallsBackFirstAndSwallowsErrors() async throws {
        let staging = try await Staging(KafkaBroker(), rule: Self.callsBackFirst)
        defer { staging.close() }
        try staging.fault("profiles", #"{"error": {"status": 503}}"#)
        try await staging.produce(500)
        let worker = try staging.worker()
        let audit = try staging.audit()
        try worker.waitUntil("the outage has been noticed") { worker.standardErrorText.contains(" is away: ") }
        let asked = try staging.requests(to: "profiles")
        try worker.waitUntil("the API has been probed") { try staging.requests(to: "profiles") >= asked + 3 }
        #expect(audit.resultCount == 0)
        try staging.fault("profiles", nil)
        try worker.waitUntil("all results") { audit.resultCount == 500 }
        try await self.expectAll(500, staging, audit)
    }

    /// Ten times as many logins hang as may run at a time.
    @Test
    func anAPIThatHangsHoldsUpNobodyWhoDoesNotCallIt() async throws {
        let staging = try await Staging(KafkaBroker(), rule: Self.callsForSome)
        defer { staging.close() }
        try staging.fault("slow", #"{"hang": 1}"#)
        try await staging.produce(600, users: 600, distribution: .even)
        let worker = try staging.worker("concurrency=25")
        let audit = try staging.audit()
        // Before the first time-out at 10 s, and before the API is known to be away.
        try worker.waitUntil("who does not call is done") { audit.resultCount >= 250 }
        #expect(!worker.standardErrorText.contains(" is away: "))
        try staging.fault("slow", nil)
        try worker.waitUntil("all results") { audit.resultCount == 600 }
        let report = try await staging.report(audit)
        #expect(report.isClean, "\(report.examples)")
        #expect(report.updates == 600, "\(report.failures)")
    }
}
