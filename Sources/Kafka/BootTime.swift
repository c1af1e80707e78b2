import AfterloginSystem
import Glibc

/// A moment on the clock that goes on while the machine sleeps or the process is stopped (`CLOCK_BOOTTIME`).
struct BootTime: Comparable, Hashable, Sendable {
    var nanoseconds: Int64

    static var now: BootTime {
        var time = timespec()
        unsafe clock_gettime(CLOCK_BOOTTIME, &time)
        return BootTime(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    static func < (left: BootTime, right: BootTime) -> Bool { left.nanoseconds < right.nanoseconds }

    func advanced(by duration: Duration) -> BootTime {
        BootTime(nanoseconds: self.nanoseconds + duration.wholeNanoseconds)
    }

    /// Time from here to `later`; zero when that has passed.
    func until(_ later: BootTime) -> Duration { .nanoseconds(max(0, later.nanoseconds - self.nanoseconds)) }
}

extension Duration {
    /// Rounded up, so that waiting for it does not wake too early.
    var timeoutMilliseconds: Int32 {
        Int32(clamping: (self.wholeNanoseconds + 999_999) / 1_000_000)
    }
}
