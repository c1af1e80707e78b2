import AfterloginCRDKafka

/// What librdkafka or a broker answered, with librdkafka's own name for it.
package struct KafkaError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The name that librdkafka has for it, such as `MSG_SIZE_TOO_LARGE`.
    package var code: String
    package var number: Int32
    package var message: String
    package var isFatal = false
    /// Of a commit that was refused in part: the partitions that were not stored.
    ///
    /// Empty: any subset may have been.
    package var partitions: [TopicPartition] = []

    package init(
        code: String,
        number: Int32,
        message: String,
        isFatal: Bool = false,
        partitions: [TopicPartition] = []
    ) {
        self.code = code
        self.number = number
        self.message = message
        self.isFatal = isFatal
        self.partitions = partitions
    }

    package var description: String { "\(self.message) (\(self.code))" }

    /// The metadata of a commit are longer than the broker takes.
    package var isMetadataTooLarge: Bool { self.isOneOf(RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE) }

    /// The cluster refuses a topic, the group or the whole cluster to this client.
    package var isAuthorization: Bool {
        switch rd_kafka_resp_err_t(self.number) {
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR__AUTHENTICATION,
            RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
            true
        default: false
        }
    }
}

extension KafkaError {
    init(_ code: rd_kafka_resp_err_t, _ message: String? = nil, partitions: [TopicPartition] = []) {
        self.init(
            code: unsafe String(cString: rd_kafka_err2name(code)),
            number: code.rawValue,
            message: unsafe Self.explained(message ?? String(cString: rd_kafka_err2str(code)), rd_kafka_version()),
            partitions: partitions
        )
    }

    /// The text with what librdkafka can't say of itself.
    ///
    /// Before 2.6.1 it sends its nonce twice, and brokers from Kafka 4.0 on answer as if the password were wrong (confluentinc/librdkafka#4895).
    /// Where a broker does not answer it guesses at one of before 2015.
    static func explained(_ text: String, _ version: Int32) -> String {
        var text = text
        // Which of its threads says it.
        if text.hasPrefix("[thrd:"), let end = text.firstRange(of: "]: ") { text.removeSubrange(..<end.upperBound) }
        // How long its own states lasted says nothing to anybody else.
        let detail = text.firstRange(of: " (after ")
        if let detail, text.hasSuffix(")"), text[detail.upperBound...].contains("ms in state ") {
            text.removeSubrange(detail.lowerBound...)
        }
        text.replace("ipv4#", with: "")
        text.replace("ipv6#", with: "")
        if version < 0x0206_01ff, text.contains("invalid credentials with SASL mechanism SCRAM") {
            return text
                + "; if user and password are right: librdkafka before 2.6.1 can't use SCRAM with Kafka 4, and this is \(PropertyPolicy.text(version))"
        }
        for (guess, meaning) in Self.meanings where text.contains(guess) {
            // Who says it stands before; behind it how long it took, or the reason, which says more.
            let parts = text.split(separator: guess, maxSplits: 1, omittingEmptySubsequences: false)
            if guess.hasPrefix("Local: "), parts.last?.isEmpty == false { continue }
            return (parts.first ?? "") + meaning
        }
        return text
    }

    /// What librdkafka says in its own terms or guesses wrongly, and what it is.
    private static let meanings: [(guess: String, meaning: String)] = [
        (
            "Disconnected while requesting ApiVersion",
            "the broker ended the connection before it said anything: it starts, stops or has too much to do; where that lasts, security.protocol is another than the listener's (TLS or not)"
        ),
        (
            "ApiVersionRequest failed",
            "the broker took the connection and does not answer: it is frozen, cut off or has too much to do"
        ),
        (
            "Consumer group session timed out",
            "the group's coordinator has not answered for session.timeout.ms: the partitions are taken away, and the group is joined again"
        ),
        ("Local: Timed out", "no answer in time: the broker is frozen, cut off or has too much to do"),
        ("Local: Broker transport failure", "the connection to the broker was lost, or did not come about"),
    ]

    /// Takes the error object over, and destroys it.
    init(consuming error: OpaquePointer) {
        unsafe self.init(rd_kafka_error_code(error), String(cString: rd_kafka_error_string(error)))
        self.isFatal = unsafe rd_kafka_error_is_fatal(error) != 0
        unsafe rd_kafka_error_destroy(error)
    }

    /// This one, but for "all brokers are down" after an error that says why.
    func moreTelling(than earlier: KafkaError?) -> KafkaError {
        self.isOneOf(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) ? earlier ?? self : self
    }

    func isOneOf(_ codes: rd_kafka_resp_err_t...) -> Bool {
        codes.contains { $0.rawValue == self.number }
    }
}
