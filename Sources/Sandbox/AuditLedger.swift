import AfterloginJSON
package import AfterloginKafka

/// What was read of the input and result topics, and what it means; no clock, no broker.
///
/// Shares no code with the worker's own ledger: it would repeat its mistakes.
package struct AuditLedger: Sendable {
    private struct Result {
        var kind: String
        /// CloudEvents `id`; nil for a failure, which has none.
        var id: String?
    }

    private struct UserOrder {
        var lastOffset: [TopicPartition: Int64] = [:]
    }

    private struct Parsed {
        var topicPartition: TopicPartition
        var offset: Int64
        var user: [UInt8]
        var result: Result
        var reason: String?
        var intended: Int64?
        var ruleMilliseconds = 0.0
    }

    private static let maxExamples = 10

    private var inputs: [TopicPartition: Set<Int64>] = [:]
    private var results: [TopicPartition: [Int64: Result]] = [:]
    /// The order is kept within a topic; a failure and an update go to different ones.
    private var orders: [String: [[UInt8]: UserOrder]] = [:]
    private var latencies: [(intended: Int64, milliseconds: Int32)] = []
    /// Timestamps of first results, in the order in which they were read.
    package private(set) var resultTimes: [Int64] = []
    private var partial = AuditReport()

    package init() {}

    /// Logins that have a result.
    package private(set) var resultCount = 0
    package private(set) var inputCount = 0

    package mutating func loginRead(_ record: KafkaRecord) {
        if self.inputs[record.topicPartition, default: []].insert(record.offset).inserted { self.inputCount += 1 }
    }

    /// A record of the topic of updates and denials.
    package mutating func updateRead(_ record: KafkaRecord) {
        guard let parsed = Self.parseUpdate(record) else {
            if !Self.isFailedLogin(record) { self.note(stranger: record) }
            return
        }
        self.resultRead(parsed, record)
    }

    /// A record of the topic of failures.
    package mutating func failureRead(_ record: KafkaRecord) {
        guard let parsed = Self.parseFailure(record) else { return self.note(stranger: record) }
        self.resultRead(parsed, record)
    }

    private mutating func note(stranger record: KafkaRecord) {
        self.partial.strangers += 1
        self.note("\(record.topicPartition)@\(record.offset) is no result")
    }

    private mutating func note(_ example: @autoclosure () -> String) {
        if self.partial.examples.count < Self.maxExamples { self.partial.examples.append(example()) }
    }

    private mutating func resultRead(_ parsed: Parsed, _ record: KafkaRecord) {
        if let earlier = self.results[parsed.topicPartition]?[parsed.offset] {
            self.partial.duplicates += 1
            if earlier.kind != parsed.result.kind || earlier.id != parsed.result.id {
                self.partial.contradictions += 1
                self.note("\(parsed.topicPartition)@\(parsed.offset) has two results that differ")
            }
            return
        }
        self.results[parsed.topicPartition, default: [:]][parsed.offset] = parsed.result
        self.resultCount += 1
        self.count(parsed)
        self.checkOrder(parsed, record)
        guard let time = record.timestamp else { return }
        self.resultTimes.append(time)
        self.partial.firstResult = min(self.partial.firstResult ?? time, time)
        self.partial.lastResult = max(self.partial.lastResult ?? time, time)
        if let intended = parsed.intended { self.latencies.append((intended, Int32(clamping: time - intended))) }
    }

    private mutating func count(_ parsed: Parsed) {
        switch parsed.result.kind {
        case "denial": self.partial.denials += 1
        case "update": self.partial.updates += 1
        default: self.partial.failures[parsed.reason ?? "", default: 0] += 1
        }
        self.partial.ruleMilliseconds += parsed.ruleMilliseconds
    }

    private mutating func checkOrder(_ parsed: Parsed, _ record: KafkaRecord) {
        let last = self.orders[record.topicPartition.topic]?[parsed.user]?.lastOffset[parsed.topicPartition]
        if let last, last > parsed.offset {
            self.partial.orderViolations += 1
            let user = String(decoding: parsed.user, as: UTF8.self)
            self.note("\(user): \(parsed.topicPartition)@\(parsed.offset) came after @\(last)")
            return
        }
        self.orders[record.topicPartition.topic, default: [:]][parsed.user, default: UserOrder()]
            .lastOffset[parsed.topicPartition] = parsed.offset
    }

    /// What was found so far.
    ///
    /// - Parameter start: Logins that were meant for an earlier time, in milliseconds since 1970, do not count for the latency: a warm-up.
    /// - Returns: The findings.
    package func report(latencySince start: Int64 = .min) -> AuditReport {
        var report = self.partial
        report.logins = self.inputCount
        for (partition, offsets) in self.inputs {
            let results = self.results[partition] ?? [:]
            let lost = offsets.filter { results[$0] == nil }
            report.lost += lost.count
            for offset in lost.sorted().prefix(Self.maxExamples) where report.examples.count < Self.maxExamples {
                report.examples.append("\(partition)@\(offset) has no result")
            }
        }
        for (partition, results) in self.results {
            let inputs = self.inputs[partition] ?? []
            report.strangers += results.keys.filter { !inputs.contains($0) }.count
        }
        let sorted = self.latencies.filter { $0.intended >= start }.map(\.milliseconds).sorted()
        if !sorted.isEmpty {
            func percentile(_ share: Double) -> Double {
                Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))])
            }
            report.latency = .init(
                p50: percentile(0.5),
                p90: percentile(0.9),
                p99: percentile(0.99),
                longest: Double(sorted[sorted.count - 1])
            )
        }
        return report
    }

    // MARK: Reading results

    /// What rules wrote of a login that failed: its result is the failure.
    private static func isFailedLogin(_ record: KafkaRecord) -> Bool {
        guard let value = record.value, let event = try? JSONText(validating: value) else { return false }
        return event["type"]?.string == "io.afterlogin.login.failed" && event["data"]?["changes"]?.kind == .object
    }

    private static func parseUpdate(_ record: KafkaRecord) -> Parsed? {
        guard let value = record.value, let event = try? JSONText(validating: value),
            let type = event["type"]?.string, let id = event["id"]?.string, let subject = event["subject"]?.string,
            let data = event["data"], let login = data["login"],
            let topic = login["topic"]?.string, let partition = login["partition"]?.int,
            let offset = login["offset"]?.int,
            ["io.afterlogin.user.enriched", "io.afterlogin.login.denied"].contains(type)
        else { return nil }
        let kind = type.hasSuffix("denied") ? "denial" : "update"
        let milliseconds = data["rules"]?.elements.reduce(0.0) { $0 + ($1["milliseconds"]?.number?.double ?? 0) }
        return Parsed(
            topicPartition: TopicPartition(topic: topic, partition: Int32(clamping: partition)),
            offset: Int64(offset),
            user: Array(subject.utf8),
            result: Result(kind: kind, id: id),
            intended: login["time"]?.string.flatMap(EventTime.milliseconds(_:)),
            ruleMilliseconds: milliseconds ?? 0
        )
    }

    private static func parseFailure(_ record: KafkaRecord) -> Parsed? {
        func header(_ name: String) -> String? {
            record.headers.last { $0.name == "afterlogin-\(name)" }?.value.map { String(decoding: $0, as: UTF8.self) }
        }
        guard let reason = header("reason"), let topic = header("topic"),
            let partition = header("partition").flatMap({ Int32($0) }),
            let offset = header("offset").flatMap({ Int64($0) })
        else { return nil }
        let time = record.value.flatMap { try? JSONText(validating: $0) }?["time"]?.string
        return Parsed(
            topicPartition: TopicPartition(topic: topic, partition: partition),
            offset: offset,
            user: record.key ?? [],
            result: Result(kind: "failure"),
            reason: reason,
            intended: time.flatMap(EventTime.milliseconds(_:)) ?? header("timestamp").flatMap { Int64($0) }
        )
    }
}

/// `2026-11-24T08:15:30.123Z`, as the generator and the worker write it.
enum EventTime {
    /// Since 1970; nil for any other form.
    static func milliseconds(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes.last == UInt8(ascii: "Z") else { return nil }
        func number(_ range: Range<Int>) -> Int64? { Int64(String(decoding: bytes[range], as: UTF8.self)) }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
            (1...12).contains(month)
        else { return nil }
        let fraction = bytes[19] == UInt8(ascii: ".") && bytes.count >= 24 ? number(20..<23) ?? 0 : 0
        // Days since 1970 of the Gregorian calendar, years beginning in March.
        let shiftedYear = month <= 2 ? year - 1 : year
        let shiftedMonth = (month + 9) % 12
        let days =
            365 * shiftedYear + shiftedYear / 4 - shiftedYear / 100 + shiftedYear / 400
            + (153 * shiftedMonth + 2) / 5 + day - 1 - 719_468
        return ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + fraction
    }
}
