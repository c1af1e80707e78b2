import Glibc

/// What the kernel says of this process.
package struct ProcessFigures: Sendable {
    package var processorSeconds: Double
    package var residentBytes: Int
    package var openDescriptors: Int

    package static var current: ProcessFigures? {
        var usage = rusage()
        guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return nil }
        let seconds =
            Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1_000_000
        return ProcessFigures(
            processorSeconds: seconds,
            residentBytes: self.residentPages * Int(getpagesize()),
            openDescriptors: self.descriptors
        )
    }

    private static var residentPages: Int {
        let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return 0 }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 128)
        let count = buffer.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
        let words = String(decoding: buffer[..<max(0, count)], as: UTF8.self).split(separator: " ")
        return words.count > 1 ? Int(words[1]) ?? 0 : 0
    }

    private static var descriptors: Int {
        guard let folder = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // Not the two entries of every folder, nor the descriptor that reads it.
        return max(0, count - 3)
    }
}
