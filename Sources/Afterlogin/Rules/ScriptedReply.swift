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
        let parts = head.members(["outcome", "rule", "error", "rules", "userMetadata", "appMetadata", "unsupported"])
        guard let outcome = parts[0]?.string.flatMap(Outcome.init(rawValue:)) else {
            throw Nonsense(description: "the outcome is unknown")
        }
        self.outcome = outcome
        if outcome == .completed {
            self.endedBy = nil
        } else {
            guard let rule = parts[1]?.integer, (firstIndex..<firstIndex + count).contains(rule) else {
                throw Nonsense(description: "the rule is unknown")
            }
            self.endedBy = rule - firstIndex
        }
        self.message = Self.message(parts[2])
        var rules: [Int: RuleTimes] = [:]
        for entry in parts[3]?.elements ?? [] {
            let entry = entry.members(["rule", "ms", "late"])
            guard let rule = entry[0]?.integer else { continue }
            rules[rule] = RuleTimes(
                milliseconds: entry[1]?.double ?? 0,
                late: (entry[2]?.elements ?? []).prefix(Self.maxLate).compactMap(\.string)
            )
        }
        self.rules = rules
        self.userMetadata = parts[4]
        self.appMetadata = parts[5]
        self.unsupported = (parts[6]?.elements ?? []).compactMap(\.string).filter {
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
