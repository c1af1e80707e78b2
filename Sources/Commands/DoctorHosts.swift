import Afterlogin
import AfterloginEgress
import AfterloginHTTPMessages
import AfterloginRules
import AfterloginSystem

/// The hosts that rules may reach, or name: each is asked once, all at the same time.
struct DoctorHosts {
    /// So many are asked.
    private static let most = 100

    private struct Question {
        /// As it stands in `egress.allow`, without what stands for private addresses.
        var entry: String
        var origins: [String]
        /// Where a rule names it, and `egress.allow` does not.
        var place: String?
    }

    let setup: Setup

    func lines() async throws(CommandFailure) -> [DoctorCommand.Line] {
        let literal = LiteralHost.all(self.setup.configuration.ruleSettings(file: self.setup.file))
        let allowed = self.setup.configuration.egress.allow.map(AllowList.place(of:))
        var questions = allowed.map { entry in
            let named = literal.filter { $0.isAllowed && $0.entry == entry }.map(\.origin)
            return Question(entry: entry, origins: named.isEmpty ? ["https://\(entry)", "http://\(entry)"] : named)
        }
        for host in literal where !allowed.contains(host.entry) {
            let place = host.isAllowed ? nil : "\(host.file):\(host.line)"
            questions.append(Question(entry: host.entry, origins: [host.origin], place: place))
        }
        // Also what is not allowed is asked: once it is, it should answer.
        var asking = self.setup
        asking.configuration.egress.allow += questions.map(\.entry)
        let egress = try asking.egress(waitsForOutages: false)
        let lines = await withTaskGroup(of: (Int, DoctorCommand.Line).self) { group in
            for (number, question) in questions.prefix(Self.most).enumerated() {
                group.addTask { (number, await self.line(question, egress)) }
            }
            return await group.reduce(into: [(Int, DoctorCommand.Line)]()) { $0.append($1) }
        }
        await egress.shutdown()
        return lines.sorted { $0.0 < $1.0 }.map(\.1)
    }

    private func line(_ question: Question, _ egress: WorkerEgress) async -> DoctorCommand.Line {
        let what = "host \(question.entry)"
        guard !question.entry.hasPrefix("*.") else {
            return .init(verdict: .fine, what: what, finding: "a wildcard; nothing to try")
        }
        let (verdict, finding) = await self.look(question, egress)
        guard let place = question.place else { return .init(verdict: verdict, what: what, finding: finding) }
        return .init(
            verdict: .warning,
            what: what,
            finding:
                "\(finding); named at \(place), but not in egress.allow: write it there, or a call to it is refused"
        )
    }

    private func look(
        _ question: Question,
        _ egress: WorkerEgress
    ) async -> (verdict: DoctorCommand.Verdict, finding: String) {
        var problem: (verdict: DoctorCommand.Verdict, finding: String) = (.problem, "no address to ask")
        for (number, origin) in question.origins.enumerated() {
            var request = HTTPRequest("HEAD", "\(origin)/")
            request.timeout = .seconds(5)
            let call = EgressCall(rule: "doctor", request: request, deadline: .now + .seconds(6))
            switch await egress.send(call) {
            case .response(let response, _):
                let isPlain = origin.hasPrefix("http:")
                return (.fine, "answers\(isPlain ? " without TLS" : "") (\(response.status))")
            case .away(let destination): problem = (.problem, "\(destination) is away")
            case .failed(let failure, _):
                if number == 0 {
                    problem = (.problem, "\(failure.message); \(Self.advice(failure.kind, question.entry))")
                }
                // Inside of a network many speak no TLS; nothing else is better without.
                guard failure.kind == .tls else { return problem }
            }
        }
        return problem
    }

    private static func advice(_ kind: HTTPFailure.Kind, _ entry: String) -> String {
        switch kind {
        case .nameNotFound: "check the name, and the resolver"
        case .connectionRefused, .connectTimeout: "the name resolves; check the port, and the network between"
        case .certificate: "it connects; check egress.ca_file, and the server's certificate"
        case .tls: "it connects, but speaks no TLS 1.2 or later: check that the port is the one of https"
        case .addressRefused: "where that is meant, write private:\(entry) in egress.allow"
        case .invalidRequest, .timeout, .connectionReset, .responseTooLarge, .headersTooLarge, .badResponse, .cancelled,
            .other:
            "it connects; see what the server says"
        }
    }
}

/// How many files the process may open, and what that is enough for.
enum DoctorDescriptors {
    static func line(_ configuration: Configuration, limit: Int = Descriptors.limit) -> DoctorCommand.Line {
        let plan = DescriptorPlan(limit: limit)
        guard limit >= DescriptorPlan.least else {
            let finding = "\(limit) (ulimit -Hn), and run needs \(DescriptorPlan.least): raise the limit"
            return .init(verdict: .problem, what: "open files", finding: finding)
        }
        let finding = "\(limit) allow \(plan.calls) calls at a time"
        guard plan.calls / 2 < configuration.egress.perHost else {
            return .init(verdict: .fine, what: "open files", finding: finding)
        }
        return .init(
            verdict: .warning,
            what: "open files",
            finding:
                "\(finding), \(plan.calls / 2) to one host instead of egress.per_host \(configuration.egress.perHost): "
                + "others wait; raise ulimit -Hn"
        )
    }
}
