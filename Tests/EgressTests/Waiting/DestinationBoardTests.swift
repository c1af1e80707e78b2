import AfterloginHTTPMessages
import AfterloginSystem
import AfterloginTestSupport
import AfterloginWaiting
import Testing

@testable import AfterloginEgress

@Suite(.timeLimit(.minutes(1)))
struct DestinationBoardTests {
    private static let route = Route.call(rule: "r", host: "api.example", port: 443)

    private func board(_ clock: ManualClock, perHost: Int = 256) -> DestinationBoard {
        var settings = WaitingSettings()
        settings.perHost = perHost
        return DestinationBoard(settings, log: .silent, clock: clock)
    }

    private func scope(_ number: UInt64, _ clock: ManualClock) -> CallScope {
        CallScope(LoginCalls(number: number, user: LoginUser(key: number), firstAttempt: clock.now))
    }

    /// Enters, and expects to be sent.
    private func sent(_ board: DestinationBoard, _ scope: CallScope, _ clock: ManualClock) async throws -> CallTicket {
        let entry = await board.enter(Self.route, scope, deadline: clock.now + .seconds(20))
        guard case .send(let ticket) = entry else { throw Unexpected(what: "\(entry)") }
        return ticket
    }

    /// Numbers in the order in which they came.
    private final class Order: Sendable {
        private let state = Mutex<[UInt64]>([])
        var all: [UInt64] { self.state.withLock { $0 } }
        func append(_ number: UInt64) { self.state.withLock { $0.append(number) } }
    }

    private struct Unexpected: Error { var what: String }

    private func end(_ board: DestinationBoard, _ ticket: CallTicket, _ ending: CallEnding, _ scope: CallScope?) {
        _ = board.ended(ticket, ending, .success(HTTPResponse(status: 200)), error: "503", scope)
    }

    @Test func callsBeyondTheLimitWaitForOneToEnd() async throws {
        let clock = ManualClock()
        let board = self.board(clock, perHost: 1)
        let first = try await self.sent(board, self.scope(1, clock), clock)
        let order = Order()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number: UInt64 in 2...20 {
                group.addTask {
                    let scope = self.scope(number, clock)
                    let ticket = try await self.sent(board, scope, clock)
                    order.append(number)
                    self.end(board, ticket, .gotThrough, scope)
                }
            }
            for _ in 0..<200 { await Task.yield() }
            #expect(order.all.isEmpty)
            self.end(board, first, .gotThrough, nil)
            try await group.waitForAll()
        }
        #expect(Set(order.all) == Set(2...20))
    }

    @Test func aCallThatIsGivenUpWhileItWaitsLeavesItsPlace() async throws {
        let clock = ManualClock()
        let board = self.board(clock, perHost: 1)
        let first = try await self.sent(board, self.scope(1, clock), clock)
        let waiting = Task { await board.enter(Self.route, self.scope(2, clock), deadline: clock.now + .seconds(20)) }
        for _ in 0..<50 { await Task.yield() }
        waiting.cancel()
        guard case .cancelled = await waiting.value else {
            Issue.record("it was sent")
            return
        }
        self.end(board, first, .gotThrough, nil)
        // Nobody holds the one place.
        _ = try await self.sent(board, self.scope(3, clock), clock)
    }

    @Test func aPauseEndsByTheClockAlone() async throws {
        let clock = ManualClock()
        let board = self.board(clock)
        let scope = self.scope(1, clock)
        let ticket = try await self.sent(board, scope, clock)
        self.end(board, ticket, .pace(retryAfter: .seconds(3)), scope)
        let waiting = Task { try await self.sent(board, scope, clock) }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(3))
        _ = try await waiting.value
    }

    @Test func aKeptVerdictBeginsWhenSomebodyElseGetsThrough() async throws {
        let clock = ManualClock()
        let board = self.board(clock)
        let mine = self.scope(1, clock)
        // It has been judged once before: a second failure while others get through is its own.
        mine.login.callFailed(at: Self.route.answers, .answer, isForgiven: false, now: clock.now)
        clock.advance(by: .milliseconds(1))
        let other = self.scope(2, clock)
        self.end(board, try await self.sent(board, other, clock), .gotThrough, other)
        clock.advance(by: .milliseconds(1))
        let judgement = board.judge { destinations, now in
            mine.login.judged { $0.backOffEnded(user: mine.login.user, destinations, now: now) }
        }
        #expect(judgement == .again(counted: true))
        mine.login.runBegan()
        mine.login.callFailed(at: Self.route.answers, .answer, isForgiven: false, now: clock.now)
        let begun = Counter()
        board.keep(mine.login) { _ = begun.next() }
        // Its own success says nothing.
        clock.advance(by: .milliseconds(1))
        self.end(board, try await self.sent(board, mine, clock), .gotThrough, mine)
        #expect(begun.count == 0)
        clock.advance(by: .milliseconds(1))
        self.end(board, try await self.sent(board, other, clock), .gotThrough, other)
        #expect(begun.count == 1)
        clock.advance(by: .milliseconds(1))
        self.end(board, try await self.sent(board, other, clock), .gotThrough, other)
        #expect(begun.count == 1)
    }

    @Test func loginsThatWaitBeginWhenTheirDestinationIsBackAndNotBefore() async throws {
        let clock = ManualClock()
        let board = self.board(clock)
        for number: UInt64 in 1...3 {
            let scope = self.scope(number, clock)
            let ticket = try await self.sent(board, scope, clock)
            self.end(board, ticket, .failedToConnect(.connectionRefused), scope)
        }
        let connection = Destination.connection(host: "api.example", port: 443)
        #expect(board.isAway(connection) && board.troubles().map(\.name) == ["api.example:443"])
        let begun = Order()
        for number: UInt64 in 11...15 {
            board.wait(self.scope(number, clock).login, for: connection) { begun.append(number) }
        }
        #expect(begun.all.isEmpty)
        // One of them is begun to have a probe.
        await clock.waitForSleepers(1)
        clock.advance(by: .milliseconds(200))
        while begun.all.isEmpty { await Task.yield() }
        #expect(begun.all == [11])
        let probe = self.scope(11, clock)
        self.end(board, try await self.sent(board, probe, clock), .gotThrough, probe)
        #expect(!board.isAway(connection) && board.troubles().isEmpty)
        for number: UInt64 in 12...15 {
            while !begun.all.contains(number) { await Task.yield() }
            let scope = self.scope(number, clock)
            self.end(board, try await self.sent(board, scope, clock), .gotThrough, scope)
        }
        #expect(begun.all == [11, 12, 13, 14, 15])
    }
}
