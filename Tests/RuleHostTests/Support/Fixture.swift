import AfterloginJSON
import Foundation
import Testing

/// A message of worker and rule host as a file has it, for the tests of both languages.
struct Fixture: CustomTestStringConvertible, Sendable {
    /// What is special about the case.
    let what: String
    let kind: UInt8
    let evaluation: UInt32
    let message: JSONText
    /// The whole frame.
    let bytes: [UInt8]

    var testDescription: String { self.what }

    /// The cases of a file of `Tests/Contract`.
    static func all(_ name: String) throws -> [Fixture] {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let file = try Data(contentsOf: URL(filePath: "/\(root)/Contract/\(name).json"))
        return try JSONText(validating: Array(file)).elements.map { item in
            let parts = item.members(["what", "kind", "evaluation", "message", "bytes"])
            return Fixture(
                what: try #require(parts[0]?.string),
                kind: UInt8(try #require(parts[1]?.int)),
                evaluation: UInt32(try #require(parts[2]?.int)),
                message: try #require(parts[3]),
                bytes: try Self.bytes(parts[4])
            )
        }
    }

    /// Digits of the message as bytes.
    func bytes(_ name: String) throws -> [UInt8] { try Self.bytes(self.message[name]) }

    private static func bytes(_ digits: JSONText?) throws -> [UInt8] {
        let digits = Array(try #require(digits?.string))
        return try stride(from: 0, to: digits.count, by: 2).map {
            try #require(UInt8(String(digits[$0..<$0 + 2]), radix: 16))
        }
    }
}
