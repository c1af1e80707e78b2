import AfterloginCRDKafka

/// An `rd_kafka_conf_t` on its way to becoming a client.
@safe
struct RDKafkaConfiguration: ~Copyable {
    private let pointer: OpaquePointer

    init() { unsafe self.pointer = rd_kafka_conf_new() }

    deinit { unsafe rd_kafka_conf_destroy(self.pointer) }

    /// Sets one property.
    ///
    /// - Throws: for an unknown name or a value that librdkafka refuses; never with the value of a secret.
    func set(_ name: String, _ value: String) throws(KafkaError) {
        var text = [CChar](repeating: 0, count: 512)
        let result = unsafe rd_kafka_conf_set(self.pointer, name, value, &text, text.count)
        guard result != RD_KAFKA_CONF_OK else { return }
        let secret = ["password", "secret", "pem", "jaas", "oauthbearer", "key"].contains { name.contains($0) }
        if result == RD_KAFKA_CONF_INVALID && secret {
            throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, "librdkafka refuses the value of the property \(name)")
        }
        throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, "property \(name): \(String(terminated: text))")
    }

    func set(_ properties: [String: String]) throws(KafkaError) {
        for (name, value) in properties.sorted(by: { $0.key < $1.key }) { try self.set(name, value) }
    }

    func value(of name: String) -> String? {
        var text = [CChar](repeating: 0, count: 4_096)
        var size = text.count
        guard unsafe rd_kafka_conf_get(self.pointer, name, &text, &size) == RD_KAFKA_CONF_OK else { return nil }
        return String(terminated: text)
    }

    func enableEvents(_ events: Int32) { unsafe rd_kafka_conf_set_events(self.pointer, events) }

    /// Creates the client; librdkafka owns the configuration from here on.
    consuming func makeHandle(_ role: rd_kafka_type_t) throws(KafkaError) -> RDKafkaHandle {
        var text = [CChar](repeating: 0, count: 512)
        let handle = unsafe rd_kafka_new(role, self.pointer, &text, text.count)
        guard let handle = unsafe handle else {
            _ = consume self
            throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, String(terminated: text))
        }
        discard self
        return unsafe RDKafkaHandle(handle)
    }
}

extension String {
    /// The text before the first NUL.
    init(terminated characters: [CChar]) {
        self = String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
