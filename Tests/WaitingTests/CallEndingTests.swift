import AfterloginWaiting
import Testing

/// The table of "Waiting for the world", row by row.
@Suite(.timeLimit(.minutes(1)))
struct CallEndingTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var name: String
        var ending: CallEnding
        var telling: CallVerdict.Telling
        var effect: CallVerdict.Effect
        var consequence: CallVerdict.Consequence
        var forgiven: CallVerdict.Consequence = .stands
        var forgivenTelling: CallVerdict.Telling?

        var testDescription: String { self.name }
    }

    static let rows: [Row] = [
        Row(name: "got through", ending: .gotThrough, telling: .told, effect: .ends, consequence: .stands),
        Row(
            name: "(a)",
            ending: .failedToConnect(.connectionRefused),
            telling: .told,
            effect: .towardsConnectionRow,
            consequence: .judged
        ),
        Row(
            name: "(b)",
            ending: .failedToAnswer(nil),
            telling: .told,
            effect: .towardsAnswerRow,
            consequence: .judged
        ),
        Row(name: "(c)", ending: .serverError, telling: .told, effect: .nothing, consequence: .judged),
        Row(
            name: "given up unanswered after 1 s",
            ending: .givenUpUnanswered(after: .seconds(1)),
            telling: .nobodyListens,
            effect: .towardsAnswerRow,
            consequence: .judged
        ),
        Row(
            name: "given up unanswered before",
            ending: .givenUpUnanswered(after: .milliseconds(999)),
            telling: .nobodyListens,
            effect: .nothing,
            consequence: .stands
        ),
        Row(
            name: "pace",
            ending: .pace(retryAfter: nil),
            telling: .notTold,
            effect: .pauses,
            consequence: .sentAgain,
            forgivenTelling: .told
        ),
        Row(
            name: "given up unsent",
            ending: .givenUpUnsent,
            telling: .nobodyListens,
            effect: .nothing,
            consequence: .dropped,
            forgiven: .dropped
        ),
        Row(
            name: "a token refused",
            ending: .tokenRefused,
            telling: .notTold,
            effect: .away,
            consequence: .waits,
            forgivenTelling: .told
        ),
        Row(name: "undecided", ending: .undecided, telling: .told, effect: .nothing, consequence: .stands),
    ]

    @Test(arguments: Self.rows)
    func aRowOfTheTable(row: Row) {
        let verdict = CallVerdict(of: row.ending)
        #expect(verdict.telling == row.telling)
        #expect(verdict.effect == row.effect)
        #expect(verdict.consequence == row.consequence)
        let forgiven = CallVerdict(of: row.ending, isForgiven: true)
        #expect(forgiven.telling == row.forgivenTelling ?? row.telling)
        #expect(forgiven.effect == row.effect)
        #expect(forgiven.consequence == row.forgiven)
    }

    @Test(arguments: [200, 204, 301, 304, 400, 401, 403, 404, 409, 410, 418, 422, 451, 501, 505, 507, 511, 519, 531])
    func anyOtherAnswerGetsThrough(status: Int) {
        #expect(CallEnding.of(status: status, retryAfter: nil) == .gotThrough)
        #expect(CallEnding.of(status: status, retryAfter: .seconds(1)) == .gotThrough)
    }

    @Test(arguments: [408, 502, 503, 504] + Array(520...530))
    func gatewaysThatSayNothingOfTheUserFailToAnswer(status: Int) {
        #expect(CallEnding.of(status: status, retryAfter: nil) == .failedToAnswer(nil))
        #expect(CallEnding.of(status: status, retryAfter: nil, hasToken: false) == .failedToAnswer(nil))
    }

    @Test
    func fiveHundredIsTheApplications() {
        #expect(CallEnding.of(status: 500, retryAfter: nil) == .serverError)
        #expect(CallEnding.of(status: 500, retryAfter: .seconds(1)) == .serverError)
    }

    @Test
    func paceIs429And503WithRetryAfter() {
        #expect(CallEnding.of(status: 429, retryAfter: nil) == .pace(retryAfter: nil))
        #expect(CallEnding.of(status: 429, retryAfter: .seconds(2)) == .pace(retryAfter: .seconds(2)))
        #expect(CallEnding.of(status: 503, retryAfter: .seconds(2)) == .pace(retryAfter: .seconds(2)))
        #expect(CallEnding.of(status: 429, retryAfter: nil, hasToken: false) == .pace(retryAfter: nil))
        #expect(CallEnding.of(status: 502, retryAfter: .seconds(2)) == .failedToAnswer(nil))
    }

    @Test(arguments: [500, 501, 505, 507, 511, 599])
    func anyServerErrorOfATokenEndpointIsItsOwn(status: Int) {
        #expect(CallEnding.of(status: status, retryAfter: nil, hasToken: false) == .failedToAnswer(nil))
    }

    @Test(arguments: [200, 204, 302, 400, 401, 403, 404])
    func anyAnswerWithoutATokenRefusesIt(status: Int) {
        #expect(CallEnding.of(status: status, retryAfter: nil, hasToken: false) == .tokenRefused)
        #expect(CallEnding.of(status: status, retryAfter: nil, hasToken: true) == .gotThrough)
    }

    static let failures: [(CallFailure, CallEnding)] = [
        (.nameNotFound, .failedToConnect(.nameNotFound)),
        (.connectionRefused, .failedToConnect(.connectionRefused)),
        (.connectTimeout, .failedToConnect(.connectTimeout)),
        (.connectFailed, .failedToConnect(.connectFailed)),
        (.tls, .failedToConnect(.tls)),
        (.certificate, .failedToConnect(.certificate)),
        (.timeout, .failedToAnswer(.timeout)),
        (.connectionReset, .failedToAnswer(.connectionReset)),
        (.truncated, .failedToAnswer(.truncated)),
        (.badResponse, .failedToAnswer(.badResponse)),
        (.other, .failedToAnswer(.other)),
        (.responseTooLarge, .gotThrough),
        (.invalidRequest, .undecided),
    ]

    @Test(arguments: Self.failures)
    func aCallWithoutAnAnswer(failure: CallFailure, ending: CallEnding) { #expect(CallEnding.of(failure) == ending) }

    @Test
    func everyFailureHasARow() { #expect(Set(Self.failures.map(\.0)) == Set(CallFailure.allCases)) }

    @Test
    func onlyAnAnswerSaysThatTheConnectionIsWell() {
        #expect(CallEnding.failedToAnswer(nil).reachedServer)
        #expect(CallEnding.serverError.reachedServer)
        #expect(CallEnding.pace(retryAfter: nil).reachedServer)
        #expect(!CallEnding.failedToAnswer(.timeout).reachedServer)
        #expect(!CallEnding.failedToConnect(.tls).reachedServer)
        #expect(!CallEnding.givenUpUnanswered(after: .seconds(9)).reachedServer)
    }

    @Test
    func aFailureIsOfTheConnectionOrOfTheAnswers() {
        let route = Route.call(rule: "sync", host: "api.example.com", port: 443)
        #expect(
            route.destination(failing: .failedToConnect(.tls)) == .connection(host: "api.example.com", port: 443)
        )
        #expect(route.destination(failing: .serverError) == route.answers)
        #expect(route.destination(failing: .failedToAnswer(nil)) == route.answers)
        #expect(route.destination(failing: .gotThrough) == nil)
        #expect(Route.grant("g").destination(failing: .failedToConnect(.tls)) == .grant("g"))
        #expect(route.answers.description == "api.example.com:443 (rule sync)")
        #expect(Destination.connection(host: "::1", port: 80).description == "[::1]:80")
    }
}
