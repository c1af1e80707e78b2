import FoundationEssentials

/// What a process has used so far, from `/proc`.
struct ProcessUsage {
    /// User and system time, to 10 ms (`USER_HZ`, 100 on every Linux there is).
    var processorSeconds = 0.0
    /// The same of its children that have ended and were waited for, and of theirs.
    var waitedForSeconds = 0.0
    var residentBytes = 0
    /// `VmHWM`: the most that was ever resident.
    var peakBytes = 0

    /// Nil where there is no such process.
    init?(of process: Int32) {
        guard let stat = Self.read("/proc/\(process)/stat"), let status = Self.read("/proc/\(process)/status") else {
            return nil
        }
        // Behind the name, which may hold spaces and parentheses: state is field 3, utime 14, stime 15, cutime 16,
        // cstime 17 (proc(5)).
        guard let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 14, let user = Double(fields[11]), let system = Double(fields[12]) else { return nil }
        self.processorSeconds = (user + system) / 100
        self.waitedForSeconds = ((Double(fields[13]) ?? 0) + (Double(fields[14]) ?? 0)) / 100
        self.residentBytes = Self.kilobytes("VmRSS:", status)
        self.peakBytes = Self.kilobytes("VmHWM:", status)
    }

    private static func kilobytes(_ name: String, _ status: String) -> Int {
        let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
        return line.flatMap { Int($0.split(separator: " ", omittingEmptySubsequences: true).dropFirst().first ?? "") }
            .map { $0 * 1_024 } ?? 0
    }

    static func read(_ path: String) -> String? {
        (try? Data(contentsOf: URL(filePath: path))).map { String(decoding: $0, as: UTF8.self) }
    }
}
