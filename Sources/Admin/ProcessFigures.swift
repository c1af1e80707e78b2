import Glibc
import Threads

/// What the kernel says of this process.
package struct ProcessFigures: Sendable {
    package var processorSeconds: Double
    package var residentBytes: Int
    package var openDescriptors: Int
    package var maxDescriptors: Int
    /// Seconds since 1970.
    package var startTime: Double

    package static var current: ProcessFigures? {
        var usage = rusage()
        guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return nil }
        let seconds =
            Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1_000_000
        return ProcessFigures(
            processorSeconds: seconds,
            residentBytes: self.residentPages * Int(getpagesize()),
            openDescriptors: self.descriptors,
            maxDescriptors: Descriptors.limit,
            startTime: self.startTime
        )
    }

    private static var residentPages: Int { self.words("/proc/self/statm").dropFirst().first.flatMap { Int($0) } ?? 0 }

    /// Of a file of the kernel's; the name of a program, which may hold spaces, is one word.
    private static func words(_ path: String) -> [Substring] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 1_024)
        let count = buffer.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
        let text = String(decoding: buffer[..<max(0, count)], as: UTF8.self)
        guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")") else {
            return text.split(separator: " ")
        }
        let before = text[..<open].split(separator: " ")
        return before + [text[open...close]] + text[text.index(after: close)...].split(separator: " ")
    }

    /// The kernel counts in ticks since the machine started (field 22 of `/proc/self/stat`).
    private static let startTime: Double = {
        var now = timespec()
        var sinceStart = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        clock_gettime(CLOCK_BOOTTIME, &sinceStart)
        let ticks = Self.words("/proc/self/stat").dropFirst(21).first.flatMap { Double($0) } ?? 0
        let machineStart =
            Double(now.tv_sec - sinceStart.tv_sec) + Double(now.tv_nsec - sinceStart.tv_nsec) / 1_000_000_000
        let started = machineStart + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
        return (started * 100).rounded() / 100
    }()

    private static var descriptors: Int {
        guard let folder = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // Not the two entries of every folder, nor the descriptor that reads it.
        return max(0, count - 3)
    }
}
