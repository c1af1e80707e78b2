/// A topic as the cluster describes it.
package struct TopicDescription: Sendable, Hashable {
    package var name: String
    package var partitions: Int
    /// By name, as effective.
    ///
    /// Empty where it was not asked for, where the cluster has no admin API, and where this client may not read configurations.
    package var configuration: [String: String]

    package init(name: String, partitions: Int, configuration: [String: String] = [:]) {
        self.name = name
        self.partitions = partitions
        self.configuration = configuration
    }
}

/// A topic to be created.
package struct TopicSpecification: Sendable, Hashable {
    package var name: String
    package var partitions: Int
    /// -1: the broker's default.
    package var replicationFactor: Int
    package var configuration: [String: String]

    package init(name: String, partitions: Int, replicationFactor: Int = -1, configuration: [String: String] = [:]) {
        self.name = name
        self.partitions = partitions
        self.replicationFactor = replicationFactor
        self.configuration = configuration
    }
}
