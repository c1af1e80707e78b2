import Glibc

/// The processors that this process may use.
package enum Processors {
    /// At least 1: what the scheduler would give, or the quota of the control group (`docker run --cpus`), whichever is less.
    package static let count: Int = {
        let online = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        return min(online, Self.quota(KernelFile.text(of: "/sys/fs/cgroup/cpu.max")) ?? online)
    }()

    /// Of `cpu.max` (cgroup v2): microseconds of processor time, or `max`, in a period of so many; rounded up.
    ///
    /// - Returns: nil where there is no limit, or the text says none.
    package static func quota(_ text: String) -> Int? {
        let words = text.split { $0 == " " || $0 == "\n" }
        guard words.count == 2, let time = Int(words[0]), let period = Int(words[1]), time > 0, period > 0 else {
            return nil
        }
        return max(1, Int((Double(time) / Double(period)).rounded(.up)))
    }
}
