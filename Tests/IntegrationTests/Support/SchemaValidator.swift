import AfterloginJSON
import Foundation

/// Checks values against the JSON Schemas in `deploy/schemas`.
///
/// Knows the keywords that they use; any other is an error, so that nothing is passed over in silence.
struct SchemaValidator {
    struct UnknownKeyword: Error { let name: String }

    private let documents: [String: JSONValue]

    init(folder: String) throws {
        var documents: [String: JSONValue] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) where name.hasSuffix(".json") {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))
            documents[name] = try JSONValue(parsing: Array(bytes))
        }
        self.documents = documents
    }

    var names: [String] { self.documents.keys.sorted() }

    /// Everything that is wrong, each with the place of the value; empty where it fits.
    func problems(_ value: JSONValue, _ document: String) throws -> [String] {
        guard let schema = self.documents[document] else { return ["there is no \(document)"] }
        return try self.problems(value, schema, document, "$")
    }

    /// What a reference means, or nil.
    func resolve(_ reference: String, in document: String) -> (schema: JSONValue, document: String)? {
        let parts = reference.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        let name = parts[0].isEmpty ? document : String(parts[0])
        guard var schema = self.documents[name] else { return nil }
        for step in (parts.count > 1 ? parts[1] : "").split(separator: "/") {
            guard let next = schema[String(step)] else { return nil }
            schema = next
        }
        return (schema, name)
    }

    private func problems(
        _ value: JSONValue,
        _ schema: JSONValue,
        _ document: String,
        _ place: String
    ) throws -> [String] {
        var problems: [String] = []
        for (keyword, rule) in schema.object?.members ?? [] {
            switch keyword {
            case "$schema", "title", "description", "$defs": break
            case "$ref":
                guard let target = self.resolve(rule.string ?? "", in: document) else {
                    problems.append("\(place): \(rule) leads nowhere")
                    break
                }
                problems += try self.problems(value, target.schema, target.document, place)
            case "type":
                let types = rule.string.map { [$0] } ?? rule.array?.compactMap(\.string) ?? []
                if !types.contains(where: { Self.isOf($0, value) }) { problems.append("\(place): is no \(types)") }
            case "const": if value != rule { problems.append("\(place): is not \(rule)") }
            case "enum": if rule.array?.contains(value) != true { problems.append("\(place): is none of \(rule)") }
            case "required":
                for name in rule.array?.compactMap(\.string) ?? [] where value.object != nil && value[name] == nil {
                    problems.append("\(place): has no \(name)")
                }
            case "properties":
                for (name, member) in rule.object?.members ?? [] {
                    guard let inner = value[name] else { continue }
                    problems += try self.problems(inner, member, document, "\(place).\(name)")
                }
            case "additionalProperties":
                let known = schema["properties"]?.object
                for (name, inner) in value.object?.members ?? [] where known?[name] == nil {
                    if rule == .bool(false) { problems.append("\(place): has \(name)") }
                    if rule.object != nil {
                        problems += try self.problems(inner, rule, document, "\(place).\(name)")
                    }
                }
            case "items":
                for (index, inner) in (value.array ?? []).enumerated() {
                    problems += try self.problems(inner, rule, document, "\(place)[\(index)]")
                }
            case "minLength":
                if let text = value.string, text.unicodeScalars.count < rule.int ?? 0 {
                    problems.append("\(place): is too short")
                }
            case "minimum":
                if let number = value.double, number < rule.double ?? 0 { problems.append("\(place): is too small") }
            case "pattern":
                if let text = value.string, try text.firstMatch(of: Regex(rule.string ?? "")) == nil {
                    problems.append("\(place): \(text) does not match \(rule)")
                }
            case "oneOf":
                let fitting = try (rule.array ?? []).count { try self.problems(value, $0, document, place).isEmpty }
                if fitting != 1 { problems.append("\(place): fits \(fitting) of the forms") }
            default: throw UnknownKeyword(name: keyword)
            }
        }
        return problems
    }

    private static func isOf(_ type: String, _ value: JSONValue) -> Bool {
        switch type {
        case "object": value.object != nil
        case "array": value.array != nil
        case "string": value.string != nil
        case "null": value == .null
        case "integer": value.int != nil
        case "number": value.double != nil
        case "boolean": value.bool != nil
        default: false
        }
    }
}
