package import AfterloginJSON
package import AfterloginKafka

/// A login-success event, decoded: what the chain is run for.
package struct LoginEvent: Sendable {
    /// The event's own id, or one made of topic, partition and offset: the same at every delivery.
    package var id: String
    /// RFC 3339, as the event said it, or made of the record's timestamp.
    package var time: String
    /// The key of the order: logins of one user are handled one after the other.
    package var userID: String
    package var user: JSONText
    package var context: JSONText
    /// W3C Trace Context, passed on as it came.
    package var traceparent: String?
    /// The record as it was read, for failures and for its place.
    package var record: KafkaRecord
}

/// Why a record is not a login: it goes to the failures topic as it came.
package struct DecodingFailure: Error, Sendable, Hashable, CustomStringConvertible {
    package var description: String
}

/// Turns the bytes of a record into a login; one for each kind of envelope.
package protocol EventDecoder: Sendable {
    func decode(_ record: KafkaRecord) -> Result<LoginEvent, DecodingFailure>
}
