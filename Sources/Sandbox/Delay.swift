import Glibc

/// How long an endpoint takes, as a distribution.
package enum Delay: Sendable, Hashable {
    case fixed(Duration)
    case uniform(from: Duration, to: Duration)
    case exponential(mean: Duration)
    /// Most answers near the median, some many times slower: what real APIs look like.
    case lognormal(median: Duration, sigma: Double)

    func sample(_ random: inout SeededRandom) -> Duration {
        switch self {
        case .fixed(let duration): return duration
        case .uniform(let from, let to): return from + (to - from) * random.unit()
        case .exponential(let mean): return mean * -log(1 - random.unit())
        case .lognormal(let median, let sigma):
            // Box and Muller.
            let normal = sqrt(-2 * log(1 - random.unit())) * cos(2 * .pi * random.unit())
            return median * exp(sigma * normal)
        }
    }
}
