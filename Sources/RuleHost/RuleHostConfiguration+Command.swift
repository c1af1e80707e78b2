import Glibc

extension RuleHostConfiguration {
    /// What starts a host: the confining program, what the host may read, Node, and our JavaScript.
    func command() throws(HostProcess.Failure) -> [String] {
        let node = try self.resolvedNode()
        let scripts = try self.resolvedScripts()
        var words = [
            try self.resolvedConfine(), "--mode", self.confinement.rawValue, "--parent", "\(getpid())", "--report", "4",
        ]
        words += ["--execute", node]
        // Node beside its libraries, as in archives of nodejs.org.
        let prefix = node.split(separator: "/").dropLast(2).joined(separator: "/")
        for path in Self.readable + ["/\(prefix)/lib", scripts] + self.moduleDirectories where path != "//lib" {
            words += ["--read", path]
        }
        if let rules = self.rulesDirectory {
            words += ["--read", rules, "--directory", rules]
        }
        for path in Self.loaders { words += ["--execute", path] }
        return words + [
            "--", node,
            // The watchdog keeps the limit, and its report names it; V8's own limit is only a backstop.
            "--max-old-space-size=\((self.memoryBytes >> 20) * 2)", "--no-deprecation", "--no-warnings",
            // Helpers of the collector mostly wait for one another where hosts and worker share the cores: 10 µs less a login.
            "--single-threaded-gc",
            // `Buffer.allocUnsafe` would show what other logins have let go of.
            "--zero-fill-buffers",
            "\(scripts)/main.js",
        ]
    }

    /// The C library and what else programs are linked to, time zones, OpenSSL's settings, and what the kernel says of the process itself.
    private static let readable = [
        "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/usr/share/zoneinfo",
        "/etc/localtime",
        "/usr/share/nodejs", "/etc/ssl/openssl.cnf", "/proc/meminfo", "/proc/stat",
        // Not all of /proc/self: it shows mounts, and the network of the machine.
        "/proc/self/stat", "/proc/self/statm", "/proc/self/status", "/proc/self/schedstat", "/proc/self/maps",
        "/proc/self/cgroup", "/proc/self/environ",
        "/proc/version_signature",
        "/sys/fs/cgroup", "/dev/null", "/dev/urandom",
    ]
    /// The kernel starts a program through one of these.
    private static let loaders = [
        "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib64/ld64.so.2",
        "/lib/ld-linux-riscv64-lp64d.so.1",
    ]

    /// The program, looked up in `PATH`, without symbolic links.
    private func resolvedNode() throws(HostProcess.Failure) -> String {
        let folders =
            self.node.contains("/")
            ? [""] : Self.searchPath.split(separator: ":").map { "\($0)/" }
        for folder in folders {
            guard let path = Self.realPath(folder + self.node), unsafe access(path, X_OK) == 0 else { continue }
            // Without confinement a host may start whatever it likes.
            guard self.confinement == .off || !Self.isShim(path) else {
                throw .init(
                    message:
                        "\(folder + self.node) is not Node itself but starts it (asdf, volta, snap or the like), which hosts may not: "
                        + "set rules.host.node to what this prints: node -p process.execPath"
                )
            }
            return path
        }
        throw .init(message: "there is no program \(self.node); install nodejs, or set rules.host.node")
    }

    /// A script, or a program that starts another one under its own name.
    private static func isShim(_ path: String) -> Bool {
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        if ["volta-shim", "snap", "mise", "rtx", "proto-shim"].contains(name) { return true }
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        var start: [UInt8] = [0, 0]
        let count = unsafe start.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
        return count == 2 && start == Array("#!".utf8)
    }

    private static var searchPath: String {
        guard let path = unsafe getenv("PATH") else { return "/usr/local/bin:/usr/bin:/bin" }
        return unsafe String(cString: path)
    }

    private func resolvedScripts() throws(HostProcess.Failure) -> String {
        try Self.existing(
            self.javaScriptDirectory,
            beside: ["afterlogin_AfterloginRuleHost.resources/JavaScript"],
            "the rule host's JavaScript"
        )
    }

    private func resolvedConfine() throws(HostProcess.Failure) -> String {
        try Self.existing(self.confineExecutable, beside: ["afterlogin-confine", "Confine"], "afterlogin-confine")
    }

    /// What is configured, or what stands beside this executable.
    private static func existing(
        _ configured: String?,
        beside names: [String],
        _ what: String
    ) throws(HostProcess.Failure) -> String {
        if let configured {
            guard let path = Self.realPath(configured) else { throw .init(message: "there is no \(configured)") }
            return path
        }
        let folder = (Self.realPath("/proc/self/exe") ?? "").split(separator: "/").dropLast().joined(separator: "/")
        for name in names { if let path = Self.realPath("/\(folder)/\(name)") { return path } }
        throw .init(
            message: "\(what) is not beside the executable, in /\(folder): copy it there from where that was built "
                + "(a package of your own names the product afterlogin-confine, as deploy/examples/native-rule does)"
        )
    }

    private static func realPath(_ path: String) -> String? {
        guard let resolved = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }
}
