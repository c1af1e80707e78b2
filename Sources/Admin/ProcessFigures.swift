import AfterloginSystem
import Glibc

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
            residentBytes: KernelFile.residentBytes(of: "self"),
            openDescriptors: self.descriptors,
            maxDescriptors: Descriptors.limit,
            startTime: self.startTime
        )
    }

    /// The kernel counts in ticks since the machine started: field 22 of `/proc/self/stat`, behind a name that may hold spaces (proc(5)).
    private static let startTime: Double = {
        var now = timespec()
        var sinceStart = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        clock_gettime(CLOCK_BOOTTIME, &sinceStart)
        let stat = KernelFile.text(of: "/proc/self/stat")
        let fields = (stat.lastIndex(of: ")").map { stat[$0...] } ?? "").split(separator: " ")
        let ticks = fields.dropFirst(20).first.flatMap { Double($0) } ?? 0
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
