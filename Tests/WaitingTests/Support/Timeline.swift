import AfterloginWaiting

/// Instants of a test: seconds since its start.
struct Timeline {
    let start = ContinuousClock.now

    func callAsFunction(_ seconds: Double) -> ContinuousClock.Instant { self.start + .seconds(seconds) }
}

extension LoginUser {
    static let ada = LoginUser(key: 1)
    static let bob = LoginUser(key: 2)
    static let eve = LoginUser(key: 3)
}
