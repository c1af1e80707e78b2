import AfterloginJSON
import AfterloginTestSupport

/// Makes documents that are JSON, spelled in odd ways, and damages them.
struct RandomDocument {
    private var generator: SeededGenerator

    init(seed: UInt64) { self.generator = SeededGenerator(seed: seed) }

    private mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &self.generator)]
    }

    private mutating func space() -> String { self.pick(["", "", "", " ", "\n", "\t\r ", "        \n"]) }

    mutating func make(depth: Int = 0) -> String {
        let text: String
        switch Int.random(in: 0..<(depth < 6 ? 9 : 6), using: &self.generator) {
        case 0: text = self.pick(["null", "true", "false"])
        case 1, 2: text = self.number()
        case 3, 4, 5: text = self.string()
        case 6: text = "[" + self.list { $0.make(depth: depth + 1) } + "]"
        default:
            text = "{" + self.list { $0.space() + $0.string() + $0.space() + ":" + $0.make(depth: depth + 1) } + "}"
        }
        return self.space() + text + self.space()
    }

    private mutating func list(_ element: (inout RandomDocument) -> String) -> String {
        let count = self.pick([0, 1, 2, 3, 5, 20])
        guard count > 0 else { return self.space() }
        return (0..<count).map { _ in element(&self) }.joined(separator: ",")
    }

    private mutating func number() -> String {
        self.pick(["", "-"]) + self.pick(["0", "1", "42", "9007199254740993", "123456789012345678901234567890"])
            + self.pick(["", "", ".0", ".250", ".000001"]) + self.pick(["", "", "e0", "E+10", "e-7", "e400"])
    }

    private mutating func string() -> String {
        let parts = [
            "a", "name", "user_id", " ", "/", "0123456789", "é", "e\u{301}", "日本", "😀", "\u{7F}", "\u{2028}", "\\\"",
            "\\\\", "\\/", "\\b", "\\n", "\\u0041", "\\u00e9", "\\ud83d\\ude00", "\\ud800", "\\udc00x", "\\u0000",
        ]
        return "\"" + (0..<self.pick([0, 1, 1, 2, 3, 9])).map { _ in self.pick(parts) }.joined() + "\""
    }

    /// A document with a few bytes changed, removed, added or swapped.
    mutating func damage(_ document: String) -> [UInt8] {
        var bytes = Array(document.utf8)
        let interesting =
            Array("{}[]\",:\\/u0123456789eE+-.tfn \n\u{1}".utf8) + [0x80, 0xC0, 0xC3, 0xED, 0xA0, 0xF5, 0xFF]
        for _ in 0..<self.pick([1, 1, 2, 3]) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &self.generator)
            switch Int.random(in: 0..<4, using: &self.generator) {
            case 0: bytes[index] = self.pick(interesting)
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(self.pick(interesting), at: index)
            default: bytes.removeSubrange(index...)
            }
        }
        return bytes
    }
}
