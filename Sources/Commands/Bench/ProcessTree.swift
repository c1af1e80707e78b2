import FoundationEssentials

/// A process and all that it started, from `/proc`.
enum ProcessTree {
    /// What they have used so far, the dead that were waited for included.
    ///
    /// - Throws: `CommandFailure` where there is no such process.
    static func processorSeconds(of process: Int32) throws -> (root: Double, descendants: Double) {
        guard let usage = ProcessUsage(of: process) else {
            throw CommandFailure(
                message: "process \(process), which is measured, has ended; its own last lines say why"
            )
        }
        var descendants = usage.waitedForSeconds
        var processes = self.children(of: process)
        while let next = processes.popLast() {
            // Gone since it was listed.
            guard let usage = ProcessUsage(of: next) else { continue }
            descendants += usage.processorSeconds + usage.waitedForSeconds
            processes += self.children(of: next)
        }
        return (usage.processorSeconds, descendants)
    }

    /// Each thread lists those that it started (proc(5)).
    private static func children(of process: Int32) -> [Int32] {
        let tasks = "/proc/\(process)/task"
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
        return threads.flatMap { thread -> [Int32] in
            let list = ProcessUsage.read("\(tasks)/\(thread)/children") ?? ""
            return list.split(separator: " ").compactMap { Int32($0) }
        }
    }
}
