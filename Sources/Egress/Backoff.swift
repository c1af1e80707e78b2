import Synchronization

/// How long to wait before the next attempt: full jitter, `random(0, min(cap, base * 2^n))`.
///
/// Full jitter spreads the attempts of many callers that failed together better than any jitter around a middle value
/// ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). Pure: the randomness is given.
package struct Backoff: Sendable, Hashable {
    package var base: Duration
    package var cap: Duration

    package init(base: Duration = .milliseconds(200), cap: Duration = .seconds(30)) {
        self.base = base
        self.cap = cap
    }

    /// The longest wait after that many failures in a row (1 after the first).
    package func ceiling(failures: Int) -> Duration {
        guard self.base > .zero, self.cap > .zero else { return .zero }
        var ceiling = min(self.base, self.cap)
        // At most 63 doublings reach any cap; the loop ends at the cap, so a huge count costs nothing.
        var doublings = max(failures, 1) - 1
        while doublings > 0, ceiling < self.cap {
            // Halving the cap instead of doubling the wait cannot overflow.
            ceiling = ceiling > self.cap / 2 ? self.cap : ceiling * 2
            doublings -= 1
        }
        return ceiling
    }

    /// The wait after that many failures in a row (1 after the first); `fraction` is random, even in `0..<1`.
    package func delay(failures: Int, fraction: Double) -> Duration {
        self.ceiling(failures: failures) * min(max(fraction, 0), 1)
    }

    /// The wait after that many failures in a row.
    package func delay(failures: Int) -> Duration {
        self.delay(failures: failures, fraction: Self.random())
    }

    /// Even in `0..<1`, and no secret; what tests replace.
    ///
    /// Every call of a rule asks for one before it is known whether it fails: the system's randomness would be a system call each. The mixing is that of
    /// SplitMix64 (Steele, Lea and Flood, 2014).
    @Sendable package static func random() -> Double {
        var bits = self.lastRandom.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        bits ^= bits >> 31
        return Double(bits >> 11) * 0x1p-53
    }

    private static let lastRandom = Atomic(UInt64.random(in: .min ... .max))
}
