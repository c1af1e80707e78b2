import AfterloginTestSupport
import Testing

@testable import AfterloginKafka

@Suite("What a producer sends again, and in which order")
struct ProducerStateMachineTests {
    private typealias Machine = KafkaProducer.StateMachine
    private let zero = BootTime(nanoseconds: 0)

    private func send(_ sequence: UInt, _ key: String, alone: Bool = false) -> Machine.Send {
        Machine.Send(sequence: sequence, message: KafkaMessage("t", key: key, "v\(sequence)"), isAlone: alone)
    }

    @Test func whatFailsHoldsItsKeyAndNoOther() {
        var machine = Machine()
        check(machine.submitted(1, self.send(1, "a").message, now: self.zero) == .send)
        check(machine.failed(self.send(1, "a"), .transient, now: self.zero) == .sendAgain)
        check(machine.submitted(2, self.send(2, "a").message, now: self.zero) == .hold)
        check(machine.submitted(3, self.send(3, "b").message, now: self.zero) == .send)
        check(machine.due(self.zero) == [])
        let later = self.zero.advanced(by: Machine.firstBackoff)
        check(machine.nextDue == later)
        check(machine.due(later) == [self.send(1, "a")])
        check(machine.due(later) == [])
        machine.delivered(1)
        check(machine.due(later) == [self.send(2, "a")])
        machine.delivered(2)
        check(!machine.isHolding && machine.nextDue == nil)
    }

    @Test func whatIsTooLargeGoesAloneAndOnlyThenFails() {
        var machine = Machine()
        _ = machine.submitted(1, self.send(1, "a").message, now: self.zero)
        check(machine.failed(self.send(1, "a"), .tooLarge, now: self.zero) == .sendAgain)
        check(machine.due(self.zero) == [self.send(1, "a", alone: true)])
        check(machine.failed(self.send(1, "a", alone: true), .tooLarge, now: self.zero) == .fail)
        check(!machine.isHolding)
    }

    @Test func theWaitGrowsUpToItsLimit() {
        var machine = Machine()
        _ = machine.submitted(1, self.send(1, "a").message, now: self.zero)
        var now = self.zero
        var waits: [Duration] = []
        for _ in 0..<8 {
            check(machine.failed(self.send(1, "a"), .transient, now: now) == .sendAgain)
            guard let due = machine.nextDue else { break }
            waits.append(now.until(due))
            now = due
            check(machine.due(now).count == 1)
        }
        #expect(waits.prefix(3) == [.milliseconds(100), .milliseconds(200), .milliseconds(400)])
        #expect(waits.last == Machine.longestBackoff && waits == waits.sorted())
    }

    @Test func aFullQueueKeepsTheOrder() {
        var machine = Machine()
        check(machine.submitted(1, self.send(1, "a").message, now: self.zero) == .send)
        machine.queueWasFull(self.send(1, "a"), now: self.zero)
        check(machine.submitted(2, self.send(2, "b").message, now: self.zero) == .hold)
        check(machine.firstOverflow(now: self.zero)?.sequence == 1)
        machine.firstOverflowSent()
        check(machine.firstOverflow(now: self.zero)?.sequence == 2)
        machine.firstOverflowSent()
        check(
            machine.firstOverflow(now: self.zero) == nil
                && machine.submitted(3, self.send(3, "a").message, now: self.zero) == .send
        )
    }

    /// Or the thread would poll without a pause as long as the queue is full.
    @Test func aFullQueueIsAskedAgainLaterForWhatIsSentAgain() {
        var machine = Machine()
        _ = machine.submitted(1, self.send(1, "a").message, now: self.zero)
        _ = machine.failed(self.send(1, "a"), .transient, now: self.zero)
        let due = self.zero.advanced(by: Machine.firstBackoff)
        check(machine.due(due) == [self.send(1, "a")])
        machine.queueWasFull(self.send(1, "a"), now: due)
        let again = due.advanced(by: Machine.fullQueueBackoff)
        check(machine.nextDue == again && machine.due(due) == [])
        check(machine.due(again) == [self.send(1, "a")])
    }

