import AfterloginTestSupport
import Testing

@testable import AfterloginKafka

@Suite("Commits, one under way at a time", .timeLimit(.minutes(1)))
struct CommitQueueTests {
    private let one = TopicPartition(topic: "t", partition: 1)
    private let two = TopicPartition(topic: "t", partition: 2)

    private func commit(_ partition: TopicPartition, _ offset: Int64) -> OffsetCommit {
        OffsetCommit(topicPartition: partition, offset: offset)
    }

    @Test func theNextWaitsForTheAnswer() {
        var queue = CommitQueue()
        let first = queue.asked([self.commit(self.one, 5)])
        let second = queue.asked([self.commit(self.one, 6)])
        check(queue.next { _ in true } == .send(ticket: first, [self.commit(self.one, 5)]))
        check(queue.next { _ in true } == .wait)
        #expect(queue.openCount == 2)
        check(queue.answered(ticket: second, failed: []) == nil)
        check(queue.answered(ticket: first, failed: [])?.sent == [self.commit(self.one, 5)])
        #expect(queue.stored == [self.one: self.commit(self.one, 5)])
        check(queue.next { _ in true } == .send(ticket: second, [self.commit(self.one, 6)]))
    }

    @Test func whatIsNotOursIsLeftOut() {
        var queue = CommitQueue()
        let first = queue.asked([self.commit(self.one, 5), self.commit(self.two, 7)])
        let second = queue.asked([self.commit(self.one, 6)])
        check(queue.next { $0 == self.two } == .send(ticket: first, [self.commit(self.two, 7)]))
        check(queue.answered(ticket: first, failed: [])?.refused == [self.one])
        check(queue.next { $0 == self.two } == .refuse(ticket: second, [self.one]))
        check(queue.next { _ in true } == .wait)
    }

    @Test func whatWasAskedForTheOldTopicIsRefusedWhenItWasReplaced() {
        var queue = CommitQueue()
        let underWay = queue.asked([self.commit(self.one, 500), self.commit(self.two, 7)])
        let waiting = queue.asked([self.commit(self.one, 501), self.commit(self.two, 8)])
        let alone = queue.asked([self.commit(self.one, 502)])
        _ = queue.next { _ in true }
        queue.replaced(self.one)
        // Asked by somebody who did not know yet.
        let late = queue.asked([self.commit(self.one, 503)])
        // The broker has stored it; it counts for nothing here, and whoever asked is told so.
        let answer = queue.answered(ticket: underWay, failed: [])
        #expect(answer?.sent == [self.commit(self.two, 7)] && answer?.refused == [self.one])
        #expect(queue.stored[self.one] == nil)
        check(queue.next { _ in true } == .send(ticket: waiting, [self.commit(self.two, 8)]))
        check(queue.answered(ticket: waiting, failed: [])?.refused == [self.one])
        check(queue.next { _ in true } == .refuse(ticket: alone, [self.one]))
        check(queue.next { _ in true } == .refuse(ticket: late, [self.one]))
    }

    @Test func theNewTopicIsCommittedAsFarAsItWasDelivered() {
        var queue = CommitQueue()
        queue.started(AssignedPartition(topicPartition: self.one, committedOffset: 500))
        queue.replaced(self.one)
        queue.delivered(self.one, upTo: 20)
        queue.delivered(self.one, upTo: 10)
        let beyond = queue.asked([self.commit(self.one, 21)])
        let within = queue.asked([self.commit(self.one, 20)])
        check(queue.next { _ in true } == .refuse(ticket: beyond, [self.one]))
        check(queue.next { _ in true } == .send(ticket: within, [self.commit(self.one, 20)]))
        _ = queue.answered(ticket: within, failed: [])
        // Assigned anew, it starts where the group stands.
        queue.ended([self.one])
        let anew = queue.asked([self.commit(self.one, 900)])
        check(queue.next { _ in true } == .send(ticket: anew, [self.commit(self.one, 900)]))
    }
}
