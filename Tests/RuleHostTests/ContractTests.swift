import AfterloginJSON
import Testing

@testable import AfterloginRuleHost

/// The same files are read by the tests of the host's JavaScript, in the other direction.
@Suite("The contract of worker and rule host", .timeLimit(.minutes(1)))
struct ContractTests {
    private func written(_ body: (inout FrameWriter) throws -> Void) rethrows -> [UInt8] {
        var writer = FrameWriter()
        try body(&writer)
        return Array(writer.unwritten)
    }

    /// The one frame of a case, as a host writes it.
    private func frame(_ fixture: Fixture) throws -> Frame {
        var decoder = FrameDecoder(maxFrameBytes: 1 << 20)
        decoder.received(fixture.bytes[...])
        let frame = try #require(try decoder.next())
        #expect(frame.kind.rawValue == fixture.kind)
        #expect(frame.evaluation == fixture.evaluation)
        #expect(try decoder.next() == nil)
        return frame
    }

    private func secret(_ fixture: Fixture) throws -> EvaluationSecret {
        var frame = Frame(kind: .done, evaluation: 0, payload: try fixture.bytes("secret")[...])
        return try frame.takeSecret()
    }

    // MARK: Worker to host

    @Test(arguments: try Fixture.all("load"))
    func loadIsWrittenAsAgreed(_ fixture: Fixture) throws {
        let message = fixture.message
        var configuration = RuleHostConfiguration()
        configuration.rulesDirectory = message["directory"]?.string
        configuration.moduleDirectories = (message["moduleDirectories"]?.elements ?? []).compactMap(\.string)
        let limits = try #require(message["limits"])
        configuration.turn = .milliseconds(try #require(limits["turn"]?.int))
        configuration.memoryBytes = try #require(limits["memory"]?.int)
        var load = LoadMessage()
        load.configuration = JSONObject()
        for (name, value) in message["configuration"]?.members ?? [] { load.configuration[name] = value.value }
        load.tenantDomain = try #require(message["tenant"]?["domain"]?.string)
        load.reach = message["reach"]?.elements.compactMap(\.string)
        load.maxConsoleBytes = try #require(limits["consoleBytes"]?.int)
        load.quiet = .milliseconds(try #require(limits["quiet"]?.int))
        load.maxBodyBytes = try #require(limits["maxBodyBytes"]?.int)
        load.rules = try (message["rules"]?.elements ?? []).map { rule in
            LoadMessage.Rule(
                name: try #require(rule["name"]?.string),
                file: try #require(rule["file"]?.string),
                source: try #require(rule["source"]?.string)
            )
        }
        let bytes = self.written { $0.append(.load, 0, .bytes(load.encoded(for: configuration)[...])) }
        #expect(bytes == fixture.bytes)
    }

    @Test(arguments: try Fixture.all("evaluate"))
    func evaluateIsWrittenAsAgreed(_ fixture: Fixture) throws {
        let head = try #require(fixture.message["head"])
        let evaluation = Evaluation(
            rules: try #require(head["from"]?.int)..<(try #require(head["to"]?.int)),
            timeout: .milliseconds(try #require(head["timeout"]?.int)),
            accessToken: head["accessToken"]?.string,
            userID: head["userId"]?.string,
            user: try JSONText(validating: Array(try #require(fixture.message["user"]?.string).utf8)),
            context: try JSONText(validating: Array(try #require(fixture.message["context"]?.string).utf8)),
            deadline: .seconds(1)
        )
        let secret = try self.secret(fixture)
        let bytes = self.written {
            evaluation.append(to: &$0, alone: fixture.kind == 8, number: fixture.evaluation, secret: secret)
        }
        #expect(bytes == fixture.bytes)
    }

    @Test(arguments: try Fixture.all("response"))
    func aResponseIsWrittenAsAgreed(_ fixture: Fixture) throws {
        let head = try #require(fixture.message["head"])
        let response = HostResponse(
            status: try #require(head["status"]?.int),
            reason: try #require(head["reason"]?.string),
            headers: try (head["headers"]?.elements ?? []).map {
                (name: try #require($0[0]?.string), value: try #require($0[1]?.string))
            },
            body: try fixture.bytes("body"),
            failedSo: head["failedSo"]?.bool ?? false
        )
        try self.expect(.response(response), fixture)
    }

    @Test(arguments: try Fixture.all("failed"))
    func aFailureIsWrittenAsAgreed(_ fixture: Fixture) throws {
        let failure = try #require(fixture.message["failure"])
        let message = HostFailure(
            code: try #require(failure["code"]?.string),
            message: try #require(failure["message"]?.string),
            syscall: failure["syscall"]?.string,
            address: failure["address"]?.string,
            port: failure["port"]?.int,
            failedSo: failure["failedSo"]?.bool ?? false
        )
        try self.expect(.failed(message), fixture)
    }

    private func expect(_ reply: HostReply, _ fixture: Fixture) throws {
        let request = UInt32(try #require(fixture.message["request"]?.int))
        let bytes = self.written {
            reply.encoded().append(to: &$0, evaluation: fixture.evaluation, request: request)
        }
        #expect(bytes == fixture.bytes)
    }

    @Test(arguments: [("cancel", FrameKind.cancel), ("end", .end), ("ping", .ping), ("retire", .retire)])
    func whatHasNoPayloadIsWrittenAsAgreed(_ name: String, _ kind: FrameKind) throws {
        for fixture in try Fixture.all(name) {
            let bytes = self.written { $0.append(kind, fixture.evaluation) }
            #expect(bytes == fixture.bytes)
        }
    }

    // MARK: Host to worker

    @Test(arguments: try Fixture.all("loaded"))
    func loadedIsReadAsAgreed(_ fixture: Fixture) throws {
        let reply = try LoadReply(try self.frame(fixture).payload)
        #expect(reply.nodeVersion == fixture.message["node"]?.string)
        self.expect(reply.notes, fixture.message["notes"], "text")
        let files = fixture.message["tokenFiles"]?.elements ?? []
        #expect(reply.tokenFiles.map(\.file) == files.map { $0["file"]?.string })
        #expect(reply.tokenFiles.map(\.source) == files.map { $0["source"]?.string })
        #expect(reply.tokenFiles.map(\.rules) == files.map { $0["rules"]?.elements.compactMap(\.string) })
    }

    @Test(arguments: try Fixture.all("refused"))
    func aRefusalIsReadAsAgreed(_ fixture: Fixture) throws {
        let refusal = try RuleHostRefusal(try self.frame(fixture).payload)
        self.expect(refusal.problems, fixture.message["problems"], "reason")
        self.expect(refusal.notes, fixture.message["notes"], "text")
    }

    private func expect(_ remarks: [RuleRemark], _ list: JSONText?, _ key: String) {
        #expect(remarks.map(\.text) == list?.elements.map { $0[key]?.string })
        #expect(remarks.map(\.rule) == list?.elements.map { $0["rule"]?.string })
        #expect(remarks.map(\.file) == list?.elements.map { $0["file"]?.string })
        #expect(remarks.map(\.line) == list?.elements.map { $0["line"]?.int })
        #expect(remarks.map(\.column) == list?.elements.map { $0["column"]?.int })
    }

    @Test(arguments: try Fixture.all("done"))
    func aResultIsReadAsAgreed(_ fixture: Fixture) throws {
        var frame = try self.frame(fixture)
        #expect(try frame.takeSecret() == self.secret(fixture))
        let reply = try EvaluationReply(&frame, rules: 0..<3)
        let head = try #require(fixture.message["head"])
        #expect(reply.outcome.rawValue == head["outcome"]?.string)
        #expect(reply.rule == head["rule"]?.int)
        #expect(reply.error?.name == head["error"]?["name"]?.string)
        #expect(reply.error?.message == head["error"]?["message"]?.string)
        #expect(reply.error?.code == head["error"]?["code"]?.string)
        #expect(reply.error?.stack == head["error"]?["stack"]?.string)
        let rules = try #require(head["rules"]?.elements)
        #expect(reply.rules.map(\.rule) == rules.map { $0["rule"]?.int })
        #expect(reply.rules.map(\.milliseconds) == rules.map { $0["ms"]?.number?.double })
        #expect(reply.rules.map(\.calls) == rules.map { $0["calls"]?.int })
        #expect(reply.rules.map(\.late) == rules.map { $0["late"]?.elements.map(\.string) })
        self.expect(reply.writes, head)
        func text(_ name: String) -> String? { fixture.message[name]?.string.flatMap { $0.isEmpty ? nil : $0 } }
        #expect(reply.user?.description == text("user"))
        #expect(reply.context?.description == text("context"))
        #expect((reply.before == nil) == (head["before"] == nil))
        if let before = reply.before, let expected = head["before"] {
            #expect(before.rule == expected["rule"]?.int)
            #expect(before.isBorrowed == (expected["borrowed"]?.bool == true))
            #expect(before.user?.description == text("beforeUser"))
            #expect(before.context?.description == text("beforeContext"))
            self.expect(before.writes, expected)
        }
    }

    private func expect(_ writes: RuleWrites, _ head: JSONText) {
        let nothing = #"{"set":{},"removed":[]}"#
        func changes(_ name: String) -> String? {
            let text = head[name].map { JSONText($0.value).description }
            return text == nothing ? nil : text
        }
        #expect(writes.userMetadata?.description == changes("userMetadata"))
        #expect(writes.appMetadata?.description == changes("appMetadata"))
        #expect(writes.unsupported == head["unsupported"]?.elements.compactMap(\.string))
    }

    @Test(arguments: try Fixture.all("request"))
    func aRequestIsReadAsAgreed(_ fixture: Fixture) throws {
        var frame = try self.frame(fixture)
        #expect(try frame.takeSecret() == self.secret(fixture))
        let request = try HostRequest(&frame, rules: 0..<3) { _, _ in }
        let head = try #require(fixture.message["head"])
        #expect(Int(request.number) == fixture.message["request"]?.int)
        #expect(request.rule == head["rule"]?.int)
        #expect(request.method == head["method"]?.string)
        #expect(request.url == head["url"]?.string)
        #expect(
            request.headers.map { [$0.name, $0.value] }
                == head["headers"]?.elements.map { [$0[0]?.string, $0[1]?.string] }
        )
        #expect(request.remaining == .milliseconds(try #require(head["remaining"]?.int)))
        #expect(request.body == (try fixture.bytes("body")))
    }

    @Test(arguments: try Fixture.all("console"))
    func aLineIsReadAsAgreed(_ fixture: Fixture) throws {
        let line = try ConsoleLine(try self.frame(fixture).payload)
        #expect((line.rule ?? -1) == fixture.message["rule"]?.int)
        #expect(line.level.rawValue == fixture.message["level"]?.string)
        #expect(line.text == fixture.message["text"]?.string)
    }

    @Test(arguments: try Fixture.all("warning"))
    func aWarningIsReadAsAgreed(_ fixture: Fixture) throws {
        let warning = try HostWarning(try self.frame(fixture).payload)
        #expect((warning.rule ?? -1) == fixture.message["rule"]?.int)
        #expect(warning.kind == fixture.message["kind"]?.string)
        #expect(warning.text == fixture.message["text"]?.string)
    }

    @Test(arguments: try Fixture.all("waits"))
    func waitsIsReadAsAgreed(_ fixture: Fixture) throws {
        var frame = try self.frame(fixture)
        #expect(try frame.takeSecret() == self.secret(fixture))
        #expect(try WaitsMessage(frame, rules: 0..<3).rule == fixture.message["rule"]?.int)
    }

    @Test func aCancelledRequestAndAPongAreReadAsAgreed() throws {
        for fixture in try Fixture.all("cancelRequest") {
            var frame = try self.frame(fixture)
            #expect(Int(try frame.takeNumber()) == fixture.message["request"]?.int)
        }
        for fixture in try Fixture.all("pong") { #expect(try self.frame(fixture).payload.isEmpty) }
    }
}
