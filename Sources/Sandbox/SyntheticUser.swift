import AfterloginJSON

/// A user made of an id: the same id gives the same user, wherever it is asked for.
struct SyntheticUser {
    private static let givenNames = [
        "Amara", "Björn", "Chloé", "Dmitri", "Elif", "Fatima", "Giulia", "Hiro", "Ines", "Jakub", "Kofi", "Lena",
        "Mateo", "Noor", "Oskar", "Priya",
    ]
    private static let familyNames = [
        "Almeida", "Bianchi", "Çelik", "Dubois", "Eriksen", "Fischer", "García", "Horváth", "Ivanova", "Jansen",
        "Kowalski", "Lindqvist", "Moreau", "Nakamura", "O'Brien", "Petrov",
    ]
    private static let plans = ["free", "silver", "gold"]
    private static let languages = ["de", "en", "fr", "it", "pl", "tr"]

    let id: String
    private let bits: UInt64

    init(id: String, seed: UInt64) {
        self.id = id
        // FNV-1a, then mixed: not `Hasher`, which is seeded anew in every process.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ SeededRandom.mix(seed)
        for byte in id.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        self.bits = SeededRandom.mix(hash)
    }

    /// In 0 ..< 1, the same for all logins of this user.
    var position: Double { Double(self.bits >> 11) * 0x1p-53 }
    var plan: String { Self.plans[self.pick(3, 40)] }
    var points: Int { self.pick(10_000, 20) }
    var created: String { "202\(self.pick(5, 3))-0\(1 + self.pick(9, 7))-1\(self.pick(10, 9))T08:30:00.000Z" }
    var address: String { "203.0.113.\(1 + self.pick(254, 30))" }
    private var hexadecimal: String {
        let digits = String(self.bits, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    private func pick(_ count: Int, _ shift: UInt64) -> Int { Int((self.bits >> shift) % UInt64(count)) }

    /// About 1 KB, with what rules look at (AUTH0.md, "What it sees").
    ///
    /// - Parameters:
    ///   - writer: Where the object goes.
    ///   - isVerified: `email_verified`.
    ///   - loginsCount: `logins_count`.
    ///   - invitations: `user_metadata.invitations`, where there are any.
    func write(
        to writer: inout JSONWriter,
        isVerified: Bool = true,
        loginsCount: Int,
        invitations: [(of: String, by: String)] = []
    ) {
        let given = Self.givenNames[self.pick(16, 12)]
        let family = Self.familyNames[self.pick(16, 16)]
        writer.beginObject()
        writer.member("user_id", self.id)
        writer.member("email", "\(self.hexadecimal)@customers.example")
        writer.member("email_verified", isVerified)
        writer.member("name", "\(given) \(family)")
        writer.member("given_name", given)
        writer.member("family_name", family)
        writer.member("nickname", given.lowercased())
        writer.member("picture", "https://avatars.example/\(self.hexadecimal)/large.png?fallback=initials")
        writer.member("created_at", self.created)
        writer.member("updated_at", "2026-11-01T07:15:42.120Z")
        writer.member("last_ip", self.address)
        writer.member("logins_count", loginsCount)
        writer.name("identities")
        writer.beginArray()
        writer.beginObject()
        writer.member("provider", "auth0")
        writer.member("user_id", String(self.id.drop { $0 != "|" }.dropFirst()))
        writer.member("connection", "Username-Password-Authentication")
        writer.member("isSocial", false)
        writer.endObject()
        writer.endArray()
        self.writeMetadata(to: &writer, invitations)
        writer.endObject()
    }

    private func writeMetadata(to writer: inout JSONWriter, _ invitations: [(of: String, by: String)]) {
        writer.name("user_metadata")
        writer.beginObject()
        writer.member("language", Self.languages[self.pick(6, 24)])
        writer.member("timezone", "Europe/Berlin")
        writer.member("newsletter", self.pick(2, 50) == 1)
        writer.member("interests", ["cycling", "ceramics", "gardening", "astronomy"])
        writer.member("shipping_address", "\(1 + self.pick(200, 33)) Market Square, 10115 Sampletown, Germany")
        if !invitations.isEmpty {
            writer.name("invitations")
            writer.beginObject()
            for (guest, host) in invitations { writer.member(guest, host) }
            writer.endObject()
        }
        writer.endObject()
        writer.name("app_metadata")
        writer.beginObject()
        writer.member("customer_number", "C-\(self.hexadecimal.prefix(10))")
        writer.member("segments", ["web", "returning", "region-\(self.pick(12, 44))"])
        writer.member("terms_version", 7)
        writer.name("consents")
        writer.beginObject()
        writer.member("analytics", self.pick(2, 51) == 1)
        writer.member("recorded_at", self.created)
        writer.endObject()
        writer.endObject()
    }
}
