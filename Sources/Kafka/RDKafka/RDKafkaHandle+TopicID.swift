import AfterloginCRDKafka
import Glibc

/// Topic identifiers, which librdkafka knows since 2.3: its functions are looked up in the library that is loaded, not in the one that we were built with.
extension RDKafkaHandle {
    private typealias Destroy = @convention(c) (OpaquePointer?) -> Void
    private typealias Get = @convention(c) (OpaquePointer?) -> OpaquePointer?
    private typealias Names = @convention(c) (UnsafeMutablePointer<UnsafePointer<CChar>?>?, Int) -> OpaquePointer?
    private typealias Describe = @convention(c) (OpaquePointer?, OpaquePointer?, OpaquePointer?, OpaquePointer?) -> Void
    private typealias Results =
        @convention(c) (OpaquePointer?, UnsafeMutablePointer<Int>?) -> UnsafeMutablePointer<OpaquePointer?>?
    private typealias Name = @convention(c) (OpaquePointer?) -> UnsafePointer<CChar>?
    private typealias Bits = @convention(c) (OpaquePointer?) -> Int64

    @safe
    private struct Functions: @unchecked Sendable {
        var ofNames: Names
        var destroyNames: Destroy
        var describe: Describe
        var result: Get
        var topics: Results
        var name: Name
        var topicID: Get
        var high: Bits
        var low: Bits

        init?() {
            guard rd_kafka_version() >= 0x0203_00ff,
                let ofNames = unsafe Self.find("rd_kafka_TopicCollection_of_topic_names", Names.self),
                let destroyNames = unsafe Self.find("rd_kafka_TopicCollection_destroy", Destroy.self),
                let describe = unsafe Self.find("rd_kafka_DescribeTopics", Describe.self),
                let result = unsafe Self.find("rd_kafka_event_DescribeTopics_result", Get.self),
                let topics = unsafe Self.find("rd_kafka_DescribeTopics_result_topics", Results.self),
                let name = unsafe Self.find("rd_kafka_TopicDescription_name", Name.self),
                let topicID = unsafe Self.find("rd_kafka_TopicDescription_topic_id", Get.self),
                let high = unsafe Self.find("rd_kafka_Uuid_most_significant_bits", Bits.self),
                let low = unsafe Self.find("rd_kafka_Uuid_least_significant_bits", Bits.self)
            else { return nil }
            unsafe self.ofNames = ofNames
            unsafe self.destroyNames = destroyNames
            unsafe self.describe = describe
            unsafe self.result = result
            unsafe self.topics = topics
            unsafe self.name = name
            unsafe self.topicID = topicID
            unsafe self.high = high
            unsafe self.low = low
        }

        private static func find<Function>(_ name: String, _ type: Function.Type) -> Function? {
            // A null handle: wherever it is loaded (RTLD_DEFAULT).
            guard let symbol = unsafe dlsym(nil, name) else { return nil }
            return unsafe unsafeBitCast(symbol, to: type)
        }
    }

    private static let functions = Functions()

    /// The identifiers of these topics; empty where the library or the brokers have none.
    ///
    /// Blocks.
    func identifiers(of topics: Set<String>, until deadline: BootTime) -> [String: TopicID] {
        guard let functions = Self.functions, !topics.isEmpty else { return [:] }
        let names = unsafe topics.map { unsafe strdup($0) }
        defer { for index in unsafe names.indices { unsafe free(names[index]) } }
        var pointers = unsafe names.map { unsafe UnsafePointer<CChar>($0) }
        let collection = unsafe functions.ofNames(&pointers, pointers.count)
        defer { unsafe functions.destroyNames(collection) }
        let event = unsafe self.ask(RD_KAFKA_ADMIN_OP_ANY, until: deadline) { options, queue in
            unsafe functions.describe(self.pointer, collection, options, queue)
        }
        switch event {
        case nil: return [:]
        case .some(let event):
            guard let result = unsafe functions.result(event.pointer) else { return [:] }
            var count = 0
            let found = unsafe functions.topics(result, &count)
            var identifiers: [String: TopicID] = [:]
            for index in 0..<count {
                guard let topic = unsafe found?[index], let name = unsafe functions.name(topic),
                    let uuid = unsafe functions.topicID(topic)
                else { continue }
                let high = unsafe UInt64(bitPattern: functions.high(uuid))
                let low = unsafe UInt64(bitPattern: functions.low(uuid))
                // Brokers before 2.8 have none.
                if high != 0 || low != 0 { unsafe identifiers[String(cString: name)] = TopicID(high: high, low: low) }
            }
            return identifiers
        }
    }
}
