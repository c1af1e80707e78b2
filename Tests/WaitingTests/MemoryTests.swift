import AfterloginTestSupport
import AfterloginWaiting
import Testing

/// The two data structures, against models that keep everything.
@Suite(.timeLimit(.minutes(1)))
struct MemoryTests {
    private let at = Timeline()

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func twoUsersAreEnoughToAskForSomebodyElse(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var memory = SuccessMemory()
        var all: [(user: LoginUser?, begun: Double)] = []
        let users: [LoginUser?] = [.ada, .bob, .eve, nil]
        for step in 0..<300 {
            // Calls get through in the order of their beginning, give or take.
            let begun = Double(step) + (all.isEmpty ? 0 : 0.5)
            let user = users.randomElement(using: &random) ?? nil
            memory.callGotThrough(user: user, begun: self.at(begun))
            all.append((user, begun))
            let since = Double(step) - Double.random(in: 0..<6, using: &random)
            let asking = LoginUser(key: UInt64.random(in: 1...3, using: &random))
            let expected = all.contains { $0.begun > since && ($0.user == nil || $0.user != asking) }
            let answer = memory.somebodyElse(gotThroughSince: self.at(since), user: asking)
            #expect(answer == expected, "seed \(seed), step \(step)")
        }
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func theEarliestArrivalGoesFirst(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var queue = ArrivalQueue<UInt64>()
        var model: [UInt64: UInt64] = [:]
        let first = { model.min { ($0.value, $0.key) < ($1.value, $1.key) }?.key }
        for step in 0..<600 {
            let id = UInt64.random(in: 1...60, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0...2:
                let arrival = UInt64.random(in: 1...40, using: &random)
                queue.insert(id, id: id, arrival: arrival)
                model[id] = arrival
            case 3: #expect((queue.remove(id) != nil) == (model.removeValue(forKey: id) != nil), "seed \(seed)")
            case 4:
                let expected = first()
                #expect(queue.popFirst() == expected, "seed \(seed), step \(step)")
                if let expected { model[expected] = nil }
            default:
                let fits = model.filter { $0.key % 2 == 0 }.min { ($0.value, $0.key) < ($1.value, $1.key) }?.key
                #expect(queue.popFirst(of: .max) { $0 % 2 == 0 } == fits, "seed \(seed), step \(step)")
                if let fits { model[fits] = nil }
            }
            #expect(queue.count == model.count)
            #expect(queue.first() == first(), "seed \(seed), step \(step)")
        }
    }

    @Test
    func theRoomGivesAnotherUsersLoginWhereOneWaits() {
        var room = WaitingRoom()
        for (id, user) in [(1, LoginUser.ada), (2, .bob), (3, .eve)] as [(UInt64, LoginUser)] {
            room.enter(WaitingLogin(id: id, user: user, arrival: id))
        }
        #expect(room.takeOldest(otherThan: .ada)?.id == 2)
        #expect(room.takeOldest(otherThan: .bob)?.id == 1)
        #expect(room.takeOldest(otherThan: .eve)?.id == 3, "its own where nobody else waits")
        #expect(room.isEmpty)
    }
}
