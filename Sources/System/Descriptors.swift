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

    /// Writes all bytes, in as many calls as it takes.
    ///
    /// - Returns: `errno` where that failed; the rest is not written then.
    package static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Int32? {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.span.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                // Somebody who has the other end, or shares this one, made it so.
                var waits = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                unsafe poll(&waits, 1, -1)
            } else if errno != EINTR {
                return errno
            }
        }
        return nil
    }
}
