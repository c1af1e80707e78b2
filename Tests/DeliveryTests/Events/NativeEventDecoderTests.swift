import AfterloginJSON
import AfterloginKafka
import Testing

@testable import AfterloginDelivery

@Suite(.timeLimit(.minutes(1)))
struct NativeEventDecoderTests {
    private func decode(_ value: String, _ headers: [KafkaHeader] = []) -> Result<LoginEvent, DecodingFailure> {
        NativeEventDecoder().decode(
            KafkaRecord(
                topicPartition: TopicPartition(topic: "logins", partition: 3),
                offset: 7,
                timestamp: 1_764_000_000_000,
                key: nil,
                value: Array(value.utf8),
                headers: headers
            )
        )
    }

    private func refusal(_ result: Result<LoginEvent, DecodingFailure>) -> String {
        switch result {
        case .success(let event): "none: \(event.userID), \(event.time)"
        case .failure(let failure): failure.description
        }
    }

    @Test func whatIsMissingIsMadeOfTheRecord() throws {
        let event = try self.decode(#"{"user":{"user_id":"a"}}"#).get()
        #expect(event.id == "logins/3/7" && event.time == "2025-11-24T16:00:00.000Z")
        let named = try self.decode(#"{"id":"e","time":"2026-11-24T10:00:00+01:00","user":{"user_id":"a"}}"#).get()
        #expect(named.id == "e" && named.time == "2026-11-24T10:00:00+01:00")
    }

    @Test(arguments: [
        "yesterday", "2026-13-45T00:00:00Z", "2026-02-29T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24",
        "2026-11-24T10:00:00+25:00", "1764000000",
    ])
    func aTimeThatIsNoneIsAFailureThatSaysSo(time: String) {
        let refusal = self.refusal(self.decode(#"{"time":"\#(time)","user":{"user_id":"a"}}"#))
        #expect(
            refusal.hasPrefix("\"time\" is not a time as RFC 3339 writes it") && refusal.contains(time),
            "\(refusal)"
        )
        let header = KafkaHeader(name: "ce_time", value: Array(time.utf8))
        let ofHeader = self.refusal(self.decode(#"{"user":{"user_id":"a"}}"#, [header]))
        #expect(ofHeader.hasPrefix("\"ce_time\" is not a time as RFC 3339 writes it"), "\(ofHeader)")
    }

    @Test(arguments: [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
        ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", true),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false), ("anything", false), ("", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\u{9B}2J", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" + String(repeating: "x", count: 300), false),
    ])
    func aTraceIsPassedOnWhereItIsOne(text: String, isOne: Bool) throws {
        let event = #"{"traceparent":"\#(text)","user":{"user_id":"a"}}"#
        #expect(try self.decode(event).get().traceparent == (isOne ? text : nil))
        let header = KafkaHeader(name: "traceparent", value: Array(text.utf8))
        #expect(try self.decode(#"{"user":{"user_id":"a"}}"#, [header]).get().traceparent == (isOne ? text : nil))
    }

    /// All of them would read as U+FFFD: two users would be one.
    @Test(arguments: [#"a\ud800"#, #"\uDC00b"#, #"\ud83d\ud83d"#, #"\ud83d\u0041"#])
    func halfASurrogatePairIsNoID(id: String) {
        let user = self.refusal(self.decode(#"{"user":{"user_id":"\#(id)"}}"#))
        #expect(user.hasPrefix("\"user.user_id\" has half a surrogate pair"), "\(user)")
        let event = self.refusal(self.decode(#"{"id":"\#(id)","user":{"user_id":"a"}}"#))
        #expect(event.hasPrefix("\"id\" has half a surrogate pair"), "\(event)")
    }

    @Test(arguments: [
        (#"\ud83d\ude00"#, "😀"), ("\u{FFFD}", "\u{FFFD}"), (#"\ufffd"#, "\u{FFFD}"), (#"\\ud800"#, #"\ud800"#),
    ])
    func otherEscapesAreReadAsTheyAreMeant(text: String, id: String) throws {
        #expect(try self.decode(#"{"user":{"user_id":"\#(text)"}}"#).get().userID == id)
    }

    /// A rule host would make null of it, and publish that.
    @Test(arguments: ["1e400000", "-1E309", "1\(String(repeating: "0", count: 400))", "9e9999999999999999999"])
    func aNumberThatJavaScriptCannotHoldIsAFailure(number: String) {
        for event in [
            #"{"user":{"user_id":"a","n":[\#(number)]}}"#, #"{"user":{"user_id":"a"},"context":{"n":\#(number)}}"#,
        ] {
            let refusal = self.refusal(self.decode(event))
            #expect(refusal.hasPrefix("the value has a number beyond what JavaScript can hold"), "\(refusal)")
        }
    }

    @Test(arguments: ["1e308", "-1.7976931348623157e308", "0e999999", "1e-400000", "9007199254740993", "0.0000e400"])
    func otherNumbersAreTakenAsTheyAre(number: String) throws {
        #expect(try self.decode(#"{"user":{"user_id":"a","n":\#(number)}}"#).get().user["n"]?.description == number)
    }
}
