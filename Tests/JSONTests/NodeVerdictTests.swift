import AfterloginJSON
import Foundation
import Testing

/// `JSON.parse` itself, where Node is at hand.
enum Node {
    static let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        .map { "\($0)/node" }.first { FileManager.default.isExecutableFile(atPath: $0) }

    /// For each document `JSON.stringify(JSON.parse(document))`, or nil where it is refused.
    static func normalize(_ documents: [[UInt8]]) throws -> [String?] {
        let script = """
            const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
            const lines = require('fs').readFileSync(0, 'latin1').split('\\n').slice(0, -1);
            console.log(lines.map((line) => {
                try { return '+' + JSON.stringify(JSON.parse(decoder.decode(Buffer.from(line, 'base64')))); }
                catch { return '-'; }
            }).join('\\n'));
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: self.path ?? "")
        process.arguments = ["-e", script]
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID())")
        try Data(documents.map { Data($0).base64EncodedString() + "\n" }.joined().utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        process.standardInput = try FileHandle(forReadingFrom: file)
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { line in
            line.first == "+" ? String(line.dropFirst()) : nil
        }
    }
}

@Suite(.timeLimit(.minutes(1)), .enabled(if: Node.path != nil, "node is not installed"))
struct NodeVerdictTests {
    @Test
    func nodeAgreesWithTheTableOfHostileInputs() throws {
        let verdicts = try Node.normalize(HostileInput.all.map(\.bytes))
        try #require(verdicts.count == HostileInput.all.count)
        for (input, verdict) in zip(HostileInput.all, verdicts) {
            #expect((verdict != nil) == input.isAccepted, "\(input.testDescription)")
        }
    }

    @Test
    func nodeAgreesOnDamagedDocuments() throws {
        let documents = (UInt64(10_000)..<13_000).map { seed in
            var random = RandomDocument(seed: seed)
            let document = random.make(depth: 3)
            return seed.isMultiple(of: 3) ? Array(document.utf8) : random.damage(document)
        }
        let verdicts = try Node.normalize(documents)
        try #require(verdicts.count == documents.count)
        for (document, verdict) in zip(documents, verdicts) {
            let value = try? JSONValue(parsing: document)
            #expect((value != nil) == (verdict != nil), "\(String(decoding: document, as: UTF8.self))")
            // Numbers become doubles in Node, and integer names move to the front: the rest must be the same value.
            guard let value, let verdict else { continue }
            #expect(try self.rounded(value) == self.rounded(JSONValue(parsing: Array(verdict.utf8))), "\(verdict)")
        }
    }

    private func rounded(_ value: JSONValue) -> JSONValue {
        switch value {
        case .number(let number): JSONValue(number.double)
        case .array(let elements): .array(elements.map(self.rounded))
        case .object(let object): JSONValue(object.members.map { ($0.name, self.rounded($0.value)) })
        case .null, .bool, .string: value
        }
    }
}
