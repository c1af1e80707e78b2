import Glibc

/// The descriptors that this process may open.
package enum Descriptors {
    /// No process needs more; some containers allow a thousand times as many.
    private static let most: rlim_t = 1 << 20

    /// The limit that is in force (`ulimit -Sn`).
    package static var limit: Int { Int(clamping: Self.limits.rlim_cur) }

    /// Where the limit may be raised to without rights (`ulimit -Hn`).
    package static var hardLimit: Int { Int(clamping: Self.limits.rlim_max) }

    /// Raises the limit to the hard one: 1,024, the usual one, is for programs that call `select`.
    ///
    /// What is started from here on inherits it; rule hosts are given a limit of their own by `afterlogin-confine`.
    package static func raiseLimit() {
        var limits = Self.limits
        let wanted = min(limits.rlim_max, Self.most)
        guard limits.rlim_cur < wanted else { return }
        limits.rlim_cur = wanted
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
    }

    private static var limits: rlimit {
        var limits = rlimit()
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
        return limits
    }
}
