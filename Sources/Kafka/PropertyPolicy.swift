/// Which librdkafka properties we set, and which a user may not, because a promise would break.
///
/// Every other property passes through, and the user's value wins over our default.
struct PropertyPolicy: Sendable {
    enum Role {
        case consumer
        case producer
        case admin
    }

    let role: Role
    /// `rd_kafka_version()`: the library that is loaded, not the one that we were built with.
    let version: Int32

    /// `0xMMmmrrpp`.
    static let cooperativeSince: Int32 = 0x0203_00ff
    /// From here a full local queue is looked at again after `fetch.queue.backoff.ms`, not after up to a second.
    static let fetchBackoffSince: Int32 = 0x0202_00ff

    private var common: [String: String] {
        [
            "client.id": "afterlogin",
            "log.queue": "true",
            "socket.nagle.disable": "true",
            "socket.keepalive.enable": "true",
            "reconnect.backoff.max.ms": "2000",
            "topic.metadata.refresh.interval.ms": "30000",
        ]
    }

    /// Measured figures behind the numbers: KAFKA.md.
    var defaults: [String: String] {
        switch self.role {
        case .admin: return self.common
        case .consumer:
            let queue =
                self.version >= Self.fetchBackoffSince
                ? ["queued.min.messages": "2000", "fetch.queue.backoff.ms": "5"]
                : ["queued.min.messages": "4000"]
            return self.common.merging(queue) { $1 }.merging([
                "queued.max.messages.kbytes": "32768",
                // Of one partition in one response: what a full local queue may be over its limit, times the partitions.
                "fetch.message.max.bytes": "262144",
                "enable.auto.commit": "false",
                "enable.auto.offset.store": "false",
                "auto.offset.reset": "error",
                "enable.partition.eof": "true",
                "fetch.wait.max.ms": "100",
                // New partitions are found by it, and what lies in them waits until then.
                "topic.metadata.refresh.interval.ms": "10000",
                // So long the whole group stands after a crash (librdkafka: 45 s). A member that was frozen for longer is replaced, and loses nothing: what it
                // did beyond its lease is not published. Three times the drain, and 15 heartbeats.
                "session.timeout.ms": "15000",
                "heartbeat.interval.ms": "1000",
                "partition.assignment.strategy": "range",
            ]) { $1 }
        case .producer:
            // The local limit is high, so that the topic's decides; batches are smaller than any topic's limit, so that an oversized record has no neighbours.
            return self.common.merging([
                "enable.idempotence": "true",
                "acks": "all",
                "message.timeout.ms": "0",
                "linger.ms": "2",
                "batch.size": "65536",
                "message.max.bytes": "50000000",
                "partitioner": "murmur2_random",
            ]) { $1 }
        }
    }

    /// Names that mean the same to librdkafka.
    private static let aliases = [
        "metadata.broker.list": "bootstrap.servers", "request.required.acks": "acks",
        "auto.commit.enable": "enable.auto.commit", "delivery.timeout.ms": "message.timeout.ms",
        "queue.buffering.max.ms": "linger.ms", "max.partition.fetch.bytes": "fetch.message.max.bytes",
    ]

    /// Our defaults with the user's properties over them.
    ///
    /// - Throws: for a property that would break a promise, with the reason.
    func merged(with properties: [String: String]) throws(KafkaError) -> [String: String] {
        var merged = self.defaults
        for (name, value) in properties {
            if let reason = self.objection(to: Self.aliases[name] ?? name, value.lowercased()) {
                throw KafkaError(
                    code: "_INVALID_ARG",
                    number: -186,
                    message: "property \(name) cannot be set to \(value): \(reason)"
                )
            }
            if let other = Self.aliases[name] { merged[other] = nil }
            merged[name] = value
        }
        return merged
    }

    private func objection(to name: String, _ value: String) -> String? {
        switch (self.role, name) {
        case (_, "bootstrap.servers"): return "the brokers have a setting of their own"
        case (_, "log.queue"): return "librdkafka's log is passed on by it"
        case (.consumer, "group.id"): return "the group has a setting of its own"
        case (.consumer, "enable.auto.commit") where value != "false",
            (.consumer, "enable.auto.offset.store") where value != "false":
            return "offsets are committed when their results are acknowledged, and only then"
        case (.consumer, "enable.partition.eof") where value != "true":
            return "without it a partition that ends in a transaction's marker would never count as done"
        case (.consumer, "group.protocol") where value != "classic":
            return "only the classic protocol waits for a drain"
        case (.consumer, "partition.assignment.strategy")
        where value.contains("cooperative") && self.version < Self.cooperativeSince:
            return
                "cooperative-sticky ends the process in some rebalances before librdkafka 2.3, and this is \(Self.text(self.version))"
        case (.producer, "enable.idempotence") where value != "true",
            (.producer, "acks") where !["all", "-1"].contains(value):
            return "the order of one user's results, and their durability, rest on it"
        case (.producer, "transactional.id"): return "transactions are not supported yet"
        default: return nil
        }
    }

    static func text(_ version: Int32) -> String {
        "\(version >> 24 & 0xff).\(version >> 16 & 0xff).\(version >> 8 & 0xff)"
    }
}
