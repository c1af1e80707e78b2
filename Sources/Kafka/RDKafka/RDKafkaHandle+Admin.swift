import AfterloginCRDKafka

/// The blocking halves of admin calls.
extension RDKafkaHandle {
    func describe(_ topic: String, until deadline: BootTime) throws(KafkaError) -> TopicDescription? {
        let answer = try unsafe self.withMetadata(ofTopic: topic, timeout: BootTime.now.until(deadline)) { metadata in
            guard unsafe metadata.topic_cnt > 0 else { return (RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, 0) }
            let found = unsafe metadata.topics[0]
            return unsafe (found.err, Int(found.partition_cnt))
        }
        switch answer.0 {
        case RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
            return TopicDescription(name: topic, partitions: answer.1)
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC: return nil
        default: throw KafkaError(answer.0)
        }
    }

    /// The configurations that the cluster lets us read.
    func configurations(of topics: [String], until deadline: BootTime) -> [String: [String: String]] {
        guard !topics.isEmpty else { return [:] }
        var resources: [OpaquePointer?] = unsafe topics.map {
            unsafe rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, $0)
        }
        defer { unsafe rd_kafka_ConfigResource_destroy_array(&resources, resources.count) }
        let event = unsafe self.ask(RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, until: deadline) { options, queue in
            unsafe rd_kafka_DescribeConfigs(self.pointer, &resources, resources.count, options, queue)
        }
        switch event {
        case nil: return [:]
        case .some(let event):
            guard let result = unsafe rd_kafka_event_DescribeConfigs_result(event.pointer) else { return [:] }
            var count = 0
            let found = unsafe rd_kafka_DescribeConfigs_result_resources(result, &count)
            var configurations: [String: [String: String]] = [:]
            for index in 0..<count {
                guard let resource = unsafe found?[index] else { continue }
                let name = unsafe String(cString: rd_kafka_ConfigResource_name(resource))
                configurations[name] = unsafe Self.entries(of: resource)
            }
            return configurations
        }
    }

    private static func entries(of resource: OpaquePointer) -> [String: String] {
        var count = 0
        let entries = unsafe rd_kafka_ConfigResource_configs(resource, &count)
        var values: [String: String] = [:]
        for index in 0..<count {
            guard let entry = unsafe entries?[index], let value = unsafe rd_kafka_ConfigEntry_value(entry) else {
                continue
            }
            values[unsafe String(cString: rd_kafka_ConfigEntry_name(entry))] = unsafe String(cString: value)
        }
        return values
    }

    func create(
        _ topics: [TopicSpecification],
        until deadline: BootTime
    ) throws(KafkaError) -> [String: KafkaError?] {
        var text = [CChar](repeating: 0, count: 512)
        var specifications: [OpaquePointer?] = unsafe []
        defer { unsafe rd_kafka_NewTopic_destroy_array(&specifications, specifications.count) }
        for topic in topics {
            let specification = unsafe rd_kafka_NewTopic_new(
                topic.name,
                Int32(clamping: topic.partitions),
                Int32(clamping: topic.replicationFactor),
                &text,
                text.count
            )
            guard let specification = unsafe specification else {
                throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, String(terminated: text)).about(topic: topic.name)
            }
            unsafe specifications.append(specification)
            for (name, value) in topic.configuration {
                unsafe _ = rd_kafka_NewTopic_set_config(specification, name, value)
            }
        }
        let event = unsafe self.ask(RD_KAFKA_ADMIN_OP_CREATETOPICS, until: deadline) { options, queue in
            unsafe rd_kafka_CreateTopics(self.pointer, &specifications, specifications.count, options, queue)
        }
        switch event {
        case nil: throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT)
        case .some(let event):
            if let error = event.error { throw error }
            return unsafe Self.createResults(event.pointer)
        }
    }

    private static func createResults(_ event: OpaquePointer) -> [String: KafkaError?] {
        guard let result = unsafe rd_kafka_event_CreateTopics_result(event) else { return [:] }
        var count = 0
        let topics = unsafe rd_kafka_CreateTopics_result_topics(result, &count)
        var results: [String: KafkaError?] = [:]
        for index in 0..<count {
            guard let topic = unsafe topics?[index] else { continue }
            let code = unsafe rd_kafka_topic_result_error(topic)
            let name = unsafe String(cString: rd_kafka_topic_result_name(topic))
            let text = unsafe rd_kafka_topic_result_error_string(topic)
            results[name] = .some(
                code == RD_KAFKA_RESP_ERR_NO_ERROR
                    ? nil : KafkaError(code, unsafe text.map { unsafe String(cString: $0) }).about(topic: name)
            )
        }
        return results
    }

    /// What of the group and the topics is refused to this client.
    ///
    /// Fetches from the end of each topic's first partition, until each has said that there is nothing, or what is wrong; then asks for the group's offsets.
    func refusals(
        _ topics: [String],
        until deadline: BootTime
    ) -> (group: KafkaError?, topics: [String: KafkaError]) {
        let list = RDKafkaPartitionList(capacity: topics.count)
        for topic in topics {
            list.add(TopicPartition(topic: topic, partition: 0), offset: Int64(RD_KAFKA_OFFSET_END))
        }
        unsafe _ = rd_kafka_assign(self.pointer, list.pointer)
        defer { unsafe _ = rd_kafka_assign(self.pointer, nil) }
        var group: KafkaError?
        var refused: [String: KafkaError] = [:]
        var open = Set(topics)
        while !open.isEmpty, BootTime.now < deadline {
            let time = min(.milliseconds(200), BootTime.now.until(deadline))
            guard let pointer = unsafe rd_kafka_consumer_poll(self.pointer, time.timeoutMilliseconds) else { continue }
            let message = unsafe RDKafkaMessage(pointer)
            let error = KafkaError(message.error)
            if error.isOneOf(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) {
                group = error
            } else if open.remove(message.topic) != nil,
                !error.isOneOf(RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR__PARTITION_EOF)
            {
                refused[message.topic] = error
            }
            unsafe rd_kafka_message_destroy(pointer)
        }
        // A coordinator that refuses to be found is told once, above; it is waited for in vain here.
        guard group == nil else { return (group, refused) }
        let time = BootTime.now.until(deadline)
        let error = unsafe rd_kafka_committed(self.pointer, list.pointer, time.timeoutMilliseconds)
        return (error == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(error), refused)
    }

    /// Sends an admin request and waits for its answer.
    func ask(
        _ operation: rd_kafka_admin_op_t,
        until deadline: BootTime,
        _ request: (OpaquePointer?, OpaquePointer) -> Void
    ) -> RDKafkaEvent? {
        let options = unsafe rd_kafka_AdminOptions_new(self.pointer, operation)
        defer { unsafe rd_kafka_AdminOptions_destroy(options) }
        let time = BootTime.now.until(deadline)
        unsafe _ = rd_kafka_AdminOptions_set_request_timeout(options, time.timeoutMilliseconds, nil, 0)
        let queue = RDKafkaQueue(of: self)
        unsafe request(options, queue.pointer)
        // The request has its own time-out; the extra second is for its answer to arrive.
        return queue.poll(timeout: time + .seconds(1))
    }
}
