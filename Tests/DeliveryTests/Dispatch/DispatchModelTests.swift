import AfterloginKafka
import AfterloginTestSupport
import Testing

@testable import AfterloginDelivery

@Suite("Dispatch against a naive model", .timeLimit(.minutes(1)))
struct DispatchModelTests {
    struct World: CustomTestStringConvertible {
        var seed: UInt64
        var concurrency: Int
        var uncommitted: Int
        var mapBytes: Int
        var testDescription: String { "seed \(self.seed)" }
    }

    /// 25 worlds of 4,000 steps.
    private static let worlds: [World] = (1...25).map { seed in
        World(
            seed: seed,
            concurrency: [1, 3, 8, 20][Int(seed) % 4],
            uncommitted: [3, 10, 1_000][Int(seed) % 3],
            mapBytes: [CompletionMap.maxBytes, 200, 40, 12][Int(seed / 3) % 4]
        )
    }

    @Test(arguments: Self.worlds)
    func itHolds(world: World) {
        var player = DispatchPlayer(world)
        for step in 0..<4_000 {
            player.play()
            guard player.problems.isEmpty else {
                Issue.record("seed \(world.seed), step \(step): \(player.problems.prefix(5))")
                return
            }
        }
        player.end()
        #expect(player.problems.isEmpty, "seed \(world.seed): \(player.problems.prefix(5))")
        #expect(player.acknowledgedCount > 100, "seed \(world.seed): \(player.acknowledgedCount) logins were done")
    }
}
