import AfterloginObservability
import AfterloginSystem
import AfterloginTestSupport
import Testing

@Suite(.timeLimit(.minutes(1)))
struct HeartbeatTests {
    /// A thread that answers when the test says so.
    private final class HeldThread: Sendable {
        private let answers = Mutex<[@Sendable () -> Void]>([])
        var questions: Int { self.answers.withLock(\.count) }

        func ask(_ answer: @escaping @Sendable () -> Void) { self.answers.withLock { $0.append(answer) } }
        func answerAll() { for answer in self.answers.withLock({ exchange(&$0, with: []) }) { answer() } }
    }

    @Test
    func aThreadThatAnswersIsAliveHoweverRarelyItIsAsked() {
        let clock = ManualClock()
        let heartbeat = Heartbeat([("quick", { $0() })], clock: clock)
        for pause in [0, 1, 3_600, 86_400] {
            clock.advance(by: .seconds(pause))
            #expect(heartbeat.look().isEmpty)
        }
    }

    @Test
    func aThreadThatOwesAnAnswerForTooLongIsNamedUntilItAnswers() {
        let clock = ManualClock()
        let thread = HeldThread()
        let heartbeat = Heartbeat([("quick", { $0() }), ("held", { thread.ask($0) })], clock: clock)
        #expect(heartbeat.look().isEmpty)
        clock.advance(by: Heartbeat.patience)
        #expect(heartbeat.look().isEmpty)
        clock.advance(by: .seconds(1))
        let silent = heartbeat.look()
        #expect(silent.map(\.name) == ["held"])
        #expect(silent.map(\.silent) == [Heartbeat.patience + .seconds(1)])
        // One question at a time: a thread that is stuck must not have a heap of them when it wakes.
        #expect(thread.questions == 1)
        thread.answerAll()
        #expect(heartbeat.look().isEmpty)
        #expect(thread.questions == 1)
        clock.advance(by: Heartbeat.patience + .seconds(1))
        #expect(heartbeat.look().map(\.name) == ["held"])
    }
}
