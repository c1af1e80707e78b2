import AfterloginSystem

package struct RuleHostConfiguration: Sendable {
    package enum Confinement: String, Sendable, CaseIterable { case auto, required, off }
    /// Path or name (looked up in PATH).
    package var node = "node"
    package var count = Self.defaultCount
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
    /// In all hosts together; what comes beyond waits here.
    package var evaluations = 2_000
    package init() {}

    /// One for two processors, and at most 8, each of which may take `memoryBytes`.
    ///
    /// The worker needs as much as its hosts, and each host warms up for itself: a chain of two rules on two processors costs 40 µs a login more in two
    /// hosts than in one.
    package static let defaultCount = min(8, max(1, Processors.count / 2))

    /// Above this the worker itself ends a host: the host's own watchdog, which looks every 20 ms, should have done so long before.
    var unguardedMemoryBytes: Int { self.memoryBytes + max(self.memoryBytes / 4, 64 << 20) }
}
