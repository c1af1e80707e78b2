import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginObservability
import AfterloginRuleHost
import AfterloginSystem
import AfterloginTestSupport
import AfterloginWaiting
import Glibc
import Testing

@testable import AfterloginEgress
@testable import AfterloginRules

/// JavaScript rules on real, confined hosts; the egress path is a double.
@Suite(.timeLimit(.minutes(1)))
struct RuleChainTests {
    private static let api = Destination.connection(host: "api.example.com", port: 443)

    private func withChain(
        _ folder: RuleFolder,
        native: [any Rule] = [],
        egress: ScriptedEgress = ScriptedEgress(),
        timeout: Duration = .seconds(20),
        client: String? = nil,
        _ body: (RuleChain) async throws -> Void
    ) async throws {
        var configuration = RuleSettings(file: "afterlogin.yaml")
        configuration.rules.directory = folder.path
        configuration.rules.timeout = timeout
        configuration.rules.host.count = 1
        configuration.tenant.domain = "example.eu.auth0.com"
        configuration.tenant.clientID = client
        configuration.configuration = [("SETTING", "value")]
        let loader = RuleChainLoader(
            configuration: configuration,
            nativeRules: native,
            egress: egress,
            log: Log(level: .error),
            metrics: Metrics()
        )
        let chain = try await loader.load().chain
        do {
            try await body(chain)
        } catch {
            await chain.shutdown()
            throw error
        }
        await chain.shutdown()
    }

