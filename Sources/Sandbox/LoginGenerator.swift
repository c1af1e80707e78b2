import AfterloginJSON
import AfterloginSystem

/// A login as it goes to Kafka.
package struct GeneratedLogin: Sendable, Hashable {
    /// Of the event; empty where there is none.
    package var id: String
    package var userID: String
    /// The user id, so that one user's logins share a partition.
    package var key: [UInt8]
    package var value: [UInt8]
}

/// Logins in the native envelope (DESIGN.md, 5.1): the same seed gives the same logins.
package struct LoginGenerator: Sendable {
    package enum Distribution: String, Sendable, CaseIterable {
        /// A few users log in often, the hottest with 1 % of all logins.
        case zipfMandelbrot = "zipf"
        case even
    }

    private let seed: UInt64
    private let unverifiedShare: Double
    private let popularity: ZipfMandelbrot?
    private var random: SeededRandom
    private var counts: [Int32]
    private var number = 0
    /// Groups of 50 bytes each that the context of each login lists, as those of a large company do.
    package var groups = 0

    /// Logins of that many users.
    ///
    /// - Parameters:
    ///   - seed: Of everything.
    ///   - users: At least 1.
    ///   - distribution: How the logins fall on them.
    ///   - unverifiedShare: Of the users, in 0 ... 1: their email is not verified.
    package init(seed: UInt64, users: Int, distribution: Distribution, unverifiedShare: Double) {
        self.seed = seed
        self.unverifiedShare = unverifiedShare
        self.random = SeededRandom(seed: seed)
        self.counts = Array(repeating: 0, count: max(1, users))
        self.popularity = distribution == .zipfMandelbrot ? ZipfMandelbrot(users: users) : nil
    }

    /// The next login.
    ///
    /// - Parameter milliseconds: Its time, since 1970; nil leaves it out, and then the record's timestamp counts.
    /// - Returns: The login.
    package mutating func next(at milliseconds: Int64? = nil) -> GeneratedLogin {
        let chance = self.random.unit()
        let index = self.popularity?.index(chance) ?? Int(chance * Double(self.counts.count))
        self.counts[index] += 1
        return self.login("auth0|\(Self.padded(index + 1, 6))", loginsCount: Int(self.counts[index]), at: milliseconds)
    }

    /// A login of a user who was invited by somebody whom they had invited.
    ///
    /// A rule that looks for the first one in that chain never ends (the demo's `loyalty-points`).
    package mutating func nextInvitedInARing(at milliseconds: Int64? = nil) -> GeneratedLogin {
        let (user, friend) = ("auth0|ring-1", "auth0|ring-2")
        return self.login(user, loginsCount: 1, at: milliseconds, invitations: [(user, friend), (friend, user)])
    }

    /// A record that is not a login: half of one.
    package mutating func nextUndecodable() -> GeneratedLogin {
        var login = self.next()
        login.value.removeLast(login.value.count / 2)
        login.id = ""
        return login
    }

    private mutating func login(
        _ userID: String,
        loginsCount: Int,
        at milliseconds: Int64?,
        invitations: [(of: String, by: String)] = []
    ) -> GeneratedLogin {
        self.number += 1
        let id = "login-\(self.seed)-\(self.number)"
        let user = SyntheticUser(id: userID, seed: self.seed)
        let isVerified = user.position >= self.unverifiedShare || !invitations.isEmpty
        var writer = JSONWriter()
        writer.reserveCapacity(2_048)
        writer.beginObject()
        writer.member("id", id)
        if let milliseconds { writer.member("time", Timestamp.text(milliseconds: milliseconds)) }
        writer.name("user")
        user.write(to: &writer, isVerified: isVerified, loginsCount: loginsCount, invitations: invitations)
        writer.name("context")
        self.writeContext(user, loginsCount: loginsCount, to: &writer)
        writer.endObject()
        return GeneratedLogin(id: id, userID: userID, key: Array(userID.utf8), value: writer.bytes)
    }

    private func writeContext(_ user: SyntheticUser, loginsCount: Int, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("tenant", "sandbox")
        writer.member("clientID", "h5p1Zz0Yc0qkq0Wf3vWbYl9d2cS7xT4a")
        writer.member("clientName", "Web shop")
        writer.member("connection", "Username-Password-Authentication")
        writer.member("connectionStrategy", "auth0")
        writer.member("protocol", "oidc-basic-profile")
        writer.member("sessionID", "session-\(self.seed)-\(self.number)")
        writer.name("stats")
        writer.beginObject()
        writer.member("loginsCount", loginsCount)
        writer.endObject()
        writer.name("request")
        writer.beginObject()
        writer.member("ip", user.address)
        writer.member("hostname", "login.shop.example")
        writer.member("userAgent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")
        writer.name("query")
        writer.beginObject()
        writer.member("scope", "openid profile email")
        writer.member("response_type", "code")
        writer.member("redirect_uri", "https://shop.example/callback")
        writer.endObject()
        writer.name("geoip")
        writer.beginObject()
        writer.member("country_code", "DE")
        writer.member("city_name", "Berlin")
        writer.endObject()
        writer.endObject()
        writer.name("authorization")
        writer.beginObject()
        writer.member("roles", ["customer"])
        if self.groups > 0 { writer.member("groups", (0..<self.groups).map { Self.padded($0, 47) }) }
        writer.endObject()
        writer.endObject()
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
