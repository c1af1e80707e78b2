import AfterloginCLinux
import AfterloginSystem
import Glibc

/// A child process with its descriptors; owned by the thread of the pool.
struct HostProcess: ~Copyable {
    let identifier: Int32
    /// Frames, not blocking.
    let frames: Int32
    let output: Int32
    let errors: Int32
    let watchdog: Int32

    /// Why a process could not be started.
    struct Failure: Error {
        var message: String
    }

    /// Starts the first word with the others as arguments.
    init(_ words: [String]) throws(Failure) {
        var ours: [Int32] = []
        var theirs: [Int32] = []
        defer { for descriptor in theirs { close(descriptor) } }
        for index in 0..<4 {
            var near: Int32 = -1
            var far: Int32 = -1
            let error = unsafe index == 2 ? shim_socket_pair(&near, &far) : shim_pipe(&near, &far)
            guard error == 0 else {
                for descriptor in ours { close(descriptor) }
                throw Failure(
                    message:
                        "no descriptors for a rule host: \(Self.text(error)); raise the limit of open files (ulimit -n)"
                )
            }
            ours.append(near)
            theirs.append(far)
        }
        var process: pid_t = 0
        let error = unsafe Self.withCStrings(words) { words in
            unsafe Self.withCStrings(Self.timeZone) { environment in
                unsafe shim_spawn(words, environment, theirs[0], theirs[1], theirs[2], theirs[3], &process)
            }
        }
        guard error == 0 else {
            for descriptor in ours { close(descriptor) }
            throw Failure(message: "cannot start \(words[0]): \(Self.text(error))")
        }
        self.identifier = process
        (self.output, self.errors, self.frames, self.watchdog) = (ours[0], ours[1], ours[2], ours[3])
    }

    /// Kills it if it still lives, and says how it ended.
    consuming func end() -> String {
        kill(self.identifier, SIGKILL)
        let status = shim_reap(self.identifier)
        let signal = shim_exit_signal(status)
        return signal > 0 ? "signal \(signal)" : "exit code \(shim_exit_code(status))"
    }

    /// What can be read without waiting; nil when there is nothing.
    static func readSome(_ descriptor: Int32) -> ArraySlice<UInt8>? {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        return count > 0 ? buffer[..<count] : nil
    }

    /// From `/proc`; 0 when it can't be read.
    var residentBytes: Int { KernelFile.residentBytes(of: "\(self.identifier)") }

    deinit {
        for descriptor in [self.frames, self.output, self.errors, self.watchdog] { close(descriptor) }
    }

    private static var timeZone: [String] {
        guard let zone = unsafe getenv("TZ") else { return [] }
        let text = unsafe String(cString: zone)
        return ["TZ=\(text)"]
    }

    static func text(_ error: Int32) -> String { unsafe String(cString: strerror(error)) }

    private static func withCStrings<Value>(
        _ words: [String],
        _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Value
    ) -> Value {
        var pointers = unsafe words.map { unsafe strdup($0) }
        unsafe pointers.append(nil)
        defer { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
        return unsafe pointers.withUnsafeBufferPointer { buffer in
            // Never empty: the array ends with nil.
            unsafe body(buffer.baseAddress.unsafelyUnwrapped)
        }
    }
}
