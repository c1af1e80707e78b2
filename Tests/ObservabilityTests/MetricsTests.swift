import AfterloginObservability
import Testing

@Suite(.timeLimit(.minutes(1)))
struct MetricsTests {
    @Test
    func whatIsGoneHasNoValueAnyMore() {
        let metrics = Metrics()
        func lags() -> [[String]: Double] {
            let series = metrics.snapshot().first { $0.definition.name == MetricDefinition.lag.name }?.series ?? []
            return Dictionary(
                uniqueKeysWithValues: series.map { ($0.labels, metrics.value(.lag, $0.labels[0], $0.labels[1])) }
            )
        }
        metrics.set(.ready, 1)
        metrics.replace(.lag, [(["logins", "0"], 5), (["logins", "1"], 7)])
        #expect(lags() == [["logins", "0"]: 5, ["logins", "1"]: 7])
        metrics.replace(.lag, [(["logins", "1"], 8)])
        #expect(lags() == [["logins", "1"]: 8])
        metrics.replace(.lag, [])
        #expect(lags().isEmpty)
        #expect(metrics.value(.ready) == 1)
    }

    @Test
    func labelsThatFollowTheInputDoNotGrowWithoutEnd() {
        let metrics = Metrics()
        for number in 0..<3_000 { metrics.add(.retries, 1, "host-\(number)") }
        let series = metrics.snapshot().first?.series ?? []
        #expect(series.count <= 1_001)
        #expect(metrics.sum(.retries) == 3_000)
    }
}
