import Afterlogin
import AfterloginSystem
import Testing

@testable import AfterloginCommands

@Suite("Descriptors, and who may have them", .timeLimit(.minutes(1)))
struct DescriptorTests {
    @Test(arguments: [DescriptorPlan.least, 256, 512, 1_024, 4_096, 20_000, 1 << 20])
    func allSharesTogetherAreNoMoreThanTheLimit(_ limit: Int) {
        let plan = DescriptorPlan(limit: limit)
        let fixed = plan.reserve + plan.brokers + plan.hosts + plan.accepted(atMost: DescriptorPlan.probes)
        // Four for a call whose name is being resolved.
        #expect(fixed + plan.calls * 4 <= limit)
        #expect(plan.calls >= 4)
    }

    @Test func withFewDescriptorsCallsAreFewAndWithManyTheyAreBounded() {
        #expect(DescriptorPlan(limit: 256).calls < 40)
        #expect((100...250).contains(DescriptorPlan(limit: 1_024).calls))
        #expect(DescriptorPlan(limit: 1 << 20).calls == 16_384)
    }

    @Test func aProcessThatMayOpenTooLittleDoesNotStart() {
        #expect(throws: CommandFailure.self) { try CommandFailure.requireDescriptors(limit: DescriptorPlan.least - 1) }
        #expect(throws: Never.self) { try CommandFailure.requireDescriptors(limit: DescriptorPlan.least) }
    }

    @Test func doctorSaysWhatTheLimitIsEnoughFor() {
        #expect(DoctorDescriptors.line(Configuration(), limit: 64).verdict == .problem)
        let few = DoctorDescriptors.line(Configuration(), limit: 256)
        #expect(few.verdict == .warning && few.finding.contains("ulimit -Hn"), "\(few.finding)")
        #expect(DoctorDescriptors.line(Configuration(), limit: 20_000).verdict == .fine)
    }

    @Test func theSoftLimitIsRaisedToTheHardOne() {
        Descriptors.raiseLimit()
        #expect(Descriptors.limit == min(Descriptors.hardLimit, 1 << 20))
    }
}
