import AfterloginTestSupport
import Testing

@testable import AfterloginRuleHost

@Suite("Hosts that keep something of a destination", .timeLimit(.minutes(1)))
struct HostTaintsTests {
    private let start = ContinuousClock.now
    private func at(_ seconds: Int) -> ContinuousClock.Instant { self.start + .seconds(seconds) }

    @Test func aHostOnWhichOneWasEndedIsTaintedUntilItIsGone() {
        var taints = HostTaints()
        taints.ended(on: 1, for: "a")
        #expect(taints.isTainted(1, by: "a"))
        #expect(!taints.isTainted(1, by: "b"))
        #expect(!taints.isTainted(2))
        #expect(taints.hasEnded(1))
        #expect(taints.gotThrough(from: 1, to: "a", at: self.at(100)) == [])
        #expect(taints.isTainted(1, by: "a"))
        taints.hostGone(1)
        #expect(taints.isEmpty)
    }

    @Test func aFailureThatWasToldIsForgottenWhenACallFromThereGetsThrough() {
        var taints = HostTaints()
        taints.told(on: 1, of: "a", at: self.at(0))
        #expect(taints.isTainted(1, by: "a"))
        #expect(!taints.hasEnded(1))
        #expect(taints.gotThrough(from: 1, to: "b", at: self.at(1)) == [])
        #expect(taints.isTainted(1, by: "a"))
        #expect(taints.gotThrough(from: 1, to: "a", at: self.at(1)) == [])
        #expect(taints.isEmpty)
    }

    @Test func toldAfterEndedIsStillEnded() {
        var taints = HostTaints()
        taints.ended(on: 1, for: "a")
        taints.told(on: 1, of: "a", at: self.at(0))
        _ = taints.gotThrough(from: 1, to: "a", at: self.at(1))
        #expect(taints.isTainted(1, by: "a"))
        taints.told(on: 2, of: "a", at: self.at(0))
        taints.ended(on: 2, for: "a")
        _ = taints.gotThrough(from: 2, to: "a", at: self.at(1))
        #expect(taints.isTainted(2, by: "a"))
    }

    @Test func whenItGetsThroughFromElsewhereThoseWithEndedOnesAreReplaced() {
        var taints = HostTaints()
        taints.ended(on: 1, for: "a")
        taints.ended(on: 2, for: "a")
        taints.ended(on: 3, for: "b")
        #expect(taints.gotThrough(from: 4, to: "a", at: self.at(0)) == [1, 2])
    }

    /// An API that fails for some and answers others must not make hosts be started all the time.
    @Test func aToldFailureIsAReasonOnlyWhenNoCallFollowedItAndOnceIn15Seconds() {
        var taints = HostTaints()
        taints.told(on: 1, of: "a", at: self.at(0))
        taints.told(on: 2, of: "a", at: self.at(0))
        #expect(taints.gotThrough(from: 3, to: "a", at: self.at(4)) == [])
        #expect(taints.gotThrough(from: 3, to: "a", at: self.at(5)) == [1])
        taints.hostGone(1)
        #expect(taints.gotThrough(from: 3, to: "a", at: self.at(19)) == [])
        #expect(taints.gotThrough(from: 3, to: "a", at: self.at(20)) == [2])
    }

    /// With what it keeps its rules ask for nothing again, and once all others keep the answer nobody does.
    @Test func aHostWhoseReplacementHasToWaitIsNotForgotten() {
        var taints = HostTaints()
        taints.told(on: 1, of: "a", at: self.at(0))
        taints.told(on: 2, of: "a", at: self.at(0))
        #expect(taints.overdue(at: self.at(10)) == nil)
        #expect(taints.gotThrough(from: 3, to: "a", at: self.at(4)) == [])
        #expect(taints.overdue(at: self.at(4)) == nil)
        #expect(taints.isOutdated(1) && taints.isOutdated(2) && !taints.isOutdated(3))
        #expect(taints.overdue(at: self.at(5))?.host == 1)
        taints.hostGone(1)
        #expect(taints.overdue(at: self.at(19)) == nil)
        #expect(taints.overdue(at: self.at(20))?.host == 2)
    }

    @Test func aHostOfWhichACallGetsThroughMeanwhileIsNotReplaced() {
        var taints = HostTaints()
        taints.told(on: 1, of: "a", at: self.at(0))
        _ = taints.gotThrough(from: 3, to: "a", at: self.at(4))
        _ = taints.gotThrough(from: 1, to: "a", at: self.at(4))
        #expect(!taints.isOutdated(1))
        #expect(taints.overdue(at: self.at(5)) == nil)
    }

    @Test func oneThatEndedWithoutCallingReplacesItsHostOnceIn15Seconds() {
        var taints = HostTaints()
        #expect(taints.finishedWithoutCalling(on: 1, "a", at: self.at(0)) == false)
        taints.ended(on: 1, for: "a")
        #expect(taints.finishedWithoutCalling(on: 1, "b", at: self.at(0)) == false)
        #expect(taints.finishedWithoutCalling(on: 1, "a", at: self.at(0)) == true)
        taints.ended(on: 2, for: "a")
        #expect(taints.finishedWithoutCalling(on: 2, "a", at: self.at(14)) == false)
        #expect(taints.finishedWithoutCalling(on: 2, "a", at: self.at(15)) == true)
    }

