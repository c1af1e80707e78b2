/// Where the build put what the tests start.
enum BuiltProducts {
    /// Beside the bundle of the tests.
    static let confine: String = {
        let bundle = CommandLine.arguments.first { $0.contains("/afterloginPackageTests.xctest") }
        let folder = (bundle ?? "").split(separator: "/").prefix { $0 != "afterloginPackageTests.xctest" }
        return "/\(folder.joined(separator: "/"))/afterlogin-confine"
    }()

    static let javaScript: String = {
        let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        return "/\(root)/Sources/RuleHost/JavaScript"
    }()
}
