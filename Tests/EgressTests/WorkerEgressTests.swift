import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginObservability
import AfterloginSystem
import AfterloginTestSupport
import AfterloginWaiting
import Testing

@testable import AfterloginEgress

@Suite(.timeLimit(.minutes(1)))
struct WorkerEgressTests {
    private static func configuration() -> EgressSettings {
        var configuration = EgressSettings()
        configuration.tenant.domain = "tenant.example"
        configuration.tenant.clientID = "me"
        configuration.tenant.clientSecret = "the-secret"
        configuration.egress.allow = ["api.example"]
        configuration.egress.backoff = .init(base: .milliseconds(1), cap: .milliseconds(2))
        configuration.tokens = [("profiles", .init(audience: "profiles"))]
        return configuration
    }

    private static func egress(
        _ sender: ScriptedSender,
        waits: Bool = true,
        log: Log = .silent,
        clock: any WorkerClock = ContinuousClock()
    ) throws -> WorkerEgress {
        try WorkerEgress(
            configuration: self.configuration(),
            sender: sender,
            log: log,
            metrics: Metrics(),
            waitsForOutages: waits,
            clock: clock
        )
    }

    private static func call(
        _ method: String,
        _ url: String,
        body: String = "",
        headers: HTTPFields = []
    ) -> EgressCall {
        let request = HTTPRequest(method, url, headers: headers, body: Array(body.utf8))
        return EgressCall(rule: "r", request: request, deadline: .now + .seconds(20))
    }

    private static let tokenURL = "https://tenant.example/oauth/token"
    private static let grant =
        #"{"grant_type":"client_credentials","client_id":"me","client_secret":"the-secret","audience":"profiles"}"#

    private static func isUnknown(_ reply: EgressReply?) -> Bool { if case nil = reply { true } else { false } }

    private static func status(_ reply: EgressReply) -> Int? {
        if case .response(let response, _) = reply { response.status } else { nil }
    }

    @Test
    func aHostThatIsNotNamedIsRefusedWithoutASound() async throws {
        let sender = ScriptedSender { _, _ in .status(200) }
        let reply = try await Self.egress(sender).send(Self.call("GET", "https://evil.example/"))
        guard case .failed(let failure, let outcome) = reply else {
            Issue.record("\(reply)")
            return
        }
        #expect(failure.kind == .addressRefused)
        #expect(!outcome.failedSo && outcome.failedAt == nil)
        #expect(sender.requests.isEmpty)
    }

    @Test(arguments: [
        ("GET", 503, 3), ("GET", 500, 1), ("POST", 503, 1), ("GET", 404, 1),
    ])
    func whatMayBeRepeatedIsRepeated(method: String, status: Int, attempts: Int) async throws {
        let sender = ScriptedSender { _, _ in .status(status) }
        let reply = try await Self.egress(sender).send(Self.call(method, "https://api.example/"))
        #expect(Self.status(reply) == status)
        #expect(sender.requests.count == attempts)
    }

    @Test
    func aPostThatWasNotSentIsSentAgain() async throws {
        let refused = HTTPFailure(kind: .connectionRefused, message: "refused", code: "ECONNREFUSED", sentBytes: false)
        let sender = ScriptedSender { _, number in number == 2 ? .status(201) : .failure(refused) }
        #expect(Self.status(try await Self.egress(sender).send(Self.call("POST", "https://api.example/"))) == 201)
    }

