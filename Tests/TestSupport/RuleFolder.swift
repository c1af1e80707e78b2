import FoundationEssentials

/// A rules' folder in Deploy CLI layout that goes with its owner.
package final class RuleFolder {
    package let path: String

    package init() throws {
        self.path = FileManager.default.temporaryDirectory.appending(path: "afterlogin-rules-\(UUID())").path
        try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: true)
    }

    @discardableResult
    package func add(
        _ name: String,
        order: Int,
        enabled: Bool = true,
        stage: String = "login_success",
        _ source: String
    ) throws
        -> RuleFolder
    {
        try self.write("\(name).js", source)
        try self.write(
            "\(name).json",
            #"{"name":"\#(name)","order":\#(order),"enabled":\#(enabled),"stage":"\#(stage)","script":"./\#(name).js"}"#
        )
        return self
    }

    package func write(_ name: String, _ text: String) throws {
        let file = URL(filePath: "\(self.path)/\(name)")
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }

    deinit { try? FileManager.default.removeItem(atPath: self.path) }
}
