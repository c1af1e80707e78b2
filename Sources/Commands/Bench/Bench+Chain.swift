import AfterloginRuleHost
import AfterloginSandbox

/// What a login costs in processor time, with a chain as people have it.
extension Bench {
    /// Worker and hosts together, from the start of the process to the last result: what two builds are compared by.
    func measureChains() async throws {
        let sandbox = try await self.place.sandbox(isPlain: true)
        try await self.place.setDelay(0, sandbox)
        for rule in self.size.rules {
            let topics = try await self.place.makeTopics(partitions: self.size.partitions)
            try await self.write(self.size.logins, .even, to: topics, extraBytes: self.size.eventBytes)
            let worker = try await BenchWorker(
                self.place,
                .chain(BenchChain(rule: rule, guards: self.size.guards)),
                topics,
                sandbox: sandbox,
                modules: self.modules,
                settings: ["concurrency=\(self.size.chainConcurrency)"]
                    + (self.size.hosts.map { ["rules.host.count=\($0)"] } ?? [])
            )
            // Looking costs the worker time as well.
            let samples = try await worker.waitForLogins(self.size.logins, every: .milliseconds(200))
            let usage = try ProcessTree.processorSeconds(of: worker.process.identifier)
            try await worker.stop()
            _ = try await self.audit(topics, expecting: self.size.logins)
            self.report(self.figure(rule, usage, samples))
        }
    }

    private func figure(
        _ rule: BenchRule,
        _ usage: (root: Double, descendants: Double),
        _ samples: [BenchWorker.Sample]
    ) -> BenchFigure {
        let count = Double(self.size.logins)
        func text(_ seconds: Double, _ logins: Double) -> String { String(Int((seconds / logins * 1e6).rounded())) }
        var note = "worker \(text(usage.root, count)), hosts \(text(usage.descendants, count))"
        if let end = samples.last, let half = samples.first(where: { $0.finished >= self.size.logins / 2 }),
            end.finished > half.finished
        {
            let seconds = end.processorSeconds - half.processorSeconds
            note += "; second half \(text(seconds, Double(end.finished - half.finished)))"
        }
        return BenchFigure(
            row: "chain with \(rule.rawValue), own token, POST, concurrency \(self.size.chainConcurrency)",
            value: (usage.root + usage.descendants) / count * 1e6,
            unit: "µs/login",
            note: note
        )
    }
}
