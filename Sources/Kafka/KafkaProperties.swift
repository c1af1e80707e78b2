import AfterloginCRDKafka

/// Properties of a user, looked at before there is a client.
package enum KafkaProperties {
    /// Why librdkafka or a promise of ours refuses a property, without the value of a secret; nil where it may be set.
    package static func objection(to name: String, _ value: String) -> String? {
        do throws(KafkaError) {
            for role in [PropertyPolicy.Role.consumer, .producer] {
                _ = try PropertyPolicy(role: role, version: rd_kafka_version()).merged(with: [name: value])
            }
            try RDKafkaConfiguration().set(name, value)
            return nil
        } catch {
            return error.message
        }
    }
}
