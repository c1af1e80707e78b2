import AfterloginSystem
import Glibc

/// A program that a test starts; its standard output is read here, and the end of its standard input tells it to go.
final class ChildProgram: Sendable {
    struct Failed: Error, CustomStringConvertible { let description: String }

    private let identifier: pid_t
    /// Its standard input and output.
    private let socket: Int32
    /// Whether its identifier may be another process's by now.
    private let isGone = Mutex(false)

    init(_ words: [String]) throws {
        var sockets: [Int32] = [0, 0]
        let stream = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, stream, 0, &sockets) == 0 else { throw Failed(description: "no sockets: \(errno)") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, sockets[1], 0)
        posix_spawn_file_actions_adddup2(&actions, sockets[1], 1)
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var identifier: pid_t = 0
        let status = posix_spawnp(&identifier, words[0], &actions, nil, &arguments, environ)
        close(sockets[1])
        self.identifier = identifier
        self.socket = sockets[0]
        guard status == 0 else { throw Failed(description: "cannot start \(words[0]): \(status)") }
    }

    deinit { close(self.socket) }

    /// The next bytes of its output; blocks until there are some, empty at the end.
    func read() -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = Glibc.read(self.socket, &buffer, buffer.count)
        return Array(buffer.prefix(max(0, count)))
    }

    func kill() {
        self.isGone.withLock { isGone in
            if !isGone { Glibc.kill(self.identifier, SIGKILL) }
        }
    }

    /// Blocks until it has ended; its status is 0 for success.
    func waitForEnd() -> Int32 {
        // The end is seen first, and the identifier given back under the lock: `kill` never meets one that is.
        var end = siginfo_t()
        while waitid(P_PID, id_t(self.identifier), &end, WEXITED | WNOWAIT) < 0, errno == EINTR {}
        return self.isGone.withLock { isGone in
            isGone = true
            var status: Int32 = 0
            while waitpid(self.identifier, &status, 0) < 0, errno == EINTR {}
            return status
        }
    }

    /// What a program prints until it ends.
    static func output(of words: [String]) async throws -> [UInt8] {
        try await NamedThread.run("child-program") { () -> Result<[UInt8], Failed> in
            guard let program = try? ChildProgram(words) else {
                return .failure(Failed(description: "cannot start \(words[0])"))
            }
            var bytes: [UInt8] = []
            while true {
                let more = program.read()
                if more.isEmpty { break }
                bytes += more
            }
            let status = program.waitForEnd()
            guard status == 0 else { return .failure(Failed(description: "\(words) ended with \(status)")) }
            return .success(bytes)
        }
        .get()
    }
}
