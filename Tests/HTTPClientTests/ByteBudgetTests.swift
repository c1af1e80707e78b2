import AfterloginTestSupport
import Testing

@testable import AfterloginHTTPClient

/// A budget that an expectation may change.
private final class Budget {
    private var budget: ByteBudget

    init(limit: Int) { self.budget = ByteBudget(limit: limit) }

    var total: Int { self.budget.total }
    func mayBegin(_ bytes: Int) -> Bool { self.budget.mayBegin(bytes) }
    func begins(_ number: Int, _ bytes: Int) { self.budget.begins(number, bytes) }
    func announced(_ number: Int, _ bytes: Int) { self.budget.announced(number, bytes) }
    func arrives(_ number: Int, _ bytes: Int, mayShare: Bool = false) -> Bool {
        self.budget.arrives(number, bytes, mayShare: mayShare)
    }
    @discardableResult func ends(_ number: Int, keeping kept: Int) -> Int { self.budget.ends(number, keeping: kept) }
    func released(_ bytes: Int) { self.budget.released(bytes) }
    func takeResumable(mayShare: (Int) -> Bool = { _ in false }) -> [Int] {
        self.budget.takeResumable(mayShare: mayShare)
    }
}

@Suite("The budget of bytes in flight", .timeLimit(.minutes(1)))
struct ByteBudgetTests {
    @Test func atTheLimitAllPauseButTheOldest() {
        let budget = Budget(limit: 100)
        for number in 1...3 { budget.begins(number, number == 2 ? 10 : 0) }
        #expect(budget.arrives(1, 50))
        #expect(budget.arrives(2, 40))
        #expect(!budget.arrives(2, 1) && !budget.arrives(3, 1))
        #expect(budget.arrives(1, 30))
        #expect(budget.total == 130)
        #expect(!budget.mayBegin(0))
        #expect(budget.ends(1, keeping: 80) == 80)
        // The next oldest: without its own bytes the others are within the limit.
        #expect(budget.takeResumable() == [2])
        #expect(budget.arrives(2, 60) && budget.total == 190)
        #expect(budget.ends(2, keeping: 100) == 100)
        // Now it depends on whoever was given the responses.
        #expect(budget.takeResumable() == [])
        budget.released(80)
        #expect(budget.takeResumable() == [3])
        #expect(budget.arrives(3, 1) && budget.total == 101)
    }

    @Test func whoeverIsOldestNextGoesOnWhereNothingWaitsToBeReleased() {
        let budget = Budget(limit: 100)
        for number in 1...3 { budget.begins(number, 0) }
        #expect(budget.arrives(1, 40) && budget.arrives(2, 30) && budget.arrives(3, 30))
        #expect(!budget.arrives(3, 10) && !budget.arrives(2, 10) && budget.arrives(1, 10))
        budget.ends(1, keeping: 0)
        budget.announced(2, 500)
        #expect(budget.takeResumable() == [2])
        #expect(budget.arrives(2, 500))
        #expect(!budget.arrives(3, 1))
    }

    @Test func aRequestThatIsTooLargeGoesAlone() {
        let budget = Budget(limit: 100)
        #expect(budget.mayBegin(1_000))
        budget.begins(1, 1_000)
        #expect(!budget.mayBegin(0))
        budget.ends(1, keeping: 0)
        #expect(budget.total == 0 && budget.mayBegin(1_000))
    }

    @Test func whatTheOldestNeedsOnItsConnectionGoesOnWithIt() {
        let budget = Budget(limit: 10)
        budget.begins(1, 0)
        budget.begins(2, 0)
        #expect(budget.arrives(2, 10))
        #expect(budget.arrives(2, 5, mayShare: true))
        #expect(!budget.arrives(2, 5))
        let resumed = budget.takeResumable { $0 == 2 }
        #expect(resumed == [2])
    }

    /// Against a model that keeps every transfer as a row and adds up anew at every question.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func itAgreesWithANaiveModelAndSomebodyAlwaysGoesOn(seed: UInt64) {
        struct Row { var held = 0, rest = 0, isPaused = false }
        var random = SeededGenerator(seed: seed)
        let (limit, largest) = (1_000, 400)
        let budget = Budget(limit: limit)
        var rows: [Int: Row] = [:]
        var kept: [Int] = []
        var last = 0
        func total() -> Int { rows.values.reduce(0) { $0 + $1.held } + kept.reduce(0, +) }
        for _ in 0..<5_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0, 1:
                let bytes = Int.random(in: 0...50, using: &random)
                guard budget.mayBegin(bytes) else { break }
                #expect(total() + bytes <= limit || total() == 0, "seed \(seed)")
                last += 1
                rows[last] = Row(held: bytes, rest: Int.random(in: 0...largest, using: &random))
                budget.begins(last, bytes)
            case 2...6:
                guard let number = rows.filter({ !$0.value.isPaused }).keys.sorted().randomElement(using: &random),
                    var row = rows[number]
                else { break }
                let bytes = min(row.rest, Int.random(in: 0...60, using: &random))
                let exceeds =
                    number == rows.keys.min() && (kept.isEmpty || total() - row.held <= limit)
                let fits = total() + bytes <= limit
                #expect(budget.arrives(number, bytes) == (fits || exceeds), "seed \(seed)")
                if fits || exceeds {
                    (row.held, row.rest) = (row.held + bytes, row.rest - bytes)
                } else {
                    row.isPaused = true
                }
                rows[number] = row
            case 7:
                guard let number = rows.keys.sorted().randomElement(using: &random), let row = rows[number] else {
                    break
                }
                let isWhole = row.rest == 0
                rows[number] = nil
                #expect(budget.ends(number, keeping: isWhole ? row.held : 0) == (isWhole ? row.held : 0))
                if isWhole, row.held > 0 { kept.append(row.held) }
            default:
                guard !kept.isEmpty else { break }
                budget.released(kept.remove(at: Int.random(in: 0..<kept.count, using: &random)))
            }
            for number in budget.takeResumable() { rows[number]?.isPaused = false }
            #expect(budget.total == total(), "seed \(seed)")
            #expect(total() <= limit + largest + 60, "seed \(seed)")
            // Nothing that waits to be released: then the oldest reads on.
            if kept.isEmpty, let oldest = rows.keys.min() { #expect(rows[oldest]?.isPaused == false, "seed \(seed)") }
        }
    }
}