    @Test func nothingGoesToAClientThatHasEnded() {
        var machine = Machine()
        check(machine.submitted(1, self.send(1, "a").message, now: self.zero) == .send)
        machine.isSuspended = true
        check(machine.submitted(2, self.send(2, "a").message, now: self.zero) == .hold)
        check(machine.submitted(3, self.send(3, "b").message, now: self.zero) == .hold)
        // Only now the client gives back what it had.
        check(machine.failed(self.send(1, "a"), .transient, now: self.zero) == .sendAgain)
        let later = self.zero.advanced(by: .seconds(1))
        check(machine.firstOverflow(now: self.zero) == nil && machine.due(later) == [] && machine.nextDue == nil)
        machine.isSuspended = false
        // The second one waits for the first one of its key.
        check(machine.firstOverflow(now: self.zero)?.sequence == 3)
        machine.firstOverflowSent()
        check(machine.firstOverflow(now: self.zero) == nil && machine.due(later).map(\.sequence) == [1])
        machine.delivered(1)
        check(machine.due(later).map(\.sequence) == [2])
    }

    @Test func whatGathersIsHandedOverInGroupsAndInOrder() {
        var machine = Machine()
        var now = self.zero
        var handedOver: [UInt] = []
        var groups = 0
        for sequence in 1...1_000 as ClosedRange<UInt> {
            now = now.advanced(by: .microseconds(100))
            if let due = machine.nextDue, due <= now {
                while let send = machine.firstOverflow(now: now) {
                    machine.firstOverflowSent()
                    handedOver.append(send.sequence)
                }
            }
            check(machine.firstOverflow(now: now) == nil)
            // One in ten gathers nothing, and keeps its place all the same.
            let action = machine.submitted(
                sequence,
                self.send(sequence, "k").message,
                gathers: sequence % 10 != 0,
                now: now
            )
            switch action {
            case .send: handedOver.append(sequence)
            case .hold: break
            // The thread is told of each group once.
            case .gather:
                groups += 1
                check(machine.nextDue == now.advanced(by: Machine.gatheringTime))
            }
            check(!machine.isHolding)
        }
        now = now.advanced(by: Machine.gatheringTime)
        while let send = machine.firstOverflow(now: now) {
            machine.firstOverflowSent()
            handedOver.append(send.sequence)
        }
        #expect(handedOver == Array(1...1_000) && machine.nextDue == nil)
        #expect(groups == 13)
    }

    @Test func whatIsGatheredWaitsForRoomWhereTheQueueIsFull() {
        var machine = Machine()
        check(machine.submitted(1, self.send(1, "a").message, gathers: true, now: self.zero) == .gather)
        let due = self.zero.advanced(by: Machine.gatheringTime)
        check(machine.firstOverflow(now: due)?.sequence == 1)
        machine.overflowHasNoRoom()
        // Not for a time: a delivery report tells.
        check(machine.isHolding && machine.nextDue == nil)
        check(machine.submitted(2, self.send(2, "a").message, gathers: true, now: due) == .hold)
        check(machine.firstOverflow(now: due)?.sequence == 1)
    }

    @Test func aPurgeTakesWhatIsGathered() {
        var machine = Machine()
        check(machine.submitted(1, self.send(1, "a").message, gathers: true, now: self.zero) == .gather)
        check(machine.submitted(2, self.send(2, "b").message, now: self.zero) == .hold)
        check(machine.purged() == [1, 2] && machine.nextDue == nil)
        check(machine.submitted(3, self.send(3, "a").message, now: self.zero) == .send)
    }

