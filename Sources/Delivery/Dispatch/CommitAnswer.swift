import AfterloginKafka

/// What became of a commit.
enum CommitAnswer: Equatable {
    case stored
    /// These partitions were not stored; without names any subset may have been.
    case refused([TopicPartition])
    /// The metadata were longer than the broker takes; any subset may have been stored.
    case mapTooLong

    init(_ result: Result<Void, KafkaError>) {
        switch result {
        case .success: self = .stored
        case .failure(let error) where error.isMetadataTooLarge: self = .mapTooLong
        case .failure(let error): self = .refused(error.partitions)
        }
    }
}
