import AfterloginSystem
import Glibc

/// A child process like ourselves, with our environment and its output in files; killed when nobody holds it any more.
///
/// For `afterlogin bench`, which measures whole processes. (Rule hosts are `HostProcess`.)
package final class ChildProgram: Sendable {
    /// Why a process could not be started.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    package let identifier: Int32
    private let status = Mutex<Int32?>(nil)

    /// Starts the first word, a path, with the others as arguments.
    ///
    /// - Parameters:
    ///   - words: The program and its arguments.
    ///   - output: A file for its standard output.
    ///   - errors: A file for its standard error.
    /// - Throws: `Failure` where there is no such program, or a file cannot be made.
    package init(_ words: [String], output: String, errors: String) throws(Failure) {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        unsafe posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // Signals that this process waits for are blocked here, and would stay so in the child.
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var arguments = unsafe words.map { unsafe strdup($0) }
        unsafe arguments.append(nil)
        defer { for index in unsafe arguments.indices { unsafe free(arguments[index]) } }
        var process: pid_t = 0
        let error = unsafe posix_spawn(&process, words[0], &actions, &attributes, &arguments, environ)
        guard error == 0 else {
            let reason = unsafe String(cString: strerror(error))
            throw Failure(description: "cannot start \(words[0]): \(reason)")
        }
        self.identifier = process
    }

    /// Its exit code, 128 and the signal where one ended it, nil while it runs.
    package var exitCode: Int32? {
        self.status.withLock { status in
            if status == nil {
                var raw: Int32 = 0
                if unsafe waitpid(self.identifier, &raw, WNOHANG) == self.identifier {
                    status = raw & 0x7F == 0 ? raw >> 8 & 0xFF : 128 + raw & 0x7F
                }
            }
            return status
        }
    }

    /// Nothing where it has ended: its number may be another's.
    package func send(_ signal: Int32) {
        guard self.exitCode == nil else { return }
        kill(self.identifier, signal)
    }

    deinit {
        guard self.exitCode == nil else { return }
        kill(self.identifier, SIGKILL)
        waitpid(self.identifier, nil, 0)
    }
}
