import AfterloginKafka
import AfterloginObservability
import AfterloginTestSupport
import Testing

@testable import AfterloginDelivery

@Suite(.timeLimit(.minutes(1)))
struct KafkaLogTests {
    /// What librdkafka tries again and again is not for people; what we say of the topic is.
    @Test func ofKafkaPeopleReadWhatItComesTo() {
        let lines = LogLines()
        let log = Log(level: .info, redactor: Redactor(), format: .text, write: lines.append)
        let refused = "broker 1: Connection refused"
        log.kafka(KafkaLogLine(level: 3, facility: "FAIL", text: refused))
        log.kafka(KafkaLogLine(level: 3, facility: "GETPID", text: "Failed to acquire idempotence PID"))
        log.kafka(KafkaLogLine(level: 4, facility: "SESSTMOUT", text: "session timed out"))
        log.kafka(KafkaLogLine(level: 3, facility: "TOPIC", text: "logins/0: made again", isOurs: true))
        let said = lines.text.split(separator: "\n").map { $0.dropFirst(13) }
        #expect(said == ["info: session timed out librdkafka=SESSTMOUT", "warning: logins/0: made again"])
    }
}
