import AfterloginSystem

/// Takes secrets out of text that leaves the worker.
///
/// What it knows: the secrets of the configuration, every token that was fetched, and the shapes that secrets have in HTTP and OAuth. Both are
/// searched for in the text and in what is behind its percent-encoding and its escapes (`DecodedText`), one inside the other. Linear in the
/// length of the text, whatever the text is.
package final class Redactor: Sendable {
    /// Tokens learnt at run time that are remembered; the oldest are forgotten.
    private static let maxLearnt = 2_000
    /// What is looked at; longer text is cut before, and its end, where a secret may be cut in two, is dropped.
    private static let maxBytes = 1 << 20
    private static let overlap = 16 << 10

    private struct State {
        var index = SecretIndex()
        var learnt: [[[UInt8]]] = []
        var next = 0
    }

    private let state: Mutex<State>

    package init(secrets: [String] = []) {
        var state = State()
        for secret in secrets { for form in Self.forms(secret) { state.index.insert(form) } }
        self.state = Mutex(state)
    }

    /// A token or secret learnt at run time.
    package func add(_ secret: String) {
        let forms = Self.forms(secret)
        guard !forms.isEmpty else { return }
        self.state.withLock { state in
            for form in forms { state.index.insert(form) }
            if state.learnt.count < Self.maxLearnt {
                state.learnt.append(forms)
            } else {
                for form in state.learnt[state.next] { state.index.remove(form) }
                state.learnt[state.next] = forms
                state.next = (state.next + 1) % Self.maxLearnt
            }
        }
    }

    /// Known secrets, bearer and basic credentials, JWTs, private keys, members such as `client_secret`, and passwords in addresses, each replaced by `[redacted]`.
    ///
    /// The result has `limit` bytes at most, and an ellipsis where it was cut.
    ///
    /// Without `shapes` only secrets that are known: for a text of our own, which may well say "client_secret: is missing".
    package func redact(_ text: String, limit: Int = 2_000, shapes: Bool = true) -> String {
        var bytes = Array(text.utf8.prefix(Self.maxBytes))
        if text.utf8.count > Self.maxBytes { bytes.removeLast(Self.overlap) }
        let index = self.state.withLock(\.index)
        var ranges = index.matches(in: bytes) + (shapes ? SecretShapes.matches(in: bytes) : [])
        if DecodedText.isNeeded(bytes) { ranges += Self.encodedMatches(in: bytes, index, shapes: shapes) }
        guard !ranges.isEmpty || bytes.count > limit else { return text }
        return Self.cut(Self.replace(ranges, in: bytes), limit)
    }

    /// An address in a parameter of an address, in a JSON text within another one: deeper than this nobody writes them.
    private static let deepestEncoding = 4

    private static func encodedMatches(in text: [UInt8], _ index: SecretIndex, shapes: Bool) -> [Range<Int>] {
        // Nearly always there is nothing, and nobody needs to know where it would have been.
        guard self.hasEncodedMatch(text, index, shapes: shapes) else { return [] }
        var ranges: [Range<Int>] = []
        var levels = [DecodedText(text, mapped: true)]
        while let level = levels.last, level.hasChanged {
            let matches = index.matches(in: level.bytes) + (shapes ? SecretShapes.matches(in: level.bytes) : [])
            ranges += matches.map { match in levels.reversed().reduce(match) { $1.source(of: $0) } }
            guard levels.count < Self.deepestEncoding else { break }
            levels.append(DecodedText(level.bytes, mapped: true))
        }
        return ranges
    }

    private static func hasEncodedMatch(_ text: [UInt8], _ index: SecretIndex, shapes: Bool) -> Bool {
        var bytes = text
        for _ in 0..<self.deepestEncoding where DecodedText.isNeeded(bytes) {
            let level = DecodedText(bytes, mapped: false)
            guard level.hasChanged else { return false }
            if !index.matches(in: level.bytes).isEmpty { return true }
            if shapes, level.mayHaveNewShapes, !SecretShapes.matches(in: level.bytes).isEmpty { return true }
            bytes = level.bytes
        }
        return false
    }

    private static func replace(_ ranges: [Range<Int>], in bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var position = 0
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if range.lowerBound >= position {
                output += bytes[position..<range.lowerBound]
                output += Array("[redacted]".utf8)
            }
            position = max(position, range.upperBound)
        }
        return output + bytes[position...]
    }

    private static func cut(_ bytes: [UInt8], _ limit: Int) -> String {
        guard bytes.count > limit else { return String(decoding: bytes, as: UTF8.self) }
        var end = max(0, limit - 3)
        while end > 0, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        return String(decoding: bytes[..<end], as: UTF8.self) + "…"
    }

    /// As it is, and each of its lines: a key of several is printed line by line.
    ///
    /// Shorter than four bytes would take ordinary words away; so would a line that is short.
    private static func forms(_ secret: String) -> [[UInt8]] {
        let bytes = Array(secret.utf8)
        guard bytes.count >= SecretIndex.prefixBytes else { return [] }
        guard bytes.contains(0x0A) else { return [bytes] }
        let lines = bytes.split { $0 == 0x0A || $0 == 0x0D }.filter { $0.count >= 16 && !$0.starts(with: "-----".utf8) }
        return [bytes] + lines.map(Array.init)
    }
}
