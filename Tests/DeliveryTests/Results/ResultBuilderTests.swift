import AfterloginJSON
import AfterloginKafka
import Testing

@testable import AfterloginDelivery
@testable import AfterloginRules

@Suite(.timeLimit(.minutes(1)))
struct ResultBuilderTests {
    private func result(_ after: String) throws -> JSONValue {
        let value = #"{"user":{"user_id":"auth0|1","name":"Ada"}}"#
        let record = KafkaRecord(
            topicPartition: TopicPartition(topic: "logins", partition: 0),
            offset: 0,
            key: nil,
            value: Array(value.utf8)
        )
        let event = try NativeEventDecoder().decode(record).get()
        let state = ChainState(user: try JSONText(validating: Array(after.utf8)), context: event.context)
        let builder = ResultBuilder(source: "/afterlogin", chain: [])
        return try JSONValue(parsing: builder.update(event, state).value ?? [])
    }

    /// What it says of one account must not be written to another.
    @Test(arguments: [
        #"{"user_id":"auth0|2","name":"Bob"}"#, #"{"name":"Bob"}"#, #"{"user_id":null,"name":"Bob"}"#,
        #"{"user_id":["auth0|1"],"name":"Bob"}"#, #"{"user_id":"auth0|1","name":"Bob","user_id":"auth0|2"}"#,
    ])
    func aResultIsAboutTheLoginsOwnUser(after: String) throws {
        let result = try self.result(after)
        #expect(result["subject"] == "auth0|1")
        #expect(result["data"]?["user"]?["user_id"] == "auth0|1", "\(result)")
        #expect(result["data"]?["user"]?["name"] == "Bob")
        #expect(result["data"]?["changes"]?["user"] == ["set": ["name": "Bob"], "removed": []], "\(result)")
    }

    @Test func whatARuleChangesElsewhereIsPublished() throws {
        let result = try self.result(#"{"user_id":"auth0|1","nickname":"x"}"#)
        #expect(result["data"]?["user"] == ["user_id": "auth0|1", "nickname": "x"])
        #expect(result["data"]?["changes"]?["user"] == ["set": ["nickname": "x"], "removed": ["name"]])
        #expect(try self.result(#"{"user_id":"auth0|1","name":"Ada"}"#)["data"]?["changes"] == [:])
        let onlyID = try self.result(#"{"user_id":"auth0|2","name":"Ada"}"#)
        #expect(onlyID["data"]?["changes"] == [:] && onlyID["data"]?["user"]?["user_id"] == "auth0|1")
    }
}
