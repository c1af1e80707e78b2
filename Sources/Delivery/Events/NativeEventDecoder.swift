import AfterloginJSON
package import AfterloginKafka
import AfterloginSystem

/// Decodes `{"id", "time", "user": {"user_id", …}, "context": {…}}`, also inside of CloudEvents 1.0, structured or binary.
///
/// Structured: the value has `specversion`, the login is under `data`. Binary (Kafka protocol binding of CloudEvents):
/// the attributes are headers with the prefix `ce_`, the value is the login.
package struct NativeEventDecoder: EventDecoder {
    /// A value above this is not looked at: no login is this large, and it would be copied several times.
    package var maxValueBytes = 2 << 20
    /// Deeper values could not be walked with a bounded stack, here or in the rule host.
    package var maxDepth = 512
    /// Of ids: they travel in headers, keys and logs.
    package static let maxIDBytes = 1_024

    package init() {}

    package func decode(_ record: KafkaRecord) -> Result<LoginEvent, DecodingFailure> {
        do {
            return .success(try self.event(record))
        } catch {
            return .failure(error)
        }
    }

    private func event(_ record: KafkaRecord) throws(DecodingFailure) -> LoginEvent {
        guard let value = record.value else {
            throw DecodingFailure(description: "the record is a tombstone: it has no value")
        }
        guard value.count <= self.maxValueBytes else {
            throw DecodingFailure(description: "the value has \(value.count) bytes, more than \(self.maxValueBytes)")
        }
        let document = try self.parse(value)
        guard document.kind == .object else {
            throw DecodingFailure(
                description: "the value is not an object: an event is {\"user\": {\"user_id\": …}, …}"
            )
        }
        // One walk over the document: it is the larger part of decoding.
        let attributes = document.members(["specversion", "data", "id", "time", "traceparent", "user", "context"])
        var (user, context) = (attributes[5], attributes[6])
        if attributes[0] != nil, user == nil {
            guard let data = attributes[1], data.kind == .object else {
                throw DecodingFailure(description: "the CloudEvent has no data object")
            }
            let login = data.members(["user", "context"])
            (user, context) = (login[0], login[1])
        }
        guard let user, user.kind == .object else {
            throw DecodingFailure(
                description: "there is no \"user\" object: an event is {\"user\": {\"user_id\": …}, …}"
            )
        }
        guard context?.kind ?? .object == .object else {
            throw DecodingFailure(description: "\"context\" must be an object")
        }
        let id = try self.text(attributes[2], "id") ?? self.header("ce_id", record) ?? Self.place(record)
        var time = try self.time(self.text(attributes[3], "time"), "time")
        if time == nil { time = try self.time(self.header("ce_time", record), "ce_time") }
        return LoginEvent(
            id: id,
            time: time ?? Timestamp.text(milliseconds: record.timestamp ?? 0),
            userID: try self.userID(user),
            user: user,
            context: context ?? .emptyObject,
            traceparent: Self.trace(self.header("traceparent", record))
                ?? Self.trace(self.header("ce_traceparent", record)) ?? Self.trace(attributes[4]?.string),
            record: record
        )
    }

    private func parse(_ value: [UInt8]) throws(DecodingFailure) -> JSONText {
        do {
            // A rule host reads such a number as infinite, and writes null: no result is to say what the event did not.
            return try JSONText(validating: value, maxDepth: self.maxDepth, refusesInfinity: true)
        } catch {
            if error.reason == JSONError.infinity { throw DecodingFailure(description: "the value has \(error)") }
            throw DecodingFailure(description: "the value is not JSON: \(error)")
        }
    }

    private func userID(_ user: JSONText) throws(DecodingFailure) -> String {
        guard let member = user["user_id"] else {
            throw DecodingFailure(description: "there is no \"user.user_id\", whose login it is")
        }
        guard let userID = member.string else { throw DecodingFailure(description: "\"user.user_id\" must be a text") }
        guard !Self.isBroken(userID, member) else {
            throw DecodingFailure(description: "\"user.user_id\" has half a surrogate pair: no text can hold it")
        }
        guard !userID.isEmpty else { throw DecodingFailure(description: "\"user.user_id\" must not be empty") }
        guard userID.utf8.count <= Self.maxIDBytes else {
            throw DecodingFailure(description: "\"user.user_id\" is longer than \(Self.maxIDBytes) bytes")
        }
        return userID
    }

    private func text(_ member: JSONText?, _ name: String) throws(DecodingFailure) -> String? {
        guard let member, member.kind != .null else { return nil }
        guard let text = member.string else { throw DecodingFailure(description: "\"\(name)\" must be a text") }
        guard text.utf8.count <= Self.maxIDBytes else {
            throw DecodingFailure(description: "\"\(name)\" is longer than \(Self.maxIDBytes) bytes")
        }
        guard !Self.isBroken(text, member) else {
            throw DecodingFailure(description: "\"\(name)\" has half a surrogate pair: no text can hold it")
        }
        return text.isEmpty ? nil : text
    }

    /// Whether half a pair of surrogates was lost on the way: U+FFFD stands in its place, which begins with this byte.
    private static func isBroken(_ text: String, _ member: JSONText) -> Bool {
        text.utf8.contains(0xEF) && member.hasLoneSurrogate
    }

    /// What has the form of W3C's Trace Context, 3.2: another text would make a result that its readers refuse, and could be of any length.
    private static func trace(_ text: String?) -> String? {
        guard let text, (55...256).contains(text.utf8.count) else { return nil }
        let form = "00-00000000000000000000000000000000-0000000000000000-00"
        let isOne = zip(text.utf8, form.utf8).allSatisfy { byte, place in
            place == UInt8(ascii: "-")
                ? byte == place : (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
        }
        return isOne && text.utf8.dropFirst(55).allSatisfy { (0x21...0x7E).contains($0) } ? text : nil
    }

    /// CloudEvents wants RFC 3339: with another time the result would be one that its readers refuse, and in its stead any time would be untrue.
    private func time(_ text: String?, _ name: String) throws(DecodingFailure) -> String? {
        guard let text, !Timestamp.isValid(text) else { return text }
        throw DecodingFailure(
            description: "\"\(name)\" is not a time as RFC 3339 writes it (2026-11-26T10:00:00Z): \(text.prefix(64))"
        )
    }

    /// A header's text; one that is too long or not UTF-8 is as good as none.
    private func header(_ name: String, _ record: KafkaRecord) -> String? {
        guard let value = record.headers.last(where: { $0.name == name })?.value, !value.isEmpty,
            value.count <= Self.maxIDBytes
        else { return nil }
        return String(validating: value, as: UTF8.self)
    }

    /// The id of a record that brings none: it is the same whenever the record is read.
    private static func place(_ record: KafkaRecord) -> String {
        "\(record.topicPartition.topic)/\(record.topicPartition.partition)/\(record.offset)"
    }
}
