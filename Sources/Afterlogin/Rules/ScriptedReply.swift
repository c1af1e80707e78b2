import JSON

/// The head of a `done` frame, checked.
struct ScriptedReply {
    enum Outcome: String { case completed, denied, error, timeout, limit }

    struct RuleTimes {
        var milliseconds: Double
        var late: [String]
    }

    /// What a rule host must not say.
    struct Nonsense: Error, CustomStringConvertible { let description: String }

    /// Late notes kept per rule.
    private static let maxLate = 10

    let outcome: Outcome
    /// Which rule of the run ended it, from 0; nil when all completed.
    let endedBy: Int?
    let message: String
    /// By the host's index.
    let rules: [Int: RuleTimes]
    let userMetadata: JSONText?
    let appMetadata: JSONText?
    let unsupported: [String]

    init(_ head: JSONText, firstIndex: Int, count: Int) throws(Nonsense) {
        guard let outcome = head["outcome"]?.string.flatMap(Outcome.init(rawValue:)) else {
            throw Nonsense(description: "the outcome is unknown")
        }
        self.outcome = outcome
        if outcome == .completed {
            self.endedBy = nil
        } else {
            guard let rule = head["rule"]?.integer, (firstIndex..<firstIndex + count).contains(rule) else {
                throw Nonsense(description: "the rule is unknown")
            }
            self.endedBy = rule - firstIndex
        }
        self.message = Self.message(head["error"])
        var rules: [Int: RuleTimes] = [:]
        for entry in head["rules"]?.elements ?? [] {
            guard let rule = entry["rule"]?.integer else { continue }
            rules[rule] = RuleTimes(
                milliseconds: entry["ms"]?.double ?? 0,
                late: (entry["late"]?.elements ?? []).prefix(Self.maxLate).compactMap(\.string)
            )
        }
        self.rules = rules
        self.userMetadata = head["userMetadata"]
        self.appMetadata = head["appMetadata"]
        self.unsupported = (head["unsupported"]?.elements ?? []).compactMap(\.string).filter {
            $0 == "redirect" || $0 == "multifactor"
        }
    }

    /// `Error: text`, as people read it; the name only where it says something.
    private static func message(_ error: JSONText?) -> String {
        let text = error?["message"]?.string ?? ""
        let name = error?["name"]?.string ?? "Error"
        let code = error?["code"]?.string.map { " (\($0))" } ?? ""
        if name == "UnauthorizedError" { return text }
        return (name == "Error" && !text.isEmpty ? text : "\(name): \(text)") + code
    }
}

extension JSONText {
    /// The whole number, or nil.
    var integer: Int? {
        guard self.kind == .number else { return nil }
        return Int(String(decoding: self.bytes, as: UTF8.self))
    }

    /// The number, or nil.
    var double: Double? {
        guard self.kind == .number else { return nil }
        return Double(String(decoding: self.bytes, as: UTF8.self))
    }
}
