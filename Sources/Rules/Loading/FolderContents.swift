import FoundationEssentials
import Glibc

/// The names in a folder, and in the folders right below it.
struct FolderContents: Sendable {
    /// Why a folder can't be read.
    struct Unreadable: Error {
        var number: Int32
        var reason: String { String(cString: strerror(self.number)) }
    }

    private(set) var files: Set<String> = []
    /// Of each folder in it, its files; without `node_modules` and hidden ones.
    private(set) var folders: [String: Set<String>] = [:]
    private var path = ""

    init() {}

    init(_ path: String) throws(Unreadable) {
        self.path = path
        for name in try Self.names(path) {
            if Self.isFolder("\(path)/\(name)") {
                guard name != "node_modules", !name.hasPrefix(".") else { continue }
                self.folders[name] = Set((try? Self.names("\(path)/\(name)")) ?? [])
            } else {
                self.files.insert(name)
            }
        }
    }

    /// Without their ending, sorted.
    func names(_ ending: String) -> [String] {
        self.files.filter { $0.hasSuffix(ending) }.map { String($0.dropLast(ending.count)) }.sorted()
    }

    /// Whether a file is there, also one in a folder below.
    func has(_ name: String) -> Bool {
        if self.files.contains(name) { return true }
        return name.contains("/") && access("\(self.path)/\(name)", F_OK) == 0 && !Self.isFolder("\(self.path)/\(name)")
    }

    /// What `require` finds for a path, where it is a script in here.
    func script(_ required: String, from folder: [String]) -> String? {
        var parts = folder
        for part in required.split(separator: "/") where part != "." {
            if part == ".." {
                guard parts.popLast() != nil else { return nil }
            } else {
                parts.append(String(part))
            }
        }
        let name = parts.joined(separator: "/")
        return [name, "\(name).js", "\(name)/index.js"].first { $0.hasSuffix(".js") && self.has($0) }
    }

    /// Files of a folder that hold a rule: a script with a sidecar.
    static func rules(_ files: Set<String>) -> Int {
        files.count { $0.hasSuffix(".js") && files.contains("\($0.dropLast(3)).json") }
    }

    private static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func names(_ path: String) throws(Unreadable) -> [String] {
        // Foundation does not say what the operating system said.
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Unreadable(number: errno) }
        close(descriptor)
        return (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    }
}
