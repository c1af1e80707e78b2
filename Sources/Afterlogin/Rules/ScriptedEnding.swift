/// Why an evaluation was ended before it was done.
struct ScriptedEnding {
    /// What to wait for before it goes on.
    var outage: any Outage
    /// The destination that was away; nil where it waited for something that another login left behind in its host.
    var destination: String?

    /// A promise that another login keeps, and that will never come.
    static var kept: ScriptedEnding { ScriptedEnding(outage: KeptPromise()) }

    private struct KeptPromise: Outage {
        let reason = "a promise of another login, which was ended, stood in the way"
        /// Nothing need pass: another host has no such promise.
        func waitUntilOver() async {}
    }
}
