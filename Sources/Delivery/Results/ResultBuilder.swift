import AfterloginCryptography
import AfterloginJSON
package import AfterloginKafka
package import AfterloginRules
import AfterloginSystem

/// Builds the records of the result topics: CloudEvents 1.0 in structured JSON, and failures around the original bytes.
package struct ResultBuilder: Sendable {
    /// CloudEvents `source`.
    package var source: String
    /// Names of the rules, for the header `afterlogin-chain`.
    package var chain: [String]

    package init(source: String, chain: [String]) {
        self.source = source
        self.chain = chain
    }

    /// Headers that a failure carries begin with this; those of an earlier failure are replaced.
    private static let prefix = "afterlogin-"
    private static let contentType = KafkaHeader(
        name: "content-type",
        value: Array("application/cloudevents+json; charset=UTF-8".utf8)
    )

    package func update(_ event: LoginEvent, _ state: ChainState) -> ResultRecord {
        self.result(.update, "io.afterlogin.user.enriched", event, state, denial: nil)
    }

    package func denial(_ event: LoginEvent, _ state: ChainState, rule: String, message: String) -> ResultRecord {
        self.result(.denial, "io.afterlogin.login.denied", event, state, denial: (rule, message))
    }

    /// The key, value and headers of the original record, byte for byte, and headers that say what became of it.
    package func failure(_ record: KafkaRecord, _ failure: FailureDescription) -> ResultRecord {
        var headers = record.headers.filter { !$0.name.hasPrefix(Self.prefix) || $0.name == "afterlogin-redrives" }
        func add(_ name: String, _ value: String?) {
            guard let value else { return }
            headers.append(KafkaHeader(name: Self.prefix + name, value: Array(value.utf8)))
        }
        add("reason", failure.reason)
        add("message", failure.message)
        add("rule", failure.rule)
        add("place", failure.place)
        add("attempts", String(failure.attempts))
        add("first-attempt", failure.firstAttempt.map(Timestamp.text(milliseconds:)))
        add("last-attempt", failure.lastAttempt.map(Timestamp.text(milliseconds:)))
        add("topic", record.topicPartition.topic)
        add("partition", String(record.topicPartition.partition))
        add("offset", String(record.offset))
        add("timestamp", record.timestamp.map(String.init))
        add("chain", self.chain.joined(separator: ","))
        return ResultRecord(
            kind: .failure,
            key: record.key,
            value: record.value,
            headers: headers,
            reason: failure.reason
        )
    }

    /// The same, with what rules wrote before it, where they did.
    package func failure(_ event: LoginEvent, _ state: ChainState, _ failure: FailureDescription) -> ResultRecord {
        var record = self.failure(event.record, failure)
        if !state.metadata.isEmpty { record.preceding = [self.changes(event, state, failure)] }
        return record
    }

    /// SHA-256 over source, user id and event id, each behind its length in decimal and a colon, in hexadecimal.
    ///
    /// The lengths keep ("ab", "c") and ("a", "bc") apart. The same login gives the same id at every run.
    ///
    /// What is beside the login's result has its type as a fourth part.
    package func id(_ event: LoginEvent, _ type: String? = nil) -> String {
        let texts = [self.source, event.userID, event.id] + (type.map { [$0] } ?? [])
        let parts = texts.map { Array("\($0.utf8.count):\($0)".utf8) }
        return Digest.sha256Hexadecimal(parts)
    }

    private func result(
        _ kind: ResultRecord.Kind,
        _ type: String,
        _ event: LoginEvent,
        _ state: ChainState,
        denial: (rule: String, message: String)?
    ) -> ResultRecord {
        let (user, set, removed) = Self.user(event, state)
        var writer = JSONWriter()
        writer.reserveCapacity(user.bytes.count + 1_024)
        self.beginEvent(event, type, self.id(event), &writer)
        writer.member("user", user)
        writer.name("changes")
        writer.beginObject()
        Self.writeMetadata(state, &writer)
        if !set.isEmpty || !removed.isEmpty {
            writer.name("user")
            Self.write(set: set, removed: removed, &writer)
        }
        writer.endObject()
        self.writeClaims(event, state, &writer)
        Self.writeReports(state, &writer)
        if let denial {
            writer.name("denial")
            writer.beginObject()
            writer.member("name", denial.rule)
            writer.member("message", denial.message)
            writer.endObject()
        }
        Self.writePlace(event, &writer)
        writer.endObject()
        writer.endObject()
        return ResultRecord(
            kind: kind,
            key: Array(event.userID.utf8),
            value: writer.bytes,
            headers: [Self.contentType],
            reason: nil
        )
    }

    /// The user as the chain left it, and its root fields that differ from what the chain was given.
    ///
    /// Its id is the event's, as the subject and the key are: what is said of one account must not be written to another.
    private static func user(
        _ event: LoginEvent,
        _ state: ChainState
    ) -> (user: JSONText, set: [(name: String, value: JSONText)], removed: [String]) {
        let (set, removed) = self.difference(from: event.user, to: state.user)
        let id = "user_id"
        guard set.contains(where: { $0.name == id }) || removed.contains(id) else { return (state.user, set, removed) }
        var user = state.user.value
        user[id] = .string(event.userID)
        return (JSONText(user), set.filter { $0.name != id }, removed.filter { $0 != id })
    }

    /// `io.afterlogin.login.failed`: what Auth0 would have stored, though the login failed.
    private func changes(_ event: LoginEvent, _ state: ChainState, _ failure: FailureDescription) -> ResultRecord {
        var writer = JSONWriter()
        let type = "io.afterlogin.login.failed"
        self.beginEvent(event, type, self.id(event, type), &writer)
        writer.name("changes")
        writer.beginObject()
        Self.writeMetadata(state, &writer)
        writer.endObject()
        writer.name("failure")
        writer.beginObject()
        writer.member("reason", failure.reason)
        writer.member("message", failure.message)
        if let rule = failure.rule {
            writer.member("rule", rule)
        }
        writer.endObject()
        Self.writePlace(event, &writer)
        writer.endObject()
        writer.endObject()
        return ResultRecord(
            kind: .changes,
            key: Array(event.userID.utf8),
            value: writer.bytes,
            headers: [Self.contentType],
            reason: nil
        )
    }

    /// Up to the first member of `data`.
    private func beginEvent(_ event: LoginEvent, _ type: String, _ id: String, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("specversion", "1.0")
        writer.member("type", type)
        writer.member("id", id)
        writer.member("source", self.source)
        writer.member("subject", event.userID)
        writer.member("time", event.time)
        writer.member("datacontenttype", "application/json")
        if let traceparent = event.traceparent {
            writer.member("traceparent", traceparent)
        }
        writer.name("data")
        writer.beginObject()
    }

    private static func writeMetadata(_ state: ChainState, _ writer: inout JSONWriter) {
        for (name, part) in [("user_metadata", state.metadata.user), ("app_metadata", state.metadata.app)]
        where !part.isEmpty {
            writer.name(name)
            Self.write(set: part.set, removed: part.removed, &writer)
        }
    }

    private static func write(set: [(name: String, value: JSONText)], removed: [String], _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.name("set")
        writer.beginObject()
        for (name, value) in set {
            writer.member(name, value)
        }
        writer.endObject()
        writer.name("removed")
        writer.beginArray()
        for name in removed { writer.append(name) }
        writer.endArray()
        writer.endObject()
    }

    /// First-level members of `after` that are new or differ by value, and names that are gone.
    private static func difference(
        from before: JSONText,
        to after: JSONText
    ) -> (
        set: [(name: String, value: JSONText)], removed: [String]
    ) {
        // A chain that left the user alone hands on the very bytes that it was given.
        guard !before.hasSameBytes(as: after) else { return ([], []) }
        let new = after.members
        guard !before.isEmptyObject else { return (new, []) }
        let old = Dictionary(before.members.map { ($0.name, $0.value) }) { $1 }
        let names = Set(new.map(\.name))
        let set = new.filter { member in !(old[member.name]?.isEquivalent(to: member.value) ?? false) }
        return (set, before.members.map(\.name).filter { !names.contains($0) })
    }

    /// What rules put on `context.idToken` and `context.accessToken`.
    private func writeClaims(_ event: LoginEvent, _ state: ChainState, _ writer: inout JSONWriter) {
        writer.name("claims")
        writer.beginObject()
        let tokens = ["idToken", "accessToken"]
        let isUnchanged = event.context.hasSameBytes(as: state.context)
        let before = isUnchanged ? [] : event.context.members(tokens)
        let after = isUnchanged ? [] : state.context.members(tokens)
        for (index, after) in after.enumerated() {
            guard let after, after.kind == .object else { continue }
            let (set, _) = Self.difference(from: before[index] ?? .emptyObject, to: after)
            guard !set.isEmpty else { continue }
            writer.name(tokens[index])
            writer.beginObject()
            for (name, value) in set {
                writer.member(name, value)
            }
            writer.endObject()
        }
        writer.endObject()
    }

    private static func writeReports(_ state: ChainState, _ writer: inout JSONWriter) {
        writer.name("rules")
        writer.beginArray()
        for report in state.reports {
            writer.beginObject()
            writer.member("name", report.name)
            writer.member("outcome", report.outcome.rawValue)
            writer.member("milliseconds", (report.milliseconds * 1_000).rounded() / 1_000)
            writer.member("calls", report.calls)
            writer.member("attempts", report.attempts)
            if !report.warnings.isEmpty {
                writer.name("warnings")
                writer.beginArray()
                for warning in report.warnings { writer.append(warning) }
                writer.endArray()
            }
            writer.endObject()
        }
        writer.endArray()
        writer.name("unsupported")
        writer.beginArray()
        for effect in state.unsupported { writer.append(effect) }
        writer.endArray()
    }

    private static func writePlace(_ event: LoginEvent, _ writer: inout JSONWriter) {
        writer.name("login")
        writer.beginObject()
        writer.member("topic", event.record.topicPartition.topic)
        writer.member("partition", Int(event.record.topicPartition.partition))
        writer.member("offset", Int(event.record.offset))
        writer.member("id", event.id)
        writer.member("time", event.time)
        writer.endObject()
    }
}
