import AfterloginJSON
import AfterloginObservability
import AfterloginTestSupport
import Testing

@Suite(.timeLimit(.minutes(1)))
struct LogTests {
    private func line(_ format: Log.Format, _ message: String, _ fields: [(String, String)] = []) -> String {
        let lines = LogLines()
        let log = Log(level: .debug, redactor: Redactor(), format: format) { lines.append($0) }
        log.log(.info, message, fields)
        return lines.text
    }

    /// Control characters of eight bits, marks that turn the direction of writing, and line breaks within a line.
    private static let steering = [
        "\u{1B}[2J", "\u{9B}2J", "\u{85}", "\u{202E}", "\u{2066}", "\u{2069}", "\u{200F}", "\u{61C}", "\u{2028}",
        "\u{2029}", "\n", "\r", "\u{7F}", "\u{E0041}", "\u{FEFF}",
    ]

    @Test(arguments: Self.steering, [Log.Format.text, .json])
    func whatARulePrintsCannotSteerATerminal(text: String, format: Log.Format) throws {
        let line = self.line(format, "before\(text)after", [("field", "value\(text)")])
        #expect(line.unicodeScalars.count { $0 == "\n" } == 1 && line.hasSuffix("\n"))
        for scalar in text.unicodeScalars where !scalar.isASCII || scalar.value < 0x20 || scalar.value == 0x7F {
            #expect(!line.dropLast().unicodeScalars.contains(scalar), "\(line.debugDescription)")
        }
        guard format == .json else { return }
        // Nothing is lost: a program that reads the line gets what was said.
        let value = try JSONValue(parsing: Array(line.utf8.dropLast()))
        #expect(value["message"]?.string == "before\(text)after" && value["field"]?.string == "value\(text)")
    }

    @Test(arguments: [Log.Format.text, .json])
    func whatPeopleWriteStaysAsItIs(format: Log.Format) {
        let words = "Zoë 日本語 👩‍👩‍👧 ﷺ naïve"
        #expect(self.line(format, words).contains(words))
    }
}
