import Foundation
import Testing

/// A program that a test starts, signals and waits for; its output goes to files.
///
/// Killed when the test forgets it.
final class ChildProcess {
    struct Unfinished: Error, CustomStringConvertible { let description: String }

    private let process = Process()
    private let folder: TemporaryFolder
    /// A test that waits longer than this has found a hang.
    static let patience: TimeInterval = 120

    init(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        input: String? = nil,
        errors: FileHandle? = nil,
        in directory: String? = nil
    ) throws {
        self.folder = try TemporaryFolder()
        self.process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        self.process.arguments = [program] + arguments
        // What is for the tests is not configuration of the worker.
        let inherited = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("AFTERLOGIN_") }
        self.process.environment = inherited.merging(environment) { $1 }
        if let directory { self.process.currentDirectoryURL = URL(fileURLWithPath: directory) }
        self.process.standardOutput = try self.folder.handle(for: "stdout")
        self.process.standardError = try errors ?? self.folder.handle(for: "stderr")
        if let input {
            try self.folder.write(input, to: "stdin")
            self.process.standardInput = FileHandle(forReadingAtPath: self.folder.path + "/stdin")
        } else {
            self.process.standardInput = FileHandle.nullDevice
        }
        try self.process.run()
    }

    var identifier: Int32 { self.process.processIdentifier }
    var isRunning: Bool { self.process.isRunning }
    var standardOutputText: String { self.folder.text("stdout") }
    var standardErrorText: String { self.folder.text("stderr") }

    func send(_ signal: Int32) { _ = Foundation.kill(self.identifier, signal) }

    /// SIGKILL, and gone when this returns.
    func kill() {
        guard self.isRunning else { return }
        self.send(SIGKILL)
        self.process.waitUntilExit()
    }

    /// Its exit code; 128 and the signal where one ended it.
    @discardableResult
    func wait() -> Int32 {
        let end = Date(timeIntervalSinceNow: Self.patience)
        while self.isRunning, Date() < end { Thread.sleep(forTimeInterval: 0.02) }
        if self.isRunning {
            Issue.record("still running after \(Self.patience) s: \(self.standardErrorText.suffix(2_000))")
            self.kill()
        }
        let status = self.process.terminationStatus
        return self.process.terminationReason == .uncaughtSignal ? 128 + status : status
    }

    func waitForOutput() -> String {
        self.wait()
        return self.standardOutputText
    }

    /// Looks again and again at a fact that this process brings about.
    func waitUntil(_ fact: String, patience: TimeInterval = patience, _ holds: () throws -> Bool) throws {
        let end = Date(timeIntervalSinceNow: patience)
        while try !holds() {
            guard Date() < end, self.isRunning else {
                throw Unfinished(
                    description: """
                        waited for: \(fact); running: \(self.isRunning)
                        \(self.standardOutputText.suffix(2_000))\(self.standardErrorText.suffix(4_000))
                        """
                )
            }
            Thread.sleep(forTimeInterval: 0.02)
        }
    }

    deinit { self.kill() }
}

/// A folder that goes with its owner.
final class TemporaryFolder {
    let path: String

    init() throws {
        self.path = FileManager.default.temporaryDirectory.appendingPathComponent("afterlogin-\(UUID())").path
        try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: true)
    }

    func write(_ text: String, to name: String) throws {
        let file = URL(fileURLWithPath: "\(self.path)/\(name)")
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }

    func text(_ name: String) -> String {
        FileManager.default.contents(atPath: "\(self.path)/\(name)").map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    func handle(for name: String) throws -> FileHandle {
        let file = "\(self.path)/\(name)"
        _ = FileManager.default.createFile(atPath: file, contents: nil)
        return try #require(FileHandle(forWritingAtPath: file))
    }

    deinit { try? FileManager.default.removeItem(atPath: self.path) }
}

/// Ports that the kernel gave and that are free again.
enum FreePort {
    static func take() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port: UInt16? = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                guard bind(descriptor, pointer, length) == 0, getsockname(descriptor, pointer, &length) == 0 else {
                    return nil
                }
                return UnsafeRawPointer(pointer).load(as: sockaddr_in.self).sin_port.bigEndian
            }
        }
        return Int(try #require(port))
    }
}

/// Where the executables of this package are: the release ones that `deploy/test` built, or those beside the test bundle.
enum Executables {
    static var folder: String {
        if let folder = ProcessInfo.processInfo.environment["AFTERLOGIN_EXECUTABLES"] { return folder }
        return URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path
    }

    static var afterlogin: String { "\(self.folder)/afterlogin" }

    /// The top of the repository, for files that ship with it.
    static var repository: String {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { url.deleteLastPathComponent() }
        return url.path
    }
}
