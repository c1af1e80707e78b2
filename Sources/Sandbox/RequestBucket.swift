/// A token bucket: at most `capacity` requests at once, and `rate` a second after that.
struct RequestBucket {
    let settings: Fault.Bucket
    private var level: Double
    /// Of the first request; nil before it.
    private var start: Double?
    private var last = 0.0
    private(set) var allowed = 0
    private(set) var refused = 0

    init(_ settings: Fault.Bucket) {
        self.settings = settings
        self.level = Double(settings.capacity)
    }

    /// Takes a request, or says how many seconds it is until the next one is allowed.
    mutating func requestArrived(at now: Double) -> Double? {
        if self.start == nil { (self.start, self.last) = (now, now) }
        // A clock that went back refills nothing.
        self.level = min(Double(self.settings.capacity), self.level + max(0, now - self.last) * self.settings.rate)
        self.last = max(self.last, now)
        guard self.level >= 1 else {
            self.refused += 1
            return (1 - self.level) / self.settings.rate
        }
        self.level -= 1
        self.allowed += 1
        return nil
    }

    /// How many requests could have been allowed since the first, by somebody who asked at each right moment.
    func offered(at now: Double) -> Int {
        guard let start = self.start else { return 0 }
        return self.settings.capacity + Int(max(0, now - start) * self.settings.rate)
    }
}
