package import AfterloginKafka
package import AfterloginObservability

/// Results on their topics, by an idempotent producer.
package final class KafkaResultPublisher: ResultPublisher {
    private let producer: KafkaProducer
    private let topics: ResultSettings
    private let produced: (results: MetricSeries, failures: MetricSeries)

    /// An acknowledgement that takes longer than `longestDelivery` is a problem.
    package init(
        _ configuration: DeliverySettings,
        log: Log,
        metrics: Metrics,
        longestDelivery: Duration = .seconds(10)
    ) throws(KafkaError) {
        // Properties that only a consumer knows would be refused by a producer.
        self.producer = try KafkaProducer(
            configuration: KafkaProducerConfiguration(
                brokers: configuration.kafka.brokers,
                properties: configuration.kafka.properties,
                longestDelivery: longestDelivery,
                log: log.kafka
            )
        )
        self.topics = configuration.results
        self.produced = (
            metrics.series(.resultsProduced, configuration.results.updates),
            metrics.series(.resultsProduced, configuration.results.failures)
        )
    }

    package func publish(
        _ result: ResultRecord,
        gathers: Bool,
        completion: @escaping @Sendable (PublishOutcome) -> Void
    ) {
        let (topic, produced) =
            switch result.kind {
            case .update, .denial, .changes: (self.topics.updates, self.produced.results)
            case .failure: (self.topics.failures, self.produced.failures)
            }
        let message = KafkaMessage(topic: topic, key: result.key, value: result.value, headers: result.headers)
        let size = result.byteCount
        self.producer.produce(message, gathers: gathers) { report in
            switch report {
            case .success:
                produced.add()
                completion(.acknowledged)
            case .failure(let error) where error.isTooLarge:
                completion(.refused("\(topic) does not take a record of \(size) bytes: see its max.message.bytes"))
            case .failure(let error) where error.isRefusal:
                completion(.refused("\(topic) does not take a record: \(error)"))
            case .failure(let error) where error.isDropped: completion(.dropped)
            case .failure(let error): completion(.failed(error))
            }
        }
    }

    package func purge() { self.producer.purge() }

    package func close(deadline: Duration) async {
        _ = await self.producer.flush(deadline: deadline)
        await self.producer.close()
    }

    package func ping(_ answer: @escaping @Sendable () -> Void) { self.producer.ping(answer) }

    package var problem: String? { self.producer.problem.map { "results can't be written: \($0)" } }
}

extension KafkaError {
    fileprivate var isTooLarge: Bool { self.code == "MSG_SIZE_TOO_LARGE" || self.code == "RECORD_LIST_TOO_LARGE" }
    /// Of this one record, by the topic's settings: a compacted topic takes none without a key.
    fileprivate var isRefusal: Bool { ["INVALID_RECORD", "INVALID_TIMESTAMP", "POLICY_VIOLATION"].contains(self.code) }
    fileprivate var isDropped: Bool { ["_PURGE_QUEUE", "_PURGE_INFLIGHT", "_DESTROY"].contains(self.code) }
}
