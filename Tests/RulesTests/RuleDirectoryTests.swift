import AfterloginRules
import AfterloginTestSupport
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
                "is skipped: it says \"enabled\": false",
                "is skipped: its stage is user_registration, and rules run at \"stage\": \"login_success\"",
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
        #expect(problems.contains { $0.reason == "\"order\" must be a whole number: write \"order\": 10" })
        #expect(problems.contains { $0.reason == "\"enabled\" must be true or false, without quotes" })
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
        #expect(directory.problems.count == 1 && directory.problems[0].file == "/nowhere/rules")
        #expect(directory.problems[0].reason.hasPrefix("there is no such folder: correct rules.directory"))
    }

    @Test func aScriptThatARuleRequiresIsAHelperAndNoNote() throws {
        let folder = try RuleFolder()
        try folder.add("rule", order: 1, "function (user, context, callback) { require('./helper'); callback(null); }")
        try folder.write("helper.js", "exports.other = require('./other.js');")
        try folder.write("other.js", "require('./helper'); exports.url = 'https://api.example/';")
        let directory = RuleDirectory(path: folder.path)
        #expect(directory.problems.isEmpty && directory.notes.isEmpty, "\(directory.notes)")
        #expect(directory.entries.first?.helpers.map(\.file) == ["helper", "other"].map { "\(folder.path)/\($0).js" })
    }

    @Test func theScriptOfASidecarIsTheRule() throws {
        let folder = try RuleFolder()
        try folder.write("named.json", #"{"order": 1, "enabled": true, "script": "./elsewhere.js"}"#)
        try folder.write("named.js", "function (user, context, callback) { throw new Error('not this'); }")
        try folder.write("elsewhere.js", Self.source)
        let directory = RuleDirectory(path: folder.path)
        #expect(directory.entries.map(\.source) == [Self.source] && directory.problems.isEmpty)
        // The one that is not run is named.
        #expect(directory.notes.map(\.file) == ["\(folder.path)/named.js"])
    }
}
