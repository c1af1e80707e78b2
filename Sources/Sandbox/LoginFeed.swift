package import AfterloginKafka
import AfterloginSystem
import FoundationEssentials

import struct Synchronization.Atomic

/// Writes generated logins to a Kafka topic: all at once, or at a rate.
package final class LoginFeed: Sendable {
    /// The broker did not take the logins in time.
    package struct Unfinished: Error, CustomStringConvertible {
        package let description: String
    }

    /// What waits in the producer at most: 2 KB each.
    private static let maxPending = 20_000

    private let producer: KafkaProducer
    private let topic: String
    private let generator: Mutex<LoginGenerator>
    private let sent = Atomic(0)

    package init(
        brokers: String,
        topic: String,
        generator: LoginGenerator,
        properties: [String: String] = [:]
    ) throws(KafkaError) {
        let configuration = KafkaProducerConfiguration(brokers: brokers, properties: properties)
        self.producer = try KafkaProducer(configuration: configuration)
        self.topic = topic
        self.generator = Mutex(generator)
    }

    /// Records handed to the producer.
    package var sentCount: Int { self.sent.load(ordering: .relaxed) }

    /// What keeps logins from being written.
    package var problem: KafkaError? { self.producer.problem }

    /// Writes so many logins as fast as the broker takes them, and returns when it has them all.
    ///
    /// - Parameters:
    ///   - count: How many.
    ///   - patience: For the acknowledgements.
    /// - Throws: `Unfinished` where the broker is away for too long, `CancellationError`.
    package func backlog(_ count: Int, patience: Duration = .seconds(60)) async throws {
        for number in 0..<count {
            if number % 1_000 == 0 { try await self.waitForRoom() }
            self.send(self.generator.withLock { $0.next(at: Self.now) })
        }
        try await self.flush(patience)
    }

    /// Writes logins at a rate, evenly spaced, until `count` are written or the task is cancelled.
    ///
    /// Each carries the time for which it was meant, so that a late one counts as late.
    package func run(rate: Double, count: Int = .max) async throws {
        let clock = ContinuousClock()
        let (start, wallStart) = (clock.now, Self.now)
        for number in 0..<count {
            let offset = Double(number) / rate
            let due = start + .seconds(offset)
            if clock.now < due {
                try await clock.sleep(until: due, tolerance: .zero)
            } else if number % 100 == 0 {
                try await self.waitForRoom()
            }
            self.send(self.generator.withLock { $0.next(at: wallStart + Int64(offset * 1_000)) })
        }
        try await self.flush(.seconds(60))
    }

    /// Writes one record of the generator's choice.
    package func send(_ make: (inout LoginGenerator, _ milliseconds: Int64) -> GeneratedLogin) {
        self.send(self.generator.withLock { make(&$0, Self.now) })
    }

    package func send(_ login: GeneratedLogin) {
        let message = KafkaMessage(topic: self.topic, key: login.key, value: login.value)
        self.producer.produce(message) { _ in }
        self.sent.add(1, ordering: .relaxed)
    }

    /// Waits until the broker has everything that was sent.
    package func flush(_ patience: Duration) async throws {
        let open = await self.producer.flush(deadline: patience)
        guard open == 0 else {
            let reason = self.producer.problem.map { ": \($0)" } ?? ""
            throw Unfinished(
                description:
                    "\(open) logins were not acknowledged by the broker within \(patience)\(reason); afterlogin topics tells whether the topic is there"
            )
        }
    }

    package func close() async { await self.producer.close() }

    private func waitForRoom() async throws {
        while self.producer.pendingCount > Self.maxPending { try await Task.sleep(for: .milliseconds(10)) }
        try Task.checkCancellation()
    }

    private static var now: Int64 { Int64(Date.now.timeIntervalSince1970 * 1_000) }
}
