public import Afterlogin

/// The command line, with your own native rules.
public enum AfterloginCommand {
    /// Runs the command that the process was started with, and ends the process with its exit code.
    public static func main(rules: [any Rule] = []) async -> Never { fatalError("seam") }
}
