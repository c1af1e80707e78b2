import Testing

@testable import AfterloginSandbox

@Suite("A bucket of requests", .timeLimit(.minutes(1)))
struct RequestBucketTests {
    @Test func aFullBucketAllowsItsCapacityAndThenItsRate() {
        var bucket = RequestBucket(.init(capacity: 3, rate: 2))
        let first = (0..<4).map { _ in bucket.requestArrived(at: 100) }
        #expect(first == [nil, nil, nil, 0.5])
        #expect(bucket.requestArrived(at: 100.5) == nil)
        #expect(bucket.requestArrived(at: 100.5) == 0.5)
        #expect((bucket.allowed, bucket.refused) == (4, 2))
        #expect(bucket.offered(at: 100.5) == 4)
    }

    @Test func noMoreThanTheCapacityIsSavedUp() {
        var bucket = RequestBucket(.init(capacity: 2, rate: 10))
        #expect(bucket.requestArrived(at: 0) == nil)
        let later = (0..<3).map { _ in bucket.requestArrived(at: 1_000) == nil }
        #expect(later == [true, true, false])
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func inEveryStretchOfTimeItAllowsNoMoreThanItShould(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let (capacity, rate) = (1 + Int(random.unit() * 20), 1 + random.unit() * 50)
        var bucket = RequestBucket(.init(capacity: capacity, rate: rate))
        var (now, allowed) = (0.0, [Double]())
        for _ in 0..<2_000 {
            now += random.unit() * random.unit() * 2 / rate
            if bucket.requestArrived(at: now) == nil { allowed.append(now) }
        }
        for start in stride(from: 0, to: allowed.count, by: 7) {
            for end in stride(from: start, to: allowed.count, by: 13) {
                let most = Double(capacity) + (allowed[end] - allowed[start]) * rate
                #expect(Double(end - start + 1) <= most + 1e-6, "seed \(seed)")
            }
        }
        #expect(allowed.count == bucket.allowed && bucket.allowed + bucket.refused == 2_000)
    }
}