    /// A cluster that fails at random: every message ends once, and what is sent again keeps the order of its key.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func anyFailuresEndEveryMessageOnce(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var machine = Machine()
        var inFlight: [Machine.Send] = []
        var ended: [UInt: Int] = [:]
        var purged = Set<UInt>()
        var againByKey: [[UInt8]: [UInt]] = [:]
        var now = self.zero
        var last: UInt = 0
        func turn() {
            now = now.advanced(by: .milliseconds(Int.random(in: 0...300, using: &random)))
            for send in machine.due(now) {
                // Of a held key one at a time.
                let others = inFlight.filter {
                    $0.message.key == send.message.key
                        && againByKey[send.message.key ?? []]?.contains($0.sequence) == true
                }
                #expect(others.isEmpty)
                againByKey[send.message.key ?? [], default: []].append(send.sequence)
                inFlight.append(send)
            }
            while let send = machine.firstOverflow(now: now), inFlight.count < 20 {
                machine.firstOverflowSent()
                inFlight.append(send)
            }
        }
        func answer() {
            guard let index = inFlight.indices.randomElement(using: &random) else { return }
            let send = inFlight.remove(at: index)
            againByKey[send.message.key ?? []]?.removeAll { $0 == send.sequence }
            let kind: KafkaProducer.DeliveryFailure? =
                switch Int.random(in: 0..<10, using: &random) {
                case 0, 1: .transient
                case 2: .tooLarge
                case 3: .permanent
                default: nil
                }
            guard let kind else {
                machine.delivered(send.sequence)
                ended[send.sequence, default: 0] += 1
                return
            }
            switch machine.failed(send, kind, now: now) {
            case .fail:
                #expect(kind == .permanent || kind == .tooLarge && send.isAlone)
                ended[send.sequence, default: 0] += 1
            case .sendAgain: #expect(kind != .permanent)
            }
        }
        for _ in 0..<1_500 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4:
                last += 1
                let send = self.send(last, "k\(Int.random(in: 0..<5, using: &random))")
                let gathers = Bool.random(using: &random)
                guard machine.submitted(last, send.message, gathers: gathers, now: now) == .send else { break }
                if inFlight.count >= 20 { machine.queueWasFull(send, now: now) } else { inFlight.append(send) }
            case 4..<8: answer()
            case 8: turn()
            default:
                guard Int.random(in: 0..<50, using: &random) == 0 else { break }
                let dropped = machine.purged()
                #expect(dropped == dropped.sorted())
                for sequence in dropped { ended[sequence, default: 0] += 1 }
                purged.formUnion(dropped)
            }
        }
        while machine.isHolding || machine.nextDue != nil || !inFlight.isEmpty {
            now = now.advanced(by: .seconds(3))
            turn()
            answer()
        }
        #expect(ended.count == Int(last) && ended.values.allSatisfy { $0 == 1 })
    }
}

@Suite("Properties of librdkafka that may be set")
struct PropertyPolicyTests {
    @Test(arguments: [
        "security.protocol", "sasl.mechanisms", "sasl.password", "ssl.ca.location", "session.timeout.ms", "linger.ms",
        "socket.timeout.ms",
    ])
    func whateverBreaksNoPromisePasses(name: String) throws {
        for role in [PropertyPolicy.Role.consumer, .producer, .admin] {
            #expect(try PropertyPolicy(role: role, version: 0x0200_02ff).merged(with: [name: "7"])[name] == "7")
        }
    }

    @Test(
        arguments: [
            (.consumer, "enable.auto.commit", "true"), (.consumer, "auto.commit.enable", "true"),
            (.consumer, "group.protocol", "consumer"), (.consumer, "group.id", "x"),
            (.consumer, "partition.assignment.strategy", "cooperative-sticky"), (.consumer, "bootstrap.servers", "x"),
            (.consumer, "metadata.broker.list", "x"), (.producer, "acks", "1"),
            (.producer, "request.required.acks", "0"),
            (.producer, "enable.idempotence", "FALSE"), (.producer, "transactional.id", "x"),
            (.admin, "log.queue", "false"),
        ] as [(PropertyPolicy.Role, String, String)]
    )
    func whatWouldBreakAPromiseIsRefusedByName(role: PropertyPolicy.Role, name: String, value: String) throws {
        let error = #expect(throws: KafkaError.self) {
            try PropertyPolicy(role: role, version: 0x0200_02ff).merged(with: [name: value])
        }
        #expect(error?.message.contains(name) == true)
    }

    @Test func aRefusedPasswordIsExplainedWhereTheLibraryMayBeTheReason() {
        let scram =
            "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512"
        #expect(
            KafkaError.explained(scram, 0x0200_02ff).hasSuffix(
                "before 2.6.1 can't use SCRAM with Kafka 4, and this is 2.0.2"
            )
        )
        #expect(KafkaError.explained(scram, 0x0206_01ff) == scram)
        let plain = "Authentication failed: Invalid username or password"
        #expect(KafkaError.explained(plain, 0x0200_02ff) == plain)
    }

    @Test func anAliasTakesThePlaceOfItsName() throws {
        let merged = try PropertyPolicy(role: .producer, version: 0x0200_02ff).merged(with: [
            "queue.buffering.max.ms": "9"
        ])
        #expect(merged["linger.ms"] == nil && merged["queue.buffering.max.ms"] == "9")
    }

    @Test func aPropertyThatLibrdkafkaDoesNotKnowIsToldByName() {
        let error = #expect(throws: KafkaError.self) {
            try KafkaProducer(
                configuration: KafkaProducerConfiguration(brokers: "127.0.0.1:1", properties: ["no.such.property": "1"])
            )
        }
        #expect(error?.message.contains("no.such.property") == true)
    }
}
