import Threads

package struct RuleHostConfiguration: Sendable {
    package enum Confinement: String, Sendable, CaseIterable { case auto, required, off }
    /// Path or name (looked up in PATH).
    package var node = "node"
    package var count = 2
    package var turn: Duration = .seconds(1)
    package var memoryBytes = 300 << 20
    package var confinement = Confinement.auto
    /// Readable for the host: the rules' folder, and further folders of modules.
    package var rulesDirectory: String?
    package var moduleDirectories: [String] = ["/usr/share/nodejs"]
    /// Where `afterlogin-confine` and the host's JavaScript are; default beside `/proc/self/exe`.
    package var confineExecutable: String?
    package var javaScriptDirectory: String?
    package var maxFrameBytes = 64 << 20
    /// What a host may leave unread before it is ended: answers of 2 MB to 128 logins at once.
    package var maxUnreadBytes = 256 << 20
    package init() {}
}

/// One evaluation of a run of neighbouring rules, in the bytes of its frame.
package struct Evaluation: Sendable {
    /// `{"from":0,"to":3,"timeout":20000,"accessToken":null}`; rules `from..<to` of what was loaded, timeout in ms per rule.
    package var head: [UInt8]
    package var user: [UInt8]
    package var context: [UInt8]
    /// The worker's own backstop for the whole run.
    package var deadline: Duration

    package init(head: [UInt8], user: [UInt8], context: [UInt8], deadline: Duration) {
        self.head = head
        self.user = user
        self.context = context
        self.deadline = deadline
    }
}

package enum EvaluationOutcome: Sendable {
    /// `head` as in the frame `done`; empty user or context: as it was given.
    case done(head: [UInt8], user: [UInt8], context: [UInt8])
    /// This evaluation was the culprit of its host's death, or missed the backstop.
    case killed(Kill)
    case cancelled
    /// The pool is shutting down; the login is to be run again elsewhere.
    case stopped

    package struct Kill: Sendable, Hashable {
        package enum Reason: String, Sendable { case limit, crashed, timeout }
        package var reason: Reason
        package var message: String
        /// Index of the rule in the loaded chain where it is known.
        package var rule: Int?

        package init(reason: Reason, message: String, rule: Int? = nil) {
            self.reason = reason
            self.message = message
            self.rule = rule
        }
    }
}

/// A request that a rule made.
package struct HostRequest: Sendable {
    /// `{"rule":0,"method":"GET","url":"https://…","headers":[["name","value"],…],"rejectUnauthorized":true}`.
    package var head: [UInt8]
    package var body: [UInt8]
    /// Unique within the evaluation's present run on its host.
    package var number: UInt32
    /// Answers it; to be called once; does nothing when the host or the evaluation is gone.
    package var reply: @Sendable (HostReply) -> Void
}

package enum HostReply: Sendable {
    /// head: `{"status":200,"reason":"OK","headers":[["name","value"],…]}`.
    case response(head: [UInt8], body: [UInt8])
    /// `{"code":"ECONNREFUSED","message":"…","syscall":"connect","address":"127.0.0.1","port":1}`.
    case failed([UInt8])
}

/// What an evaluation wants while it runs.
///
/// Called on the thread `afterlogin.rules`: must not block.
package protocol EvaluationClient: AnyObject, Sendable {
    func requestMade(_ request: HostRequest)
    func requestCancelled(_ number: UInt32)
    /// `{"rule":0,"level":"log","text":"…"}`, bounded, not yet redacted.
    func consolePrinted(_ line: [UInt8])
    /// `{"rule":0,"kind":"second-callback","text":"…"}`.
    func warned(_ warning: [UInt8])
    /// The host died and this evaluation, which is innocent, starts again: forget its calls.
    func restarted()
}

