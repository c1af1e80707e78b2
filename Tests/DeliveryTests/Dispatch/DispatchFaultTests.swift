import AfterloginKafka
import AfterloginSystem
import AfterloginTestSupport
import Testing

@testable import AfterloginDelivery
@testable import AfterloginRules

/// Faults that were there once, each as it was seen from outside.
@Suite("Faults of dispatch that must not come back", .timeLimit(.minutes(1)))
struct DispatchFaultTests {
    /// Users that took turns let results run thousands of logins ahead of the commit: so many came twice after a crash.
    @Test
    func theLoginThatArrivedFirstGoesFirst() async throws {
        let gate = Gate()
        let bench = DispatchBench(.set(\.delivery.concurrency, 1)) { id, _ in
            if id == "0" { await gate.wait() }
            return .completed
        }
        let task = await bench.start()
        bench.send([(0, "a"), (1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "c")])
        await gate.waitForGuest()
        gate.open()
        await bench.waitForCommit(6)
        #expect(bench.chain.order == ["0", "1", "2", "3", "4", "5"])
        bench.worker.stop()
        _ = try await task.value
    }

    /// Records that come while the worker stops are not taken; the end of their batch must not be committed over them.
    @Test(arguments: [true, false])
    func whatCameWhileTheWorkerStoppedIsNotCommitted(endComesWithItsRecords: Bool) async throws {
        let gate = Gate()
        let bench = DispatchBench { _, _ in
            await gate.wait()
            return .completed
        }
        let task = await bench.start()
        bench.send([(0, "a")])
        await gate.waitForGuest()
        bench.worker.stop()
        if endComesWithItsRecords {
            bench.deliver([(1, "b")], end: 2)
        } else {
            bench.send([(1, "b")])
            bench.deliver([], end: 2)
        }
        gate.open()
        _ = try await task.value
        #expect(try bench.publisher.results.map(DispatchBench.offset) == [0])
        #expect(bench.source.committed(DispatchBench.partition) == 1)
    }

    @Test
    func aStopDuringARevokeWaitsForNothingElse() async throws {
        let gate = Gate()
        let bench = DispatchBench(
            Change { settings in
                settings.delivery.concurrency = 2
                settings.delivery.drain = .seconds(20)
            }
        ) { id, _ in
            if id == "0" { await gate.wait() }
            return .completed
        }
        let task = await bench.start()
        // 1 waits behind 0, its user's first, and is older than 2, which is done.
        bench.send([(0, "a"), (1, "a"), (2, "b")])
        await gate.waitForGuest()
        await bench.waitForResults(1)
        bench.source.receiver?.partitionsRevoked([DispatchBench.partition])
        bench.worker.stop()
        let opened = ContinuousClock.now
        gate.open()
        _ = try await task.value
        #expect(ContinuousClock.now - opened < .seconds(10), "the whole drain was waited for")
        #expect(!bench.lines.contains("the drain missed its deadline"), "\(bench.lines)")
        #expect(bench.source.revocationsFinished == 1)
        #expect(bench.worker.status().admitted == 0)
    }

    /// A host can die just when an evaluation is ended: the login must run again, or its lane and its partition's commit stand still.
    @Test
    func aLoginThatIsCutOffWhileTheWorkerRunsOnRunsAgain() async throws {
        let isFirst = Mutex(true)
        let bench = DispatchBench { id, _ in
            id == "0" && isFirst.withLock { exchange(&$0, with: false) } ? .stopped : .completed
        }
        let task = await bench.start()
        bench.send([(0, "a"), (1, "a"), (2, "b")])
        while bench.source.committed(DispatchBench.partition) != 3, bench.worker.status().admitted > 0 {
            await Task.yield()
        }
        #expect(bench.chain.order.filter { $0 == "0" }.count == 2)
        let results = try bench.publisher.results.map(DispatchBench.offset)
        #expect(Set(results) == [0, 1, 2] && results.count == 3)
        #expect(results.filter { $0 < 2 } == [0, 1])
        bench.worker.stop()
        _ = try await task.value
    }
}
