import AfterloginDelivery
import AfterloginJSON
import AfterloginKafka
import AfterloginSandbox
import Testing

@Suite("Generated logins", .timeLimit(.minutes(1)))
struct LoginGeneratorTests {
    private func generator(
        seed: UInt64 = 1,
        users: Int = 1_000,
        _ distribution: LoginGenerator.Distribution = .zipfMandelbrot
    ) -> LoginGenerator {
        LoginGenerator(seed: seed, users: users, distribution: distribution, unverifiedShare: 0.05)
    }

    private func decode(_ login: GeneratedLogin) throws -> LoginEvent {
        let place = TopicPartition(topic: "logins", partition: 0)
        let record = KafkaRecord(topicPartition: place, offset: 0, timestamp: 1, key: login.key, value: login.value)
        return try NativeEventDecoder().decode(record).get()
    }

    @Test func theSameSeedGivesTheSameLogins() {
        var (one, other, third) = (self.generator(), self.generator(), self.generator(seed: 2))
        let first = (0..<100).map { _ in one.next(at: 5) }
        #expect((0..<100).map { _ in other.next(at: 5) } == first)
        #expect((0..<100).map { _ in third.next(at: 5) } != first)
    }

    @Test func aLoginIsInTheNativeEnvelope() throws {
        var generator = self.generator()
        let login = generator.next(at: 1_764_000_000_123)
        let event = try self.decode(login)
        #expect(event.id == login.id && event.userID == login.userID)
        #expect(event.time == "2025-11-24T16:00:00.123Z")
        #expect(login.key == Array(login.userID.utf8))
        #expect((800...1_500).contains(event.user.bytes.count), "\(event.user.bytes.count) bytes of user")
        #expect(event.user["identities"]?[0]?["provider"]?.string == "auth0")
        #expect(event.context["request"]?["geoip"]?["country_code"]?.string == "DE")
    }

    @Test(arguments: [1_000, 5_000])
    func theHottestUserHasAboutOnePercent(users: Int) {
        var generator = self.generator(users: users)
        var counts: [String: Int] = [:]
        for _ in 0..<40_000 { counts[generator.next().userID, default: 0] += 1 }
        let hottest = counts.max { $0.value < $1.value }
        #expect(hottest?.key.hasPrefix("auth0|00000") == true)
        // 1 % is 400; its standard deviation 20.
        #expect((320...480).contains(hottest?.value ?? 0), "\(hottest?.value ?? 0)")
        #expect(counts.count > users * 9 / 10)
    }

    @Test func evenUsersHaveEqualShares() {
        var generator = self.generator(users: 100, .even)
        var counts: [String: Int] = [:]
        for _ in 0..<20_000 { counts[generator.next().userID, default: 0] += 1 }
        #expect(counts.count == 100)
        #expect(counts.values.allSatisfy { (130...270).contains($0) })
    }

    @Test func someUsersAreUnverifiedAtEveryLogin() throws {
        var generator = self.generator(users: 200, .even)
        var verified: [String: Set<Bool?>] = [:]
        for _ in 0..<2_000 {
            let event = try self.decode(generator.next())
            verified[event.userID, default: []].insert(event.user["email_verified"]?.bool)
        }
        #expect(verified.values.allSatisfy { $0.count == 1 })
        #expect((2...25).contains(verified.values.count { $0 == [false] }))
    }

    @Test func troublesomeLoginsAreWhatTheySay() throws {
        var generator = self.generator()
        let ring = try self.decode(generator.nextInvitedInARing())
        let invitations = try #require(ring.user["user_metadata"]?["invitations"])
        let inviter = try #require(invitations[ring.userID]?.string)
        #expect(invitations[inviter]?.string == ring.userID)
        let half = generator.nextUndecodable()
        #expect(throws: DecodingFailure.self) { try self.decode(half) }
    }
}