    private func evaluate(
        _ chain: RuleChain,
        user: String = #"{"user_id":"auth0|1","email_verified":true}"#
    ) async throws
        -> (ChainState, ChainVerdict)
    {
        let state = try ChainState(
            user: JSONText(validating: Array(user.utf8)),
            context: JSONText(validating: Array(#"{"clientID":"c1"}"#.utf8))
        )
        return await chain.evaluate(state, for: .test(id: "evt-1", time: "2026-11-24T00:00:00Z"))
    }

    private struct NativeRule: Rule {
        let name = "native"
        let order = 2
        func evaluate(_ login: inout Login, using services: any RuleServices) async throws {
            login.user["native"] = login.user["first"] ?? .null
        }
    }

    private struct OtherIDRule: Rule {
        let name = "other-id"
        let order = 1
        func evaluate(_ login: inout Login, using services: any RuleServices) async throws {
            login.user["user_id"] = "auth0|2"
        }
    }

    /// Account linking: what is written to the other account is not a change of this one.
    @Test func metadataOfAnotherIDIsAPatchOfThatAccountWhoeverChangedIt() async throws {
        let folder = try RuleFolder()
        try folder.add(
            "links",
            order: 2,
            """
            async function links(user, context, callback) {
              if (user.third) user.user_id = 'auth0|3';
              await auth0.users.updateAppMetadata(user.user_id, { linked: true });
              await auth0.users.updateAppMetadata('auth0|1', { own: true });
              callback(null, user, context);
            }
            """
        )
        let egress = ScriptedEgress(managementToken: .token("worker-token")) { _ in
            .response(HTTPResponse(status: 200, body: Array("{}".utf8)), CallOutcome())
        }
        // Whose source says nothing of an id that changes.
        try folder.add(
            "writes",
            order: 3,
            """
            async function writes(user, context, callback) {
              if (!user.third) await auth0.users.updateUserMetadata(user.user_id, { other: true });
              callback(null, user, context);
            }
            """
        )
        try await self.withChain(folder, native: [OtherIDRule()], egress: egress, client: "worker") { chain in
            for user in [#"{"user_id":"auth0|1"}"#, #"{"user_id":"auth0|1","third":true}"#] {
                let (state, verdict) = try await self.evaluate(chain, user: user)
                guard case .completed = verdict else {
                    Issue.record("\(verdict)")
                    return
                }
                #expect(state.metadata.app.set.map(\.name) == ["own"])
            }
        }
        let places = egress.calls.map { "\($0.request.method) \($0.request.url.suffix(18))" }
        let ids = [2, 2, 3].map { "PATCH v2/users/auth0%7C\($0)" }
        #expect(places == ids, "\(places)")
        #expect(
            egress.calls.allSatisfy { call in
                call.request.headers.contains {
                    $0.isNamed("authorization") && $0.value == "Bearer worker-token"
                }
            }
        )
    }

    /// An outage of the token endpoint must not keep those waiting who write their own metadata.
    @Test(arguments: [
        ("await auth0.users.updateAppMetadata(user.user_id, { n: 1 });", false),
        ("await auth0.users.updateAppMetadata( user . user_id , { n: 1 });", false),
        ("await auth0.users.updateAppMetadata(context.primaryUser, { n: 1 });", true),
        ("user.user_id = 'auth0|2'; await auth0.users.updateUserMetadata(user.user_id, { n: 1 });", true),
        ("user['user_id'] = 'auth0|2'; await auth0.users.updateUserMetadata(user.user_id, { n: 1 });", true),
        ("user.seen = auth0.accessToken.length;", true), ("if (user.user_id === 'auth0|1') user.seen = 1;", false),
    ])
    func theWorkersTokenIsHadOnlyWhereItMayBeNeeded(line: String, isNeeded: Bool) {
        let source = "async function (user, context, callback) { \(line) callback(null, user, context); }"
        let scripts = [RuleDirectory.Script(file: "r.js", source: source)]
        let use = AccessTokenUse.find(in: scripts, idMayChange: AccessTokenUse.changesID(scripts))
        #expect((use != nil) == isNeeded)
    }

    @Test func aJavaScriptRuleThatChangesTheUsersIDIsWarned() async throws {
        let folder = try RuleFolder()
        let same = "function (user, context, callback) { callback(null, user, context); }"
        try folder.add("before", order: 1, same)
        try folder.add(
            "changes",
            order: 2,
            "function (user, context, callback) { user.user_id = 'auth0|2'; callback(null, user, context); }"
        )
        try folder.add("after", order: 3, same)
        try await self.withChain(folder) { chain in
            let (state, _) = try await self.evaluate(chain)
            #expect(state.reports.map { $0.warnings.count { $0.contains("user.user_id") } } == [0, 1, 0])
        }
    }

    /// Without Landlock a rule reads what the worker may read: nobody is to learn that from the last of many lines.
    @Test func aHostThatMayReadEveryFileIsSaidOnceAndLoudly() async throws {
        let folder = try RuleFolder()
        try folder.add("r", order: 1, "function (user, context, callback) { callback(null, user, context); }")
        var configuration = RuleSettings(file: "afterlogin.yaml")
        configuration.rules.directory = folder.path
        configuration.rules.host.count = 2
        configuration.rules.host.confinement = .off
        let lines = LogLines()
        let loader = RuleChainLoader(
            configuration: configuration,
            nativeRules: [],
            egress: ScriptedEgress(),
            log: Log(level: .error, redactor: Redactor(), format: .json) { lines.append($0) },
            metrics: Metrics()
        )
        let chain = try await loader.load().chain
        await chain.shutdown()
        let said = lines.text.split(separator: "\n")
        #expect(said.count == 1, "\(said)")
        #expect(said.first?.contains("rules can read every file") == true)
        #expect(said.first?.contains("rules.host.confinement") == true)
    }

    /// However it reads it, and whoever reads it for it.
    @Test func accessTokenIsThereWhereverAuth0StandsForItself() async throws {
        let bodies = [
            "user.token = auth0.accessToken", "user.token = auth0?.accessToken",
            "const a = auth0; user.token = a.accessToken",
            "user.token = { ...auth0 }.accessToken", "user.token = require('./tools').read(auth0)",
            "user.token = require('./tools').readGlobal()", "user.token = require('packaged')(auth0)",
            "user.token = require('reader').token()", "user.token = require('outer').token()",
        ]
        for body in bodies {
            let folder = try RuleFolder()
            try folder.add(
                "r",
                order: 1,
                "function (user, context, callback) { \(body); callback(null, user, context); }"
            )
            try folder.write(
                "tools.js",
                "exports.read = (a) => a.accessToken; exports.readGlobal = () => auth0.accessToken;"
            )
            try folder.write("node_modules/packaged/index.js", "module.exports = (given) => given.accessToken;")
            try Self.addReader(folder)
            let egress = ScriptedEgress(managementToken: .token("the-token"))
            try await self.withChain(folder, egress: egress, client: "me") { chain in
                let (after, verdict) = try await self.evaluate(chain)
                guard case .completed = verdict else { return #expect(Bool(false), "\(body): \(verdict)") }
                #expect(after.user["token"]?.string == "the-token", "\(body)")
            }
            #expect(egress.managementTokens == 1, "\(body)")
        }
        let folder = try RuleFolder()
        let harmless = "auth0.users.updateAppMetadata(user.user_id, { a: auth0.domain })"
        try folder.add(
            "r",
            order: 1,
            "function (user, context, callback) { \(harmless); callback(null, user, context); }"
        )
        let egress = ScriptedEgress(managementToken: .token("the-token"))
        try await self.withChain(folder, egress: egress, client: "me") { chain in _ = try await self.evaluate(chain) }
        #expect(egress.managementTokens == 0)
    }

    /// The worker hears of it too, and not that it was connected to what it can't reach.
    @Test func aSocketToAHostThatIsNotAllowedFailsAsItConnects() async throws {
        let folder = try RuleFolder()
        let connect =
            "require('net').connect(5432, host).on('connect', () => done('connected')).on('error', (error) => "
            + "done(error.code))"
        try folder.add(
            "r",
            order: 1,
            """
            function (user, context, callback) {
              const of = (host) => new Promise((done) => { \(connect); });
              Promise.all([of('db.example'), of('api.example')])
                .then((ends) => { user.ends = ends; callback(null, user, context); });
            }
            """
        )
        let failure = HTTPFailure(kind: .addressRefused, message: "connect EACCES", code: "EACCES", port: 5432)
        let egress = ScriptedEgress(reach: ["api.example:5432"]) { _ in .failed(failure, CallOutcome()) }
        try await self.withChain(folder, egress: egress) { chain in
            let (after, _) = try await self.evaluate(chain)
            #expect(after.user["ends"]?.elements.compactMap(\.string) == ["EACCES", "connected"])
        }
        #expect(egress.calls.map { "\($0.request.method) \($0.request.url)" } == ["CONNECT http://db.example:5432/"])
    }

    /// A package that reads the global `auth0` by itself, and one that asks it.
    private static func addReader(_ folder: RuleFolder) throws {
        try folder.write("node_modules/reader/index.js", "module.exports = require('./lib/token.js');")
        try folder.write("node_modules/reader/lib/token.js", "\nexports.token = () => global.auth0.accessToken;")
        try folder.write(
            "node_modules/outer/index.js",
            "exports.token = () => require('reader').token();\nrequire('reader');"
        )
    }

    /// How much it needs the token is not known: nothing is refused, and it is said.
    @Test func aPackageThatReadsAccessTokenIsNotedWithoutAClient() async throws {
        let folder = try RuleFolder()
        try Self.addReader(folder)
        let read = "user.token = String(require('outer').token()); callback(null, user, context);"
        try folder.add("r", order: 1, "function (user, context, callback) { \(read) }")
        try folder.add("other", order: 2, "function (user, context, callback) { callback(null, user, context); }")
        var configuration = RuleSettings(file: "afterlogin.yaml")
        configuration.rules.directory = folder.path
        configuration.rules.host.count = 1
        let loader = RuleChainLoader(
            configuration: configuration,
            nativeRules: [],
            egress: ScriptedEgress(),
            log: .silent,
            metrics: Metrics()
        )
        let (chain, notes) = try await loader.load()
        await chain.shutdown()
        let note = try #require(notes.first { $0.reason.contains("auth0.accessToken") }, "\(notes)")
        #expect(note.file.hasSuffix("node_modules/reader/lib/token.js") && note.line == 2, "\(note)")
        #expect(note.reason.contains("set tenant.client_id and tenant.client_secret in afterlogin.yaml"), "\(note)")
    }

    /// A rule beside one that needs it does not.
    @Test func onlyTheRulesThatLoadThePackageNeedTheToken() async throws {
        let folder = try RuleFolder()
        try Self.addReader(folder)
        try folder.add("r", order: 1, "function (user, context, callback) { callback(null, user, context); }")
        try folder.add(
            "later",
            order: 2,
            "function (user, context, callback) { if (user.never) require('reader'); callback(null, user, context); }"
        )
        let egress = ScriptedEgress(managementToken: .token("the-token"))
        try await self.withChain(folder, egress: egress, client: "me") { chain in
            #expect(
                chain.links.map { link in
                    if case .scripted(_, let readsAccessToken) = link.step { readsAccessToken } else { false }
                } == [false, true]
            )
        }
    }

    @Test func whoReadsAccessTokenNeedsAClientOfTheWorkers() async throws {
        let folder = try RuleFolder()
        try folder.add(
            "r",
            order: 1,
            "function (user, context, callback) {\n  helper(auth0);\n  callback(null, user, context);\n}"
        )
        let error = await #expect(throws: RuleChainRefusal.self) { try await self.withChain(folder) { _ in } }
        let problem = try #require(error?.problems.first)
        #expect(problem.line == 2 && problem.column == 10)
        #expect(problem.reason.contains("set tenant.client_id and tenant.client_secret"), "\(problem)")
    }

    /// `callback(new Error('no'))` after an awaited write is how rules deny.
    @Test func aPlainErrorKeepsWhatWasWrittenBeforeIt() async throws {
        let folder = try RuleFolder()
        let first = "await auth0.users.updateUserMetadata(user.user_id, { first: 1 }); callback(null, user, context);"
        let second =
            "await auth0.users.updateAppMetadata(user.user_id, { claimed: true }); callback(new Error('claimed'));"
        try folder.add("one", order: 1, "async function (user, context, callback) { \(first) }")
        try folder.add("two", order: 2, "async function (user, context, callback) { \(second) }")
        try await self.withChain(folder) { chain in
            let (after, verdict) = try await self.evaluate(chain)
            guard case .failed(let failure) = verdict else { return #expect(Bool(false), "\(verdict)") }
            #expect(failure.rule == "two" && !failure.isRetryable)
            #expect(failure.place?.hasPrefix("two.js:1:") == true, "\(String(describing: failure.place))")
            #expect(
                after.metadata.user.set.map(\.name) == ["first"] && after.metadata.app.set.map(\.name) == ["claimed"]
            )
        }
    }

    /// The attempt that failed with its call leaves nothing behind, that of earlier rules stays.
    @Test func anAttemptThatIsMadeAgainKeepsNoWrites() async throws {
        let folder = try RuleFolder()
        let first = "await auth0.users.updateUserMetadata(user.user_id, { first: 1 }); callback(null, user, context);"
        let second =
            "await auth0.users.updateAppMetadata(user.user_id, { claimed: true }); "
            + "await fetch('https://api.example.com/'); callback(new Error('down'));"
        try folder.add("one", order: 1, "async function (user, context, callback) { \(first) }")
        try folder.add("two", order: 2, "async function (user, context, callback) { \(second) }")
        for failedSo in [true, false] {
            let egress = ScriptedEgress { _ in
                let place = Destination.answers(rule: "two", host: "api.example.com", port: 443)
                return .response(HTTPResponse(status: 503), CallOutcome(failedSo: failedSo, failedAt: place))
            }
            try await self.withChain(folder, egress: egress) { chain in
                let (after, verdict) = try await self.evaluate(chain)
                guard case .failed(let failure) = verdict else { return #expect(Bool(false), "\(verdict)") }
                #expect(failure.isRetryable && after.next == 1)
                #expect(after.metadata.user.set.map(\.name) == ["first"] && after.metadata.app.isEmpty)
            }
        }
    }

    @Test func nativeAndJavaScriptRulesRunInOneChain() async throws {
        let folder = try RuleFolder()
        try folder.add(
            "one",
            order: 1,
            "function (user, context, callback) { user.first = configuration.SETTING; callback(null, user, context); }"
        )
        try folder.add(
            "three",
            order: 3,
            """
            async function three(user, context, callback) {
              context.idToken['https://x/native'] = user.native;
              await auth0.users.updateAppMetadata(user.user_id, { seen: user.native, gone: null });
              callback(null, user, context);
            }
            """
        )
        try await self.withChain(folder, native: [NativeRule()]) { chain in
            let (after, verdict) = try await self.evaluate(chain)
            guard case .completed = verdict else { return #expect(Bool(false), "\(verdict)") }
            #expect(after.user["native"]?.string == "value")
            #expect(after.context["idToken"]?["https://x/native"]?.string == "value")
            #expect(after.metadata.app.set.first?.value.string == "value")
            #expect(after.metadata.app.removed == ["gone"])
            #expect(after.reports.map(\.name) == ["one", "native", "three"])
        }
    }

    @Test func aDenialAndAnErrorAreToldApart() async throws {
        let folder = try RuleFolder()
        try folder.add(
            "guard",
            order: 1,
            """
            function (user, context, callback) {
              if (!user.email_verified) return callback(new UnauthorizedError('Please verify your email before logging in.'));
              callback(new Error('broken'));
            }
            """
        )
        try await self.withChain(folder) { chain in
            let (_, denial) = try await self.evaluate(chain, user: #"{"user_id":"a","email_verified":false}"#)
            guard case .denied("guard", "Please verify your email before logging in.") = denial else {
                return #expect(Bool(false), "\(denial)")
            }
            let (_, failure) = try await self.evaluate(chain)
            guard case .failed(let failed) = failure else { return #expect(Bool(false), "\(failure)") }
            #expect(failed.reason == .ruleError && failed.message == "broken" && !failed.isRetryable)
        }
    }

    @Test func requestsOfARuleGoThroughEgressAndFailRetryably() async throws {
        let folder = try RuleFolder()
        try folder.add(
            "calls",
            order: 1,
            """
            async function (user, context, callback) {
              const response = await fetch('https://api.example.com/profiles/1', { headers: { 'x-one': 'two' } });
              if (!response.ok) return callback(new Error('status ' + response.status));
              user.profile = await response.json();
              callback(null, user, context);
            }
            """
        )
        let egress = ScriptedEgress { call in
            call.request.headers.contains { $0.isNamed("x-one") && $0.value == "two" }
                ? .response(
                    HTTPResponse(status: 503),
                    CallOutcome(
                        failedSo: true,
                        failedAt: .answers(rule: "calls", host: "api.example.com", port: 443),
                        summary: "503"
                    )
                )
                : .response(HTTPResponse(status: 400), CallOutcome())
        }
        try await self.withChain(folder, egress: egress) { chain in
            let (after, verdict) = try await self.evaluate(chain)
            guard case .failed(let failure) = verdict else { return #expect(Bool(false), "\(verdict)") }
            #expect(failure.isRetryable && failure.message == "status 503")
            #expect(after.next == 0)
            #expect(egress.calls.map(\.request.url) == ["https://api.example.com/profiles/1"])
            #expect(egress.calls.map(\.rule) == ["calls"])
        }
    }

    @Test func anOutageDiscardsTheEvaluation() async throws {
        let folder = try RuleFolder()
        try folder.add(
            "swallows",
            order: 1,
            """
            async function (user, context, callback) {
              try { await fetch('https://example.eu.auth0.com/oauth/token', { method: 'POST' }); } catch (e) {}
              callback(null, user, context);
            }
            """
        )
        try await self.withChain(folder, egress: ScriptedEgress { _ in .away(.grant("for profiles")) }) { chain in
            let (after, verdict) = try await self.evaluate(chain)
            guard case .away(.grant("for profiles")) = verdict else { return #expect(Bool(false), "\(verdict)") }
            #expect(after.next == 0)
        }
    }

    /// On a fresh host it would fare no better: while that is away, starting one is for nothing.
    @Test(arguments: ["callback(error);", "callback(null, user, context);"])
    func aLoginThatFailsByWhatAnotherKeepsNamesWhatThatWaitedFor(_ ending: String) async throws {
        let folder = try RuleFolder()
        try folder.add(
            "keeps",
            order: 1,
            """
            async function (user, context, callback) {
              user.begun = true;
              try {
                await (global.kept ||= fetch('https://api.example/', { signal: AbortSignal.timeout(50) }));
                callback(null, user, context);
              } catch (error) { \(ending) }
            }
            """
        )
        let gate = Gate()
        let egress = ScriptedEgress { _ in
            await gate.wait()
            return .away(Self.api)
        }
        try await self.withChain(folder, egress: egress) { chain in
            async let first = self.evaluate(chain)
            await gate.waitForGuest()
            let (after, verdict) = try await self.evaluate(chain)
            gate.open()
            _ = try await first
            guard case .unjudged(let names) = verdict else { return #expect(Bool(false), "\(verdict)") }
            #expect(names == ["api.example:443 (rule keeps)"])
            #expect(after.next == 0 && after.user["begun"] == nil && after.reports.isEmpty)
        }
    }

    private static let twoRules = (
        first: """
        async function (user, context, callback) {
          user.count = (user.count || 0) + 1;
          await auth0.users.updateAppMetadata(user.user_id, { first: true });
          callback(null, user, context);
        }
        """,
        second: """
        async function (user, context, callback) {
          user.begun = true;
          await auth0.users.updateAppMetadata(user.user_id, { second: true });
          const response = await fetch('https://api.example.com/profiles/1').catch(() => null);
          if (response && response.ok) user.plan = 'gold';
          callback(null, user, context);
        }
        """
    )

    private func twoRules() throws -> RuleFolder {
        let folder = try RuleFolder()
        try folder.add("first", order: 1, Self.twoRules.first)
        try folder.add("second", order: 2, Self.twoRules.second)
        return folder
    }

    @Test func whatWasCompleteWhenALoginMetAnOutageIsKept() async throws {
        let isAway = Mutex(true)
        let egress = ScriptedEgress { _ in
            isAway.withLock { $0 } ? .away(Self.api) : .response(HTTPResponse(status: 200), CallOutcome())
        }
        try await self.withChain(try self.twoRules(), egress: egress) { chain in
            let (waiting, verdict) = try await self.evaluate(chain)
            guard case .away(Self.api) = verdict else { return #expect(Bool(false), "\(verdict)") }
            #expect(waiting.next == 1 && waiting.attempt == 1)
            #expect(waiting.reports.map(\.name) == ["first"])
            #expect(waiting.user["begun"] == nil)
            #expect(waiting.metadata.app.set.map(\.name) == ["first"])
            isAway.withLock { $0 = false }
            let (after, end) = await chain.evaluate(waiting, for: .test(id: "evt-1", time: "2026-11-24T00:00:00Z"))
            guard case .completed = end else { return #expect(Bool(false), "\(end)") }
            #expect(after.user["count"]?.int == 1 && after.user["plan"]?.string == "gold")
            #expect(after.metadata.app.set.map(\.name) == ["first", "second"])
            #expect(after.reports.map(\.name) == ["first", "second"])
        }
    }

    /// A login that is neither done nor stopped must not vanish, or its partition's commit stands (A9).
    @Test func aLoginWhoseHostDiesAsItMeetsAnOutageWaits() async throws {
        let process = Mutex<Int32>(0)
        let egress = ScriptedEgress { _ in
            kill(process.withLock { $0 }, SIGKILL)
            return .away(Self.api)
        }
        try await self.withChain(try self.twoRules(), egress: egress) { chain in
            for _ in 0..<4 {
                while true {
                    guard
                        let host = chain.hostStatus().first(where: {
                            !$0.nodeVersion.isEmpty && kill($0.process, 0) == 0
                        })
                    else {
                        await withCheckedContinuation { turn in chain.ping { turn.resume() } }
                        continue
                    }
                    process.withLock { $0 = host.process }
                    break
                }
                let (_, verdict) = try await self.evaluate(chain)
                guard case .away(Self.api) = verdict else { return #expect(Bool(false), "\(verdict)") }
            }
        }
    }

    /// A rule that swallows a failure is not done: who discards its verdict goes on from before it.
    @Test func theStateBeforeARuleThatSwallowedAFailureIsKept() async throws {
        let egress = ScriptedEgress { _ in
            .response(HTTPResponse(status: 503), CallOutcome(failedSo: true, failedAt: Self.api, summary: "503"))
        }
        try await self.withChain(try self.twoRules(), egress: egress) { chain in
            let (_, verdict) = try await self.evaluate(chain)
            guard case .keptBack(let kept) = verdict else { return #expect(Bool(false), "\(verdict)") }
            #expect(kept.after.user["begun"]?.bool == true)
            let before = kept.before
            #expect(before.next == 1 && before.attempt == 1)
            #expect(before.user["count"]?.int == 1 && before.user["begun"] == nil)
            #expect(before.metadata.app.set.map(\.name) == ["first"])
            #expect(before.reports.map(\.name) == ["first"])
        }
    }

    @Test func workAfterTheCallbackIsWaitedForAndAFailureThatItSwallowsKeepsTheVerdictBack() async throws {
        let folder = try RuleFolder()
        try folder.add(
            "late",
            order: 1,
            """
            function (user, context, callback) {
              fetch('https://api.example.com/plan').then(r => r.json())
                .then(body => auth0.users.updateAppMetadata(user.user_id, { plan: body.plan }));
              fetch('https://api.example.com/down').catch(() => {});
              callback(null, user, context);
            }
            """
        )
        let egress = ScriptedEgress { call in
            if call.request.url.hasSuffix("plan") {
                return .response(HTTPResponse(status: 200, body: Array(#"{"plan":"gold"}"#.utf8)), CallOutcome())
            }
            let failure = HTTPFailure(
                kind: .connectionRefused,
                message: "refused",
                code: "ECONNREFUSED",
                sentBytes: false
            )
            return .failed(
                failure,
                CallOutcome(
                    failedSo: true,
                    failedAt: .connection(host: "api.example.com", port: 443),
                    summary: "GET api.example.com: ECONNREFUSED"
                )
            )
        }
        try await self.withChain(folder, egress: egress) { chain in
            let (_, verdict) = try await self.evaluate(chain)
            guard case .keptBack(let kept) = verdict else { return #expect(Bool(false), "\(verdict)") }
            guard case .completed = kept.verdict else { return #expect(Bool(false), "\(kept.verdict)") }
            #expect(kept.after.metadata.app.set.first?.value.string == "gold")
            #expect(kept.after.reports.first?.calls == 2)
            #expect(kept.after.reports.first?.warnings == ["GET api.example.com: ECONNREFUSED"])
            // Dropped, it goes on from before the rule that swallowed the failure.
            #expect(kept.before.next == 0 && kept.before.metadata.app.set.isEmpty && kept.before.reports.isEmpty)
        }
    }

    @Test(arguments: [
        ("loops", "function (user, context, callback) { while (true) {} }", "limit"),
        ("promises", "async function (user, context, callback) { while (true) await 1; }", "limit"),
        (
            "regexp", "function (user, context, callback) { /^(a+)+$/.test('a'.repeat(40) + '!'); callback(null); }",
            "limit"
        ),
        ("silent", "function (user, context, callback) { }", "rule-timeout"),
        ("exits", "function (user, context, callback) { process.exit(3); }", "rule-error"),
        ("cycle", "function (user, context, callback) { user.self = user; callback(null, user, context); }", "limit"),
        ("rejects", "async function (user, context, callback) { throw new Error('rejected'); }", "rule-error"),
        ("throws", "function (user, context, callback) { null.x; }", "rule-error"),
    ])
    func aHostileRuleFailsItsLoginAndNoOther(_ rule: (name: String, source: String, reason: String)) async throws {
        let folder = try RuleFolder()
        try folder.add("passes", order: 1, "function (user, context, callback) { callback(null, user, context); }")
        try folder.add(
            rule.name,
            order: 2,
            "function (user, context, callback) { if (user.good) return callback(null, user, context); return "
                + "(\(rule.source))(user, context, callback); }"
        )
        try await self.withChain(folder, timeout: .seconds(3)) { chain in
            async let hostile = self.evaluate(chain)
            async let good = self.evaluate(chain, user: #"{"user_id":"b","good":true}"#)
            let (_, goodVerdict) = try await good
            guard case .completed = goodVerdict else { return #expect(Bool(false), "\(goodVerdict)") }
            let (_, verdict) = try await hostile
            guard case .failed(let failure) = verdict else { return #expect(Bool(false), "\(verdict)") }
            #expect(failure.rule == rule.name)
            #expect(failure.reason.rawValue == rule.reason, "\(failure.message)")
        }
    }

    @Test func everythingWrongWithTheSourcesIsReportedAtOnce() async throws {
        let folder = try RuleFolder()
        try folder.add("syntax", order: 1, "function (user, context, callback) {\n  const = 1;\n}")
        try folder.add("module", order: 2, "function (user, context, callback) {\n  require('not-to-be-had');\n}")
        try folder.add("twice", order: 2, "function (user, context, callback) { callback(null); }")
        do {
            try await self.withChain(folder) { _ in }
            Issue.record("the chain was accepted")
        } catch let refusal as RuleChainRefusal {
            #expect(refusal.problems.contains { $0.file.hasSuffix("syntax.js") && $0.line == 2 && $0.column > 0 })
            #expect(
                refusal.problems.contains {
                    $0.file.hasSuffix("module.js") && $0.line == 2 && $0.reason.contains("not-to-be-had")
                }
            )
            #expect(refusal.problems.contains { $0.reason.contains("has order 2") })
        }
    }
}
