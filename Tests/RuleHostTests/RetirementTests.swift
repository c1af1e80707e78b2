import AfterloginJSON
import Glibc
import Synchronization
import Testing

@testable import AfterloginRuleHost

@Suite("Hosts that make place for fresh ones", .timeLimit(.minutes(1)))
struct RetirementTests {
    private static let fetching = """
        function (user, context, callback) {
            fetch('http://api.example/').then(() => {
                user.process = process.pid;
                setTimeout(() => callback(null, user, context), 5);
            }, callback);
        }
        """

    private final class Load: Sendable {
        let isOver = Atomic(false)
        let restarts = Atomic(0)
    }

    private func process(_ outcome: EvaluationOutcome) throws -> Int32 {
        let user = try JSONText(validating: Array(try #require(outcome.user).utf8))
        return Int32(try #require(user["process"]?.int))
    }

    @Test(arguments: [1, 2])
    func aHostIsExchangedUnderLoadAndNoLoginNotices(_ count: Int) async throws {
        try await RunningHosts.with(Self.fetching, count: count) { hosts in
            // The second may still load.
            while hosts.witness.started.count < count { await hosts.settled() }
            let first = try #require(hosts.witness.started.first?.process)
            let load = Load()
            let processes = try await withThrowingTaskGroup(of: [Int32].self) { group in
                for _ in 0..<32 {
                    group.addTask {
                        var seen: [Int32] = []
                        while !load.isOver.load(ordering: .relaxed) {
                            let client = HoldingClient.open()
                            let outcome = await hosts.evaluate(client: client)
                            #expect(outcome.summary == "completed")
                            seen.append(try self.process(outcome))
                            load.restarts.add(client.restarts, ordering: .relaxed)
                        }
                        return seen
                    }
                }
                while !hosts.pool.status().contains(where: { $0.process == first && $0.evaluations > 0 }) {
                    await hosts.settled()
                }
                hosts.pool.retire(process: first)
                for await process in hosts.witness.retirements.prefix(1) { #expect(process == first) }
                // It ends with what it has in flight, while the others go on.
                while kill(first, 0) == 0 { await hosts.settled() }
                load.isOver.store(true, ordering: .relaxed)
                return try await group.reduce(into: Set<Int32>()) { $0.formUnion($1) }
            }
            #expect(processes.contains(first) && processes.count > 1)
            #expect(load.restarts.load(ordering: .relaxed) == 0)
            #expect(hosts.witness.deaths.isEmpty)
            #expect(hosts.witness.started.count == count + 1)
        }
    }

    @Test func oneInFlightStaysWhereItIsAndNewOnesGoToTheFreshHost() async throws {
        try await RunningHosts.with(Self.fetching) { hosts in
            let first = try #require(hosts.witness.started.first?.process)
            let client = HoldingClient()
            async let held = hosts.evaluate(client: client)
            await client.seen()
            hosts.pool.retire(process: first)
            for await _ in hosts.witness.retirements.prefix(1) {}
            let next = try self.process(await hosts.evaluate(client: HoldingClient.open()))
            #expect(next != first)
            #expect(kill(first, 0) == 0)
            client.letGo()
            #expect(try self.process(await held) == first)
            #expect(client.restarts == 0)
            while kill(first, 0) == 0 { await hosts.settled() }
            #expect(hosts.witness.deaths.isEmpty)
        }
    }

    /// What its evaluations leave behind would end it while others are in flight.
    @Test func aHostThatKeepsHalfOfItsMemoryIsExchangedWhenItIsIdle() async throws {
        let rule = """
            function (user, context, callback) {
                if (user.keeps) global.kept = Buffer.alloc(130 << 20, 1);
                user.process = process.pid;
                callback(null, user, context);
            }
            """
        try await RunningHosts.with(rule) { hosts in
            let first = try self.process(await hosts.evaluate())
            #expect(try self.process(await hosts.evaluate(#"{"keeps":true}"#)) == first)
            for await process in hosts.witness.retirements.prefix(1) { #expect(process == first) }
            #expect(try self.process(await hosts.evaluate()) != first)
            #expect(hosts.witness.deaths.isEmpty)
        }
    }

    @Test func noneBeginsOnAHostThatKeepsMuchWhereAnotherCanTakeIt() async throws {
        let rule = """
            function (user, context, callback) {
                if (user.keeps) global.kept = Buffer.alloc(130 << 20, 1);
                if (user.keeps) return void fetch('http://api.example/').then(() => callback(null, user, context));
                user.process = process.pid;
                callback(null, user, context);
            }
            """
        try await RunningHosts.with(rule, count: 2) { hosts in
            // The second may still load.
            while hosts.witness.started.count < 2 { await hosts.settled() }
            let client = HoldingClient()
            async let keeping = hosts.evaluate(#"{"keeps":true}"#, client: client)
            await client.seen()
            while !hosts.pool.status().contains(where: { $0.residentBytes > 170 << 20 && $0.inFlight == 1 }) {
                await hosts.settled()
            }
            let full = try #require(hosts.pool.status().first { $0.residentBytes > 170 << 20 }?.process)
            let processes = try await withThrowingTaskGroup(of: Int32.self) { group in
                for _ in 0..<20 { group.addTask { try self.process(await hosts.evaluate()) } }
                return try await group.reduce(into: Set<Int32>()) { $0.insert($1) }
            }
            #expect(!processes.contains(full) && processes.count == 1)
            client.letGo()
            #expect(await keeping.summary == "completed")
        }
    }
}
