import AfterloginJSON
import Foundation
import Testing

/// One folder of `Tests/Folders/folders.json`, and what `check` says of it.
struct DoubtfulFolder: Sendable, CustomTestStringConvertible {
    let what: String
    private let files: [(name: String, bytes: Data)]
    private let words: [String]
    private let code: Int
    private let output: [String]
    private let errors: [String]

    var testDescription: String { self.what }

    static func all() throws -> [DoubtfulFolder] {
        let file = "\(Executables.repository)/Tests/Folders/folders.json"
        let list = try JSONValue(parsing: [UInt8](try Data(contentsOf: URL(fileURLWithPath: file))))
        return (list.array ?? []).map(DoubtfulFolder.init)
    }

    private init(_ value: JSONValue) {
        func texts(_ name: String) -> [String] { value[name]?.array?.compactMap(\.string) ?? [] }
        self.what = value["what"]?.string ?? ""
        self.files = (value["files"]?.object?.members ?? []).map { member in
            let encoded = member.value["base64"]?.string.flatMap { Data(base64Encoded: $0) }
            return (member.name, encoded ?? Data((member.value.string ?? "").utf8))
        }
        self.words = ["check"] + texts("set").flatMap { ["--set", $0] }
        self.code = value["code"]?.int ?? -1
        self.output = texts("output")
        self.errors = texts("errors")
    }

    func look() throws {
        let folder = try TemporaryFolder()
        for (name, bytes) in self.files {
            let file = URL(fileURLWithPath: "\(folder.path)/\(name)")
            let parent = file.deletingLastPathComponent()
            try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
            try bytes.write(to: file)
        }
        let process = try ChildProcess(Executables.afterlogin, self.words, in: folder.path)
        #expect(process.wait() == Int32(self.code))
        let paths = [folder.path, URL(fileURLWithPath: folder.path).resolvingSymlinksInPath().path]
        func lines(_ text: String) -> [String] {
            paths.reduce(text) { $0.replacingOccurrences(of: $1, with: "FOLDER") }.split(separator: "\n").map(
                String.init
            )
        }
        #expect(lines(process.standardOutputText) == self.output)
        #expect(lines(process.standardErrorText) == self.errors)
    }
}

@Suite("Folders that check is given", .timeLimit(.minutes(4)))
struct FolderTests {
    @Test(arguments: try DoubtfulFolder.all())
    func checkSaysWhatIsWrongAndWhereAndWhatToWriteInstead(_ folder: DoubtfulFolder) throws { try folder.look() }

    @Test func theFoldersAreThere() throws { #expect(try DoubtfulFolder.all().count >= 40) }
}