    @Test func oneThatFailedWithoutCallingAnybodyReplacesAnyTaintedHostOnceIn15Seconds() {
        var taints = HostTaints()
        #expect(taints.failedWithoutCalling(on: 1, at: self.at(0)) == false)
        taints.told(on: 1, of: "a", at: self.at(0))
        taints.told(on: 2, of: "b", at: self.at(0))
        #expect(taints.failedWithoutCalling(on: 1, at: self.at(0)) == true)
        #expect(taints.failedWithoutCalling(on: 2, at: self.at(14)) == false)
        #expect(taints.failedWithoutCalling(on: 2, at: self.at(15)) == true)
    }

    @Test func aSpareIsStartedOnceIn15Seconds() {
        var taints = HostTaints()
        #expect(taints.takeSpare(at: self.at(0)) == true)
        #expect(taints.takeSpare(at: self.at(14)) == false)
        #expect(taints.takeSpare(at: self.at(15)) == true)
    }

    /// Against a list of all that was said of each host.
    @Test(arguments: 0..<20)
    func itAgreesWithWhatWasSaid(_ round: Int) {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        var taints = HostTaints()
        /// `ended` taints stay, the others go: by host and destination.
        var ended: Set<[String]> = []
        var told: [[String]: ContinuousClock.Instant] = [:]
        var outdated: Set<[String]> = []
        var lastReplacement: ContinuousClock.Instant?
        var now = self.start
        for _ in 0..<2_000 {
            now += .milliseconds(Int.random(in: 0...2_000, using: &random))
            let host = Int.random(in: 1...4, using: &random)
            let destination = ["a", "b", "c"][Int.random(in: 0..<3, using: &random)]
            let pair = ["\(host)", destination]
            let mayReplace = lastReplacement.map { now - $0 >= .seconds(15) } ?? true
            switch Int.random(in: 0..<14, using: &random) {
            case 0:
                taints.ended(on: host, for: destination)
                ended.insert(pair)
                told[pair] = nil
                outdated.remove(pair)
            case 1...4:
                taints.told(on: host, of: destination, at: now)
                if !ended.contains(pair), told[pair] == nil { told[pair] = now }
            case 5...8:
                let replaced = taints.gotThrough(from: host, to: destination, at: now)
                told[pair] = nil
                outdated.remove(pair)
                let others = (1...4).filter { $0 != host }
                let surely = others.filter { ended.contains(["\($0)", destination]) }
                let settled = others.filter { other in
                    told[["\(other)", destination]].map { now - $0 >= .seconds(5) } == true
                }
                let perhaps = mayReplace ? Array(settled.prefix(1)) : []
                if !perhaps.isEmpty { lastReplacement = now }
                for other in others where told[["\(other)", destination]] != nil {
                    if perhaps.contains(other) {
                        outdated.remove(["\(other)", destination])
                    } else {
                        outdated.insert(["\(other)", destination])
                    }
                }
                #expect(replaced == (surely + perhaps).sorted(), "seed \(seed)")
            case 9:
                let isTainted = ended.contains(pair) || told[pair] != nil
                #expect(
                    taints.finishedWithoutCalling(on: host, destination, at: now) == (isTainted && mayReplace),
                    "seed \(seed)"
                )
                if isTainted, mayReplace { lastReplacement = now }
            case 10, 11:
                let late = outdated.filter { pair in told[pair].map { now - $0 >= .seconds(5) } == true }
                let due = mayReplace ? late.map { $0[0] }.min() : nil
                let overdue = taints.overdue(at: now)
                #expect(overdue.map { "\($0.host)" } == due, "seed \(seed)")
                if let overdue {
                    #expect(late.contains(["\(overdue.host)", overdue.destination]), "seed \(seed)")
                    outdated.remove(["\(overdue.host)", overdue.destination])
                    lastReplacement = now
                }
            default:
                taints.hostGone(host)
                outdated = outdated.filter { $0[0] != "\(host)" }
                ended = ended.filter { $0[0] != "\(host)" }
                told = told.filter { $0.key[0] != "\(host)" }
            }
            for host in 1...4 {
                let kept = Set(
                    ["a", "b", "c"].filter { ended.contains(["\(host)", $0]) || told[["\(host)", $0]] != nil }
                )
                #expect(Set(taints.destinations(of: host)) == kept, "seed \(seed)")
                #expect(taints.isTainted(host) == !kept.isEmpty, "seed \(seed)")
                #expect(taints.hasEnded(host) == ended.contains { $0[0] == "\(host)" }, "seed \(seed)")
            }
            #expect(taints.isEmpty == (ended.isEmpty && told.isEmpty), "seed \(seed)")
        }
    }
}
