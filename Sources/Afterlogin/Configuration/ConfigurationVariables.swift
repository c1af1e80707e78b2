import AfterloginSystem

/// What `${NAME}` and `${file:PATH}` in a value stand for, and which of the values are secrets.
struct ConfigurationVariables {
    private let environment: [String: String]
    /// What must not leave as text.
    private(set) var secrets: [String] = []
    /// The files that values came from.
    private(set) var secretFiles: [String] = []

    init(_ environment: [String: String]) { self.environment = environment }

    /// `${NAME}` and `${file:PATH}` replaced, `$${` made `${`; and what can't be had.
    ///
    /// The name of the key says whether its value is a secret. A file's path is relative to `folder`, where that is not empty.
    mutating func filled(
        _ text: String,
        of path: String,
        in folder: String
    ) -> (text: String, objections: [String]) {
        var output = ""
        var objections: [String] = []
        var rest = text[...]
        while let start = rest.firstRange(of: "${") {
            output += rest[..<start.lowerBound]
            if rest[..<start.lowerBound].last == "$" {
                output.removeLast()
                output += "${"
                rest = rest[start.upperBound...]
                continue
            }
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
                return (output, objections + ["${ without }"])
            }
            let name = String(rest[start.upperBound..<end])
            do throws(Objection) {
                output += try self.value(of: name, folder)
            } catch {
                objections.append(error.message)
            }
            rest = rest[rest.index(after: end)...]
        }
        output += rest
        if Self.isSecretName(path) { self.addNamed(output) }
        return (output, objections)
    }

    /// What the file marks as a secret, whatever its name.
    mutating func add(_ secret: String) { self.secrets.append(secret) }

    /// A value whose name says that it is a secret: of an address only user and password are.
    private mutating func addNamed(_ value: String) {
        guard let scheme = value.firstRange(of: "://"), !value.contains(where: \.isWhitespace) else {
            return self.secrets.append(value)
        }
        let authority = value[scheme.upperBound...].prefix { !"/?#".contains($0) }
        guard let at = authority.lastIndex(of: "@") else { return }
        let user = authority[..<at]
        self.secrets.append(String(user))
        if let colon = user.firstIndex(of: ":") { self.secrets.append(String(user[user.index(after: colon)...])) }
    }

    private struct Objection: Error {
        var message: String
    }

    private mutating func value(of name: String, _ folder: String) throws(Objection) -> String {
        guard name.hasPrefix("file:") else {
            guard let value = self.environment[name] else {
                throw Objection(message: "the environment has no \(name): set it where afterlogin is started")
            }
            if Self.isSecretName(name) { self.addNamed(value) }
            return value
        }
        let given = String(name.dropFirst("file:".count))
        let file = given.hasPrefix("/") || folder.isEmpty ? given : "\(folder)/\(given)"
        let bytes: [UInt8]
        do {
            bytes = try SmallFile.read(file)
        } catch {
            throw Objection(
                message:
                    "the file \(file) can't be read: \(error); the user that runs afterlogin must be able to read it"
            )
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Objection(message: "the file \(file) is not UTF-8: save it in that encoding")
        }
        // Editors and `echo` put a line feed at the end.
        var value = Substring(text)
        while let last = value.last, last.isNewline { value.removeLast() }
        self.secrets.append(String(value))
        self.secretFiles.append(file)
        return String(value)
    }

    private static func isSecretName(_ name: String) -> Bool {
        let name = name.lowercased()
        // A client's id is public, and its assertion's method is a name.
        guard !name.hasSuffix("client_id"), !name.hasPrefix("tokens."), name != "tenant.token_url",
            name != "tenant.token_request"
        else { return false }
        return ["secret", "password", "passwd", "token", "apikey", "credential", "sasl.jaas", "key.pem"]
            .contains { name.contains($0) } || name.hasSuffix("_key")
    }
}