    @Test
    func fiveHundredRulesThatAskForATokenFetchOne() async throws {
        let sender = ScriptedSender { _, _ in
            for _ in 0..<100 { await Task.yield() }
            return .status(200, #"{"access_token":"opaque-token-1","expires_in":3600}"#)
        }
        let egress = try Self.egress(sender)
        let tokens = await withTaskGroup(of: String?.self) { group in
            for _ in 0..<500 {
                group.addTask {
                    guard
                        case .response(let response, _) = await egress.send(
                            Self.call("POST", Self.tokenURL, body: Self.grant)
                        )
                    else { return nil }
                    return try? JSONText(validating: response.body)["access_token"]?.string
                }
            }
            return await group.reduce(into: Set<String?>()) { $0.insert($1) }
        }
        #expect(tokens == ["opaque-token-1"])
        #expect(sender.requests.count == 1)
        #expect(egress.tokenStatus().map(\.fetches) == [1])
    }

    @Test
    func aNativeRuleSharesTheTokenOfAJavaScriptRule() async throws {
        let sender = ScriptedSender { request, _ in
            request.url.hasSuffix("/oauth/token")
                ? .status(200, #"{"access_token":"opaque-token-1","expires_in":3600}"#) : .status(204)
        }
        let egress = try Self.egress(sender)
        _ = await egress.send(Self.call("POST", Self.tokenURL, body: Self.grant))
        let reply = await egress.send(Self.call("GET", "https://api.example/"), token: "profiles")
        #expect(Self.status(reply) == 204)
        #expect(sender.requests.count == 2)
        #expect(sender.requests.last?.headers.contains(HTTPField("Authorization", "Bearer opaque-token-1")) == true)
    }

    @Test
    func aWrongSecretNeverGetsARightOnesToken() async throws {
        let sender = ScriptedSender { request, _ in
            String(decoding: request.body, as: UTF8.self).contains("the-secret")
                ? .status(200, #"{"access_token":"opaque-token-1","expires_in":3600}"#)
                : .status(401, #"{"error":"access_denied"}"#)
        }
        let egress = try Self.egress(sender, waits: false)
        _ = await egress.send(Self.call("POST", Self.tokenURL, body: Self.grant))
        let wrong = Self.grant.replacing("the-secret", with: "another-one")
        #expect(Self.status(await egress.send(Self.call("POST", Self.tokenURL, body: wrong))) == 401)
    }

    @Test
    func aTokenThatIsCachedIsKnownAtOnce() async throws {
        let sender = ScriptedSender { request, number in
            request.url.hasSuffix("/oauth/token")
                ? .status(200, #"{"access_token":"opaque-token-\#(number)","expires_in":3600}"#) : .status(204)
        }
        let clock = ManualClock()
        let egress = try Self.egress(sender, clock: clock)
        let call = Self.call("POST", Self.tokenURL, body: Self.grant)
        #expect(Self.isUnknown(egress.reply(to: call)), "nobody has fetched it yet")
        _ = await egress.send(call)
        guard case .response(let response, let outcome) = egress.reply(to: call) else {
            Issue.record("no reply")
            return
        }
        let body = #"{"access_token":"opaque-token-1","token_type":"Bearer","expires_in":3600}"#
        #expect(String(decoding: response.body, as: UTF8.self) == body)
        let wrong = Self.call("POST", Self.tokenURL, body: Self.grant.replacing("the-secret", with: "no"))
        #expect(response.headers["content-type"] == "application/json" && outcome.route != nil)
        #expect(Self.isUnknown(egress.reply(to: wrong)))
        #expect(Self.isUnknown(egress.reply(to: Self.call("GET", "https://api.example/"))))
        clock.advance(by: .seconds(3_400))
        #expect(Self.isUnknown(egress.reply(to: call)), "it is to be fetched anew")
        #expect(sender.requests.count == 1)
    }

    @Test
    func aTokenThatIsNotToBeHadIsWaitedForAndAskedForAgain() async throws {
        let answers = Counter()
        let sender = ScriptedSender { _, _ in
            answers.next() == 1 ? .status(500) : .status(200, #"{"access_token":"opaque-token-1","expires_in":60}"#)
        }
        let egress = try Self.egress(sender)
        let reply = await egress.send(Self.call("POST", Self.tokenURL, body: Self.grant))
        guard case .away(let destination) = reply else {
            Issue.record("\(reply)")
            return
        }
        #expect(destination.description.contains("https://tenant.example/oauth/token for profiles"))
        #expect(egress.outages().map(\.reason) == ["answers 500"])
        let login = LoginCalls(number: 1, user: LoginUser(key: 1), firstAttempt: .now)
        // Nobody asks meanwhile: the worker does.
        await withCheckedContinuation { continuation in
            egress.board.wait(login, for: destination) { continuation.resume() }
        }
        let served = await egress.send(Self.call("POST", Self.tokenURL, body: Self.grant))
        #expect(Self.status(served) == 200)
        // For the rule hosts: those that keep something of the token's absence are out of date.
        guard case .response(_, let outcome) = served else { return }
        #expect(outcome.route?.answers == destination && outcome.failedAt == nil)
        #expect(egress.outages().isEmpty && answers.count == 2)
    }

    @Test(arguments: ["GET", "POST"])
    func whatWasToldToComeLaterIsSentAgainWhenItIsTimeAndNobodyHearsOfIt(method: String) async throws {
        let sender = ScriptedSender { _, number in
            number == 1 ? .status(429, "", [HTTPField("Retry-After", "0")]) : .status(201)
        }
        let reply = try await Self.egress(sender).send(Self.call(method, "https://api.example/"))
        #expect(Self.status(reply) == 201)
        #expect(sender.requests.count == 2)
    }

    /// The second: its name leads inside, by mistake or for a while.
    @Test(arguments: [HTTPFailure.Kind.connectionRefused, .addressRefused])
    func anAPIThatCannotBeReachedIsAwayAndItsCallsAreToldToNobody(kind: HTTPFailure.Kind) async throws {
        let refused = HTTPFailure(kind: kind, message: "refused", code: "ECONNREFUSED", sentBytes: false)
        let sender = ScriptedSender { _, _ in .failure(refused) }
        let egress = try Self.egress(sender)
        var told = 0
        for number in 0..<4 {
            var call = Self.call("POST", "https://api.example/")
            let user = LoginUser(key: UInt64(number))
            call.scope = CallScope(LoginCalls(number: UInt64(number), user: user, firstAttempt: .now))
            switch await egress.send(call) {
            case .failed(_, let outcome):
                told += 1
                #expect(outcome.failedSo)
            case .away(let destination): #expect(destination == .connection(host: "api.example", port: 443))
            case .response(let response, _): Issue.record("\(response)")
            }
        }
        // The third in a row says that it is away, and is not told either.
        #expect(told == 2)
        #expect(egress.outages().map(\.name) == ["api.example:443"])
    }

    /// By the time limit of its library, say.
    private static func scoped(_ call: EgressCall) -> (EgressCall, LoginCalls) {
        let login = LoginCalls(number: 1, user: LoginUser(key: 1), firstAttempt: .now)
        var call = call
        call.scope = CallScope(login)
        return (call, login)
    }

    @Test(arguments: [true, false])
    func aTokenThatIsGivenUpBeforeItCameIsWaitedFor(isFetched: Bool) async throws {
        let gate = Gate()
        let sender = ScriptedSender { _, _ in
            await gate.wait()
            return isFetched ? .status(200, #"{"access_token":"opaque-token-1","expires_in":3600}"#) : .status(503)
        }
        let egress = try Self.egress(sender)
        let (call, login) = Self.scoped(Self.call("POST", Self.tokenURL, body: Self.grant))
        let asked = Task { await egress.send(call) }
        await gate.waitForGuest()
        asked.cancel()
        gate.open()
        let reply = await asked.value
        if case .away = reply {
        } else {
            #expect(isFetched)
            #expect(login.unsent?.description.contains("https://tenant.example/oauth/token for profiles") == true)
        }
    }

    @Test
    func aCallThatIsGivenUpWhileItsTokenIsRenewedIsWaitedFor() async throws {
        let gate = Gate()
        let fetches = Counter()
        let sender = ScriptedSender { request, _ in
            guard request.url.hasSuffix("/oauth/token") else { return .status(401) }
            let number = fetches.next()
            if number == 2 { await gate.wait() }
            return .status(200, #"{"access_token":"opaque-token-\#(number)","expires_in":3600}"#)
        }
        let egress = try Self.egress(sender)
        let (call, login) = Self.scoped(Self.call("GET", "https://api.example/"))
        let asked = Task { await egress.send(call, token: "profiles") }
        await gate.waitForGuest()
        asked.cancel()
        gate.open()
        guard case .failed(_, let outcome) = await asked.value else {
            Issue.record("the API answered, although nobody waited")
            return
        }
        #expect(!outcome.failedSo)
        #expect(login.unsent?.description.contains("api.example") == true)
    }

    /// Whether the rule gave it up before or after the repeat had begun is chance.
    @Test
    func whatIsGivenUpAfterAnAttemptHasFailedHasFailed() async throws {
        let cancelled = HTTPFailure(kind: .cancelled, message: "cancelled", code: "ECONNRESET", sentBytes: true)
        let sender = ScriptedSender { _, number in number == 1 ? .status(503) : .failure(cancelled) }
        let (call, login) = Self.scoped(Self.call("GET", "https://api.example/"))
        guard case .failed(_, let outcome) = try await Self.egress(sender).send(call) else {
            Issue.record("it was answered")
            return
        }
        #expect(outcome.failedSo && outcome.failedAt != nil)
        #expect(login.attempts.failedCalls.count == 1 && login.unsent == nil)
    }

    @Test
    func aTokenThatAnAPIRejectsIsRenewedOnce() async throws {
        let fetches = Counter()
        let sender = ScriptedSender { request, _ in
            if request.url.hasSuffix("/oauth/token") {
                return .status(200, #"{"access_token":"opaque-token-\#(fetches.next())","expires_in":3600}"#)
            }
            return .status(request.headers.contains { $0.value == "Bearer opaque-token-1" } ? 401 : 200)
        }
        let egress = try Self.egress(sender)
        #expect(Self.status(await egress.send(Self.call("GET", "https://api.example/"), token: "profiles")) == 200)
        #expect(fetches.count == 2)
    }

    @Test
    func anAPIThatRefusesEveryTokenCostsNoTokenForEachCall() async throws {
        let fetches = Counter()
        let sender = ScriptedSender { request, _ in
            request.url.hasSuffix("/oauth/token")
                ? .status(200, #"{"access_token":"opaque-token-\#(fetches.next())","expires_in":3600}"#) : .status(401)
        }
        let egress = try Self.egress(sender)
        for _ in 0..<20 {
            #expect(Self.status(await egress.send(Self.call("GET", "https://api.example/"), token: "profiles")) == 401)
        }
        #expect(fetches.count == 2)
    }

    @Test
    func tokensAndSecretsAreNotInWhatIsSaidOfAFailure() async throws {
        let log = Log(level: .error, redactor: Redactor(secrets: ["the-secret"]), format: .json) { _ in }
        let message = "timed out with opaque-token-1 and the-secret"
        let late = HTTPFailure(kind: .timeout, message: message, code: "ETIMEDOUT", sentBytes: true)
        let sender = ScriptedSender { request, _ in
            request.url.hasSuffix("/oauth/token")
                ? .status(200, #"{"access_token":"opaque-token-1","expires_in":3600}"#) : .failure(late)
        }
        let reply = try await Self.egress(sender, log: log).send(
            Self.call("POST", "https://api.example/"),
            token: "profiles"
        )
        guard case .failed(let failure, let outcome) = reply else {
            Issue.record("\(reply)")
            return
        }
        for text in [failure.message, outcome.summary] {
            #expect(!text.contains("opaque-token-1") && !text.contains("the-secret"), "\(text)")
        }
    }
}
