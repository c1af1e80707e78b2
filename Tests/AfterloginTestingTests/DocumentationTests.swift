import Foundation
import Testing

/// What the pages show is what is built: their Swift stands in the example, which `deploy/test` builds and tests.
@Suite(.timeLimit(.minutes(1)))
struct DocumentationTests {
    private static let repository = URL(fileURLWithPath: #filePath + "/../../..").standardized

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: self.repository.appendingPathComponent(path), encoding: .utf8)
    }

    /// The texts between "```swift" and "```".
    private static func swift(in page: String) -> [String] {
        page.components(separatedBy: "\n```swift\n").dropFirst()
            .compactMap { $0.components(separatedBy: "\n```").first }
    }

    @Test(arguments: [("WritingARule", 3), ("TestingARule", 2)])
    func thePagesShowCodeThatIsBuilt(page: String, count: Int) throws {
        let example = "deploy/examples/native-rule/"
        let sources = try [
            "Package.swift", "Sources/my-afterlogin/main.swift", "Sources/CustomerRules/CustomerNumberRule.swift",
            "Tests/CustomerRulesTests/CustomerNumberRuleTests.swift",
        ].map { try Self.text(example + $0) }
        let blocks = Self.swift(in: try Self.text("Sources/Afterlogin/Afterlogin.docc/\(page).md"))
        #expect(blocks.count == count)
        for block in blocks { #expect(sources.contains { $0.contains(block) }, "\(block)") }
    }
}
