extension Duration {
    /// Without what is below a nanosecond.
    package var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = self.components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    /// Without what is below a millisecond.
    package var wholeMilliseconds: Int64 { self.wholeNanoseconds / 1_000_000 }

    /// With the fraction.
    package var milliseconds: Double { self.inSeconds * 1_000 }

    /// With the fraction.
    package var inSeconds: Double {
        let (seconds, attoseconds) = self.components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    /// Seconds with one decimal, or minutes.
    package var forPeople: String {
        let seconds = self.inSeconds
        if seconds >= 120 { return "\(Int((seconds / 60).rounded())) min" }
        return seconds >= 10 ? "\(Int(seconds.rounded())) s" : "\((seconds * 10).rounded() / 10) s"
    }
}
