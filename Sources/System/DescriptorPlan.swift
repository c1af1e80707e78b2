/// Who may have how many of a process's descriptors, so that they never run out.
///
/// They must not: where libdispatch, on whose threads Swift's tasks run, cannot open `/proc/self/task/N/stat`, it ends the
/// process without a word (SIGILL). So what a stranger can make us open is bounded by what is left after the rest.
package struct DescriptorPlan: Sendable, Hashable {
    /// With fewer a worker does not start.
    package static let least = 160

    package let limit: Int

    package init(limit: Int) { self.limit = max(0, limit) }

    /// Of this process, by its limit of now.
    package static var current: DescriptorPlan { DescriptorPlan(limit: Descriptors.limit) }

    /// For what comes and goes: libdispatch, files, name resolution, the pipes of hosts that start, logs.
    package var reserve: Int { 48 }
    /// For connections to brokers, of two clients.
    package var brokers: Int { max(32, self.limit / 8) }
    /// For rule hosts, five each: six of them where there are few.
    package var hosts: Int { min(400, max(30, self.limit / 16)) }
    /// For connections to our own port: the worker's probes, or the sandbox's clients.
    package func accepted(atMost wanted: Int) -> Int { min(wanted, max(8, self.limit / 8)) }
    /// Calls that are under way at a time.
    ///
    /// Resolving a name takes up to four descriptors for one that becomes a connection.
    package var calls: Int {
        let left = self.limit - self.reserve - self.brokers - self.hosts - self.accepted(atMost: Self.probes)
        return max(4, min(16_384, left / 4))
    }

    /// Of the worker's admin port.
    package static let probes = 100
}
