import AfterloginCRDKafka
import AfterloginKafka
import Foundation
import Testing

/// What nobody does to a topic in peace, without the second that Kafka's own tools take to start.
///
/// Blocks.
final class TopicSurgery {
    private let client: OpaquePointer
    private let brokers: String

    init(_ brokers: String) throws {
        self.brokers = brokers
        let configuration = rd_kafka_conf_new()
        #expect(rd_kafka_conf_set(configuration, "bootstrap.servers", brokers, nil, 0) == RD_KAFKA_CONF_OK)
        self.client = try #require(rd_kafka_new(RD_KAFKA_PRODUCER, configuration, nil, 0))
    }

    deinit { rd_kafka_destroy(self.client) }

    /// Deletes a topic and makes it again: two requests, one after the other.
    func replace(_ name: String, partitions: Int32) throws {
        var deleted = rd_kafka_DeleteTopic_new(name)
        defer { rd_kafka_DeleteTopic_destroy(deleted) }
        var created = rd_kafka_NewTopic_new(name, partitions, 1, nil, 0)
        defer { rd_kafka_NewTopic_destroy(created) }
        try self.ask { rd_kafka_DeleteTopics(self.client, &deleted, 1, nil, $0) }
        try self.ask { rd_kafka_CreateTopics(self.client, &created, 1, nil, $0) }
    }

    /// Adds partitions to a topic.
    func extend(_ topic: String, to count: Int) throws {
        var request = rd_kafka_NewPartitions_new(topic, count, nil, 0)
        defer { rd_kafka_NewPartitions_destroy(request) }
        try self.ask { rd_kafka_CreatePartitions(self.client, &request, 1, nil, $0) }
    }

    /// Removes what lies below an offset, as retention does.
    func removeRecords(of topic: String, below offset: Int64) throws {
        let list = rd_kafka_topic_partition_list_new(1)
        defer { rd_kafka_topic_partition_list_destroy(list) }
        rd_kafka_topic_partition_list_add(list, topic, 0)?.pointee.offset = offset
        var request = rd_kafka_DeleteRecords_new(list)
        defer { rd_kafka_DeleteRecords_destroy(request) }
        try self.ask { rd_kafka_DeleteRecords(self.client, &request, 1, nil, $0) }
    }

    /// Sets what a group without members has committed for partition 0, with any text beside it.
    func commit(_ group: String, _ topic: String, _ offset: Int64, _ text: String) throws {
        try self.withMember(of: group, topic, offset, text) { client, list in
            #expect(rd_kafka_commit(client, list, 0) == RD_KAFKA_RESP_ERR_NO_ERROR)
        }
    }

    /// What a group has committed for partition 0.
    func committed(_ group: String, _ topic: String) throws -> (offset: Int64, text: String) {
        try self.withMember(of: group, topic, -1001, "") { client, list in
            #expect(rd_kafka_committed(client, list, 20_000) == RD_KAFKA_RESP_ERR_NO_ERROR)
            let found = list.pointee.elems[0]
            let text = UnsafeRawBufferPointer(start: found.metadata, count: found.metadata_size)
            return (found.offset, String(decoding: text, as: UTF8.self))
        }
    }

    private func withMember<Value>(
        of group: String,
        _ topic: String,
        _ offset: Int64,
        _ text: String,
        _ body: (OpaquePointer, UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) throws -> Value
    ) throws -> Value {
        let configuration = rd_kafka_conf_new()
        for (name, value) in [("bootstrap.servers", self.brokers), ("group.id", group)] {
            #expect(rd_kafka_conf_set(configuration, name, value, nil, 0) == RD_KAFKA_CONF_OK)
        }
        let client = try #require(rd_kafka_new(RD_KAFKA_CONSUMER, configuration, nil, 0))
        defer { rd_kafka_destroy(client) }
        let list = try #require(rd_kafka_topic_partition_list_new(1))
        defer { rd_kafka_topic_partition_list_destroy(list) }
        let element = rd_kafka_topic_partition_list_add(list, topic, 0)
        element?.pointee.offset = offset
        if !text.isEmpty {
            // The list frees it.
            element?.pointee.metadata = UnsafeMutableRawPointer(strdup(text))
            element?.pointee.metadata_size = text.utf8.count
        }
        return try body(client, list)
    }

    private func ask(_ request: (OpaquePointer) -> Void) throws {
        let queue = try #require(rd_kafka_queue_new(self.client))
        defer { rd_kafka_queue_destroy(queue) }
        request(queue)
        let event = try #require(rd_kafka_queue_poll(queue, 20_000))
        defer { rd_kafka_event_destroy(event) }
        #expect(rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR)
        guard let result = rd_kafka_event_CreateTopics_result(event) else { return }
        var count = 0
        let topics = rd_kafka_CreateTopics_result_topics(result, &count)
        #expect(rd_kafka_topic_result_error(topics?[0]) == RD_KAFKA_RESP_ERR_NO_ERROR)
    }
}