/// What the pool itself has to say.
///
/// Called on `afterlogin.rules`.
package protocol RuleHostPoolDelegate: AnyObject, Sendable {
    func hostStarted(_ host: RuleHostStatus)
    func hostDied(_ host: RuleHostStatus, reason: String, culprit: EvaluationOutcome.Kill?)
    /// Printed to descriptor 1 or 2 by something below `console` (bounded, not yet redacted).
    func hostPrinted(_ text: String)
    /// A warning about what happens outside of all evaluations (bounded in number, not yet redacted).
    func hostWarned(_ warning: [UInt8])
}

package struct RuleHostStatus: Sendable {
    package var process: Int32
    package var nodeVersion: String
    package var age: Duration
    package var residentBytes: Int
    package var inFlight: Int
    package var evaluations: Int
    package var deaths: Int
    /// What is in force: `landlock: "abi 7"`, `seccomp: "on"`, …; and what is missing.
    package var confinement: [String]
    package var notEnforced: [String]
}

/// A token for cancelling an evaluation from elsewhere.
package final class EvaluationToken: Sendable {
    package init() {}
}

/// A problem that makes the hosts refuse the chain: nothing is started.
package struct RuleHostRefusal: Error, Sendable {
    /// `{"problems":[{"rule":"…","file":"…","line":1,"column":1,"reason":"…"}]}` from the host, or empty.
    package var problems: [UInt8]
    package var message: String
}

/// Supervised, confined Node processes that run JavaScript rules.
///
/// Calls leave a command and wake the pool's thread (`afterlogin.rules`); everything else happens in `HostLoop`.
package final class RuleHostPool: Sendable {
    private let mailbox: HostMailbox
    private let loop: HostLoop.Seed

    /// Takes the payload of the frame `load`, which every host gets; starts nothing before `start`.
    package init(configuration: RuleHostConfiguration, load: [UInt8], delegate: any RuleHostPoolDelegate) {
        self.mailbox = HostMailbox()
        self.loop = HostLoop.Seed(configuration: configuration, load: load, delegate: delegate)
    }

    /// Starts the hosts; returns the payload of `loaded` when the first is ready.
    ///
    /// - Returns: What the host noted about the rules, as JSON.
    /// - Throws: `RuleHostRefusal` where the rules can't be loaded or no host can be started; nothing runs then.
    package func start() async throws(RuleHostRefusal) -> [UInt8] {
        let (mailbox, seed) = (self.mailbox, self.loop)
        let result = await withCheckedContinuation { (continuation: CheckedContinuation<StartResult, Never>) in
            mailbox.send(.start(continuation))
            // The kernel binds the hosts to the life of the thread that starts them.
            NamedThread.start("afterlogin.rules") { HostLoop(seed, mailbox: mailbox).run() }
        }
        return try result.get()
    }

    /// Runs rules on one of the hosts.
    ///
    /// Returns also when the host dies, is shut down, or at `cancel`.
    ///
    /// - Returns: What became of it.
    package func evaluate(
        _ evaluation: Evaluation,
        token: EvaluationToken,
        client: any EvaluationClient
    ) async -> EvaluationOutcome {
        await withCheckedContinuation { continuation in
            let job = HostJob(evaluation, token: token, client: client, continuation: continuation)
            if !self.mailbox.send(.evaluate(job)) { continuation.resume(returning: .stopped) }
        }
    }

    /// Ends an evaluation, wherever it is; does nothing when it is over.
    package func cancel(_ token: EvaluationToken) { self.mailbox.send(.cancel(token)) }

    /// Calls back from the pool's thread: a sign that it turns.
    ///
    /// At once after `shutdown`.
    package func ping(_ answer: @escaping @Sendable () -> Void) {
        if !self.mailbox.send(.ping(answer)) { answer() }
    }

    /// Ends all hosts; evaluations that still run return `.stopped`.
    package func shutdown() async {
        await withCheckedContinuation { continuation in
            if !self.mailbox.send(.shutdown(continuation)) { continuation.resume() }
        }
    }

    /// At most a quarter of a second old.
    package func status() -> [RuleHostStatus] { self.mailbox.status }
}
