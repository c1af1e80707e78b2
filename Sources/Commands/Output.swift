import AfterloginObservability
import AfterloginSystem
import Glibc
import Synchronization

/// Results on standard output, all else on standard error.
enum Output {
    /// Why something did not reach standard output; a reader that went away is none.
    static var failure: String? {
        let code = self.firstError.load(ordering: .relaxed)
        return code == 0 || code == EPIPE ? nil : String(cString: strerror(code))
    }

    private static let firstError = Atomic<Int32>(0)

    /// A descriptor 0, 1 or 2 that is closed would become that of the next file or socket, and take what is meant for people.
    static func keepStandardDescriptors() {
        for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) < 0 {
            // The wrong way round, so that reading and writing fail.
            _ = open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY)
        }
    }

    static func text(_ text: String) { self.write(Array("\(text)\n".utf8), to: 1) }
    /// A line of JSON.
    static func line(_ bytes: [UInt8]) { self.write(TerminalText.escaped(json: bytes) + [0x0A], to: 1) }
    static func error(_ text: String) { StandardError.write(Array("\(text)\n".utf8)) }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        if let failure = Descriptors.writeAll(bytes, to: descriptor) {
            self.firstError.store(failure, ordering: .relaxed)
        }
    }
}

/// Standard error as a terminal, where it is one.
enum Terminal {
    static var isTerminal: Bool { isatty(2) == 1 }
    static var hasColor: Bool {
        self.isTerminal && getenv("NO_COLOR") == nil && getenv("TERM").map { String(cString: $0) } != "dumb"
    }

    static var width: Int {
        var size = winsize()
        return ioctl(2, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    /// Replaces the line that was written so before.
    static func redraw(_ line: String) {
        StandardError.write(Array("\r\u{1B}[K\(line.prefix(max(20, self.width - 1)))".utf8))
    }

    static func endLine() { StandardError.write([0x0A]) }

    static func colored(_ text: String, _ code: Int) -> String {
        self.hasColor ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}

/// SIGTERM and SIGINT: the first asks to stop, the second ends the process at once.
enum StopSignals {
    /// The writing end of a pipe; only this may be touched in the handler.
    private static let pipeEnd = Atomic<Int32>(-1)
    private static let first = Atomic<Int32>(0)

    /// For work that a signal broke off.
    static var exitCode: ExitCode { self.first.load(ordering: .relaxed) == SIGTERM ? .terminated : .interrupted }

    /// A handler, not a mask and `sigwait`: the main thread waits in libdispatch's `sigsuspend`, which takes the mask away.
    static func handle(_ stop: @escaping @Sendable () -> Void) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let reader = ends[0]
        self.pipeEnd.store(ends[1], ordering: .sequentiallyConsistent)
        NamedThread.start("afterlogin.signal") {
            var number: UInt8 = 0
            while read(reader, &number, 1) != 1 {}
            self.first.store(Int32(number), ordering: .relaxed)
            stop()
            while read(reader, &number, 1) != 1 {}
            _exit(128 + Int32(number))
        }
        for number in [SIGTERM, SIGINT] {
            signal(number) { number in
                let before = errno
                var byte = UInt8(truncatingIfNeeded: number)
                _ = write(StopSignals.pipeEnd.load(ordering: .sequentiallyConsistent), &byte, 1)
                errno = before
            }
        }
    }
}
