import AfterloginHTTPMessages

/// What a native rule threw, as people read it: no type names of Swift's around its values.
enum NativeFailure {
    static func text(of error: any Error) -> String {
        if let failure = error as? HTTPFailure { return "\(failure.message) (\(failure.code))" }
        // What a type says of itself is meant to be read.
        if let description = self.ownDescription(error) { return description }
        let name = self.words("\(type(of: error))")
        let mirror = Mirror(reflecting: error)
        guard mirror.displayStyle == .enum else { return self.joined(name, self.values(mirror)) }
        guard let payload = mirror.children.first else { return self.joined(name, self.words("\(error)")) }
        let inner = Mirror(reflecting: payload.value)
        let values = inner.children.isEmpty ? "\(payload.value)" : self.values(inner)
        return self.joined(name, self.joined(self.words(payload.label ?? ""), values))
    }

    private static func ownDescription(_ error: Any) -> String? {
        (error as? any CustomStringConvertible)?.description
    }

    private static func joined(_ first: String, _ second: String) -> String {
        first.isEmpty || second.isEmpty ? first + second : "\(first): \(second)"
    }

    /// `status 500, path /search`.
    private static func values(_ mirror: Mirror) -> String {
        mirror.children.map { child in
            let label = child.label.flatMap { $0.hasPrefix(".") ? nil : self.words($0) }
            let value =
                Mirror(reflecting: child.value).displayStyle == .optional
                ? self.unwrapped(child.value) : "\(child.value)"
            return label.map { "\($0) \(value)" } ?? value
        }.joined(separator: ", ")
    }

    private static func unwrapped(_ value: Any) -> String {
        Mirror(reflecting: value).children.first.map { "\($0.value)" } ?? "none"
    }

    /// `UnexpectedStatus` as `unexpected status`.
    private static func words(_ name: String) -> String {
        var words = ""
        var wasUpper = true
        for character in name {
            let isUpper = character.isUppercase
            if isUpper, !wasUpper { words += " " }
            words += isUpper ? character.lowercased() : String(character)
            wasUpper = isUpper
        }
        return words
    }
}
