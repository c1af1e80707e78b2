import AfterloginKafka

/// How much is read and not yet finished, whether more may be read, and what waits to be decoded.
struct Intake {
    let logins: Int
    let bytes: Int
    private(set) var admitted = 0
    private(set) var admittedBytes = 0
    private(set) var isClosed = false
    private var inbox: [AdmittedLogin] = []
    private var isDecoding = false
    private var lastArrival = 0

    init(logins: Int, bytes: Int) {
        self.logins = logins
        self.bytes = bytes
    }

    mutating func admitted(_ record: KafkaRecord, epoch: Int, _ now: ContinuousClock.Instant) {
        self.lastArrival += 1
        self.admitted += 1
        self.admittedBytes += AdmittedLogin.byteCount(of: record)
        self.inbox.append(AdmittedLogin(record: record, epoch: epoch, arrival: self.lastArrival, arrived: now))
    }

    /// Whether somebody has to begin decoding.
    mutating func beginsDecoding() -> Bool {
        guard !self.isDecoding, !self.inbox.isEmpty else { return false }
        self.isDecoding = true
        return true
    }

    /// What is to be decoded now; nothing ends the decoding.
    mutating func inboxTaken() -> [AdmittedLogin] {
        if self.inbox.isEmpty { self.isDecoding = false }
        return exchange(&self.inbox, with: [])
    }

    mutating func released(_ login: AdmittedLogin) {
        self.admitted -= 1
        self.admittedBytes -= login.byteCount
    }

    /// What is kept for a login beside its record has become more, or less.
    mutating func extraBytesChanged(by count: Int) { self.admittedBytes += count }

    func hasRoom(forBytes count: Int) -> Bool { self.admittedBytes + count <= self.bytes }

    /// A batch was taken; whether it was the last for now.
    mutating func closes() -> Bool {
        self.isClosed = self.admitted >= self.logins || self.admittedBytes >= self.bytes
        return self.isClosed
    }

    /// Whether intake opens again, which is a good way below the limits: each opening costs a hand-over.
    mutating func reopens() -> Bool {
        guard self.isClosed, self.admitted < max(1, self.logins * 3 / 4),
            self.admittedBytes < max(1, self.bytes / 4 * 3)
        else { return false }
        self.isClosed = false
        return true
    }
}
