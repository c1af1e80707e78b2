import AfterloginJSON

/// What a host wrote against the contract; it ends the host.
struct ProtocolViolation: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Members of what a host wrote: a host is not trusted, so each is checked.
extension JSONText {
    /// The JSON of a message; an object.
    static func message(_ bytes: ArraySlice<UInt8>, _ what: String) throws(ProtocolViolation) -> JSONText {
        do {
            let text = try JSONText(validating: Array(bytes))
            if text.kind == .object { return text }
        } catch {
            throw ProtocolViolation("\(what) is not JSON: \(error)")
        }
        throw ProtocolViolation("\(what) is not an object")
    }
}

extension JSONText? {
    func string(_ what: String) throws(ProtocolViolation) -> String {
        guard let value = self?.string else { throw ProtocolViolation("\(what) is not a string") }
        return value
    }

    func integer(_ what: String) throws(ProtocolViolation) -> Int {
        guard let value = self?.int else { throw ProtocolViolation("\(what) is not a whole number") }
        return value
    }

    func strings(_ what: String) throws(ProtocolViolation) -> [String] {
        try self.array(what).map { element throws(ProtocolViolation) in try JSONText?.some(element).string(what) }
    }

    func array(_ what: String) throws(ProtocolViolation) -> [JSONText] {
        guard let self, self.kind == .array else { throw ProtocolViolation("\(what) is not an array") }
        return self.elements
    }

    /// The index of a rule; -1 where it is not known which one.
    func ruleIfKnown() throws(ProtocolViolation) -> Int? {
        let rule = try self.integer("the rule")
        return rule < 0 ? nil : rule
    }

    /// The index of one of these rules.
    func rule(of rules: Range<Int>) throws(ProtocolViolation) -> Int {
        let rule = try self.integer("the rule")
        guard rules.contains(rule) else { throw ProtocolViolation("rule \(rule) is not one of \(rules)") }
        return rule
    }
}
