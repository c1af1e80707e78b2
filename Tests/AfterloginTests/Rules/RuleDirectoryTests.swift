import Afterlogin
import Testing

@Suite(.timeLimit(.minutes(1)))
struct RuleDirectoryTests {
    private static let source = "function rule(user, context, callback) { callback(null, user, context); }"

    @Test func enabledRulesOfTheLoginStageComeInOrder() throws {
        let folder = try RuleFolder()
        try folder.add("late", order: 20, Self.source)
        try folder.add("early", order: -1, Self.source)
        try folder.add("off", order: 5, enabled: false, Self.source)
        try folder.add("signup", order: 6, stage: "user_registration", Self.source)
        let directory = RuleDirectory(path: folder.path)
        #expect(directory.problems.isEmpty)
        #expect(directory.entries.map(\.name) == ["early", "late"])
        #expect(directory.entries.map(\.order) == [-1, 20])
        #expect(
            directory.notes.map(\.reason) == [
                "is skipped: it is not enabled", "is skipped: its stage is user_registration",
            ]
        )
    }

    @Test func aSidecarWithoutANameTakesTheFilesName() throws {
        let folder = try RuleFolder()
        try folder.write("plain.js", Self.source)
        try folder.write("plain.json", #"{"order": 3}"#)
        #expect(RuleDirectory(path: folder.path).entries.map(\.name) == ["plain"])
    }

    @Test func everyProblemIsFoundAtOnceWithItsPlace() throws {
        let folder = try RuleFolder()
        try folder.write("broken.js", Self.source)
        try folder.write("broken.json", "{\n  \"order\": 1,\n  oops\n}")
        try folder.write("typed.js", Self.source)
        try folder.write("typed.json", #"{"order": "first", "enabled": "yes"}"#)
        try folder.write("lone.json", #"{"order": 4, "enabled": true, "script": "./lone.js"}"#)
        let problems = RuleDirectory(path: folder.path).problems
        #expect(problems.contains { $0.file.hasSuffix("broken.json") && $0.line == 3 && $0.column == 3 })
        #expect(problems.contains { $0.reason == "\"order\" must be a whole number" })
        #expect(problems.contains { $0.reason == "\"enabled\" must be true or false" })
        #expect(problems.contains { $0.file.hasSuffix("lone.json") && $0.reason.hasPrefix("its script is missing") })
    }

    @Test func filesThatAreNoRulesAreNamedOrLeftAlone() throws {
        let folder = try RuleFolder()
        try folder.add("rule", order: 1, Self.source)
        try folder.write("helper.js", "module.exports = 1;")
        try folder.write("package.json", #"{"name": "rules", "dependencies": {}}"#)
        let directory = RuleDirectory(path: folder.path)
        #expect(directory.problems.isEmpty)
        #expect(directory.notes.count == 1)
        #expect(directory.notes.first?.file.hasSuffix("helper.js") == true)
    }

    @Test func aFolderThatIsNotThereIsAProblem() {
        let directory = RuleDirectory(path: "/nowhere/rules")
        #expect(directory.problems == [RuleProblem(file: "/nowhere/rules", reason: "the rules' folder can't be read")])
    }
}
