import AfterloginWaiting

/// Calls to one API, one line each.
final class Transcript {
    let at = Timeline()
    let route: Route
    private var calls: UInt64 = 0

    init(_ route: Route = .call(rule: "sync", host: "api.example.com", port: 443)) { self.route = route }

    func make(_ user: LoginUser?, login: UInt64? = nil, deadline: Double = 1e6, route: Route? = nil) -> WaitingCall {
        self.calls += 1
        return WaitingCall(
            id: self.calls,
            login: login ?? 1_000 + self.calls,
            user: user,
            arrival: self.calls,
            deadline: self.at(deadline),
            route: route ?? self.route
        )
    }

    /// A call that is sent and ends; nil where it is not sent.
    @discardableResult
    func call(
        _ destinations: inout Destinations,
        _ user: LoginUser?,
        _ ending: CallEnding,
        from: Double,
        to: Double,
        route: Route? = nil
    ) -> CallEnd? {
        let answer = destinations.ask(self.make(user, route: route), now: self.at(from))
        guard case .send(let ticket) = answer else { return nil }
        return self.end(&destinations, ticket, ending, to)
    }

    @discardableResult
    func end(
        _ destinations: inout Destinations,
        _ ticket: CallTicket,
        _ ending: CallEnding,
        _ seconds: Double
    ) -> CallEnd {
        destinations.ended(
            ticket,
            ending,
            error: "connect ECONNREFUSED",
            isFirstFailure: { _ in true },
            now: self.at(seconds),
            fraction: 1
        )
    }
}
