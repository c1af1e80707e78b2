import AfterloginKafka
import Testing

@testable import AfterloginDelivery

@Suite("When people are told that intake stands", .timeLimit(.minutes(1)))
struct IntakeWatchTests {
    private typealias Look = IntakeWatch.Look

    @Test func itIsSaidOnceWhenThoseWhoWaitFillWhatIsAdmittedAndOnceWhenItGoesOn() {
        var watch = IntakeWatch()
        #expect(watch.looked(Look(isClosed: false, admitted: 900, heldUp: 900, working: 1)) == nil)
        #expect(watch.looked(Look(isClosed: true, admitted: 1_000, heldUp: 600, working: 1)) == .stands)
        #expect(watch.looked(Look(isClosed: true, admitted: 1_000, heldUp: 600, working: 1)) == nil)
        #expect(watch.looked(Look(isClosed: false, admitted: 700, heldUp: 600, working: 1)) == .goesOn)
        #expect(watch.looked(Look(isClosed: false, admitted: 700, heldUp: 0, working: 1)) == nil)
    }

    @Test func aBacklogThatIsWorkedOnIsNoNews() {
        var watch = IntakeWatch()
        #expect(watch.looked(Look(isClosed: true, admitted: 1_000, heldUp: 0, working: 256)) == nil)
        #expect(watch.looked(Look(isClosed: true, admitted: 1_000, heldUp: 100, working: 256)) == nil)
    }

    /// So many results that no commit covers, or a completion map that is full.
    @Test func itIsSaidWhereAFewThatWaitKeepAllOthersFromBeginning() {
        var watch = IntakeWatch()
        #expect(watch.looked(Look(isClosed: true, admitted: 1_000, heldUp: 3, working: 0)) == .stands)
    }

    /// A few users with many logins each fill it as well.
    @Test func whoIsQueuedBehindALoginThatWaitsIsHeldUpToo() throws {
        var lanes = Lanes()
        let partition = TopicPartition(topic: "logins", partition: 0)
        func login(_ number: Int, _ user: String) -> AdmittedLogin {
            // What can't be decoded has its lane by its key.
            let record = KafkaRecord(
                topicPartition: partition,
                offset: Int64(number),
                key: Array(user.utf8),
                value: nil
            )
            return AdmittedLogin(record: record, epoch: 0, arrival: number, arrived: .now)
        }
        for number in 0..<10 { lanes.queued(login(number, "a")) }
        lanes.queued(login(10, "b"))
        #expect(lanes.heldUp == 0)
        let first = try #require(lanes.next(again: 1) { _ in true })
        _ = lanes.heldBack(first, for: "api.example", until: nil, bytes: 0)
        #expect(lanes.heldUp == 10)
    }
}
