import Afterlogin
import AfterloginDelivery
import AfterloginEgress
import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginKafka
import AfterloginObservability
import AfterloginRuleHost
import AfterloginRules

/// Looks at everything that `run` needs, and says what to do: one line each.
enum DoctorCommand: Command {
    static let name = "doctor"
    static let summary = "looks at brokers, topics, tokens, hosts, Node and the kernel, and says what to do"
    static let example = "afterlogin doctor --config afterlogin.yaml"
    static let options = CommandOption.configuration + [.value("format", "FORMAT", "text or json")]

    enum Verdict: String {
        case fine = "ok"
        case warning
        case problem
    }

    struct Line {
        var verdict: Verdict
        var what: String
        var finding: String
    }

    static func run(_ arguments: Arguments, rules: [any Rule]) async throws(CommandFailure) -> ExitCode {
        let isJSON = try arguments.wantsJSON()
        let setup = try Setup(arguments, isForPeople: true)
        let quiet = setup.log
        var lines = [
            Line(verdict: .fine, what: "configuration", finding: setup.file ?? "no file; environment and flags only")
        ]
        lines.append(DoctorDescriptors.line(setup.configuration))
        lines += await self.kafka(setup, quiet)
        lines += try await self.egress(setup)
        lines.append(await self.rules(setup, rules, quiet))
        lines += await self.ruleHost(setup)
        if isJSON {
            let report = lines.map { line -> JSONValue in
                [
                    "verdict": .string(line.verdict.rawValue),
                    "what": .string(setup.log.redactor.redact(line.what)),
                    "finding": .string(setup.log.redactor.redact(line.finding)),
                ]
            }
            Output.line(JSONValue.array(report).serialized())
        } else {
            for line in lines {
                let text = setup.log.redactor.redact("\(line.what): \(line.finding)")
                Output.text("\(line.verdict.rawValue.padded(to: 8)) \(TerminalText.plain(text))")
            }
        }
        return lines.contains { $0.verdict == .problem } ? .failed : .done
    }

    private static func kafka(_ setup: Setup, _ log: Log) async -> [Line] {
        var check = TopicCheck(setup)
        check.log = log
        let brokers = setup.configuration.kafka.brokers
        do throws(KafkaError) {
            let admin = try check.makeAdmin(group: setup.configuration.kafka.group)
            var readable: [String] = []
            let found = try await admin.brokers(timeout: TopicCheck.timeout)
            var lines = [Line(verdict: .fine, what: "brokers", finding: found.joined(separator: ", "))]
            for (topic, finding, isInput) in try await check.findings(admin) {
                switch finding {
                case .fine(let description):
                    if isInput { readable.append(topic) }
                    lines.append(
                        Line(verdict: .fine, what: "topic \(topic)", finding: "\(description.partitions) partitions")
                    )
                case .missing:
                    lines.append(
                        Line(
                            verdict: .problem,
                            what: "topic \(topic)",
                            finding: "does not exist; run: afterlogin topics --create"
                        )
                    )
                case .refused(_, let error):
                    lines.append(
                        Line(
                            verdict: .problem,
                            what: "topic \(topic)",
                            finding: "\(error.forPeople); give this client permission to it"
                        )
                    )
                }
            }
            if !readable.isEmpty { lines += await self.access(admin, setup.configuration.kafka.group, readable) }
            await admin.close()
            return lines
        } catch {
            let hint = "check kafka.brokers, the network, and kafka.properties (SASL, TLS)"
            return [Line(verdict: .problem, what: "brokers", finding: "\(brokers): \(error.forPeople); \(hint)")]
        }
    }

    /// What the group and the input topics refuse; whether results may be written only a result can tell.
    private static func access(
        _ admin: KafkaAdmin,
        _ group: String,
        _ topics: [String]
    ) async -> [Line] {
        do throws(KafkaError) {
            let found = try await admin.access(to: topics, timeout: .seconds(5))
            let topics = found.topics.sorted { $0.key < $1.key }.map { topic, error in
                Line(
                    verdict: .problem,
                    what: "topic \(topic)",
                    finding: "can't be read: \(error.forPeople); give this client permission to read it"
                )
            }
            guard let error = found.group else {
                return topics + [Line(verdict: .fine, what: "group \(group)", finding: "may be used")]
            }
            return topics + [
                Line(
                    verdict: .problem,
                    what: "group \(group)",
                    finding: "can't be used: \(error.forPeople); give this client permission, or set kafka.group"
                )
            ]
        } catch {
            return [
                Line(
                    verdict: .problem,
                    what: "group \(group)",
                    finding: "\(error.forPeople); try again when the brokers are well"
                )
            ]
        }
    }

    private static func egress(_ setup: Setup) async throws(CommandFailure) -> [Line] {
        let egress = try setup.egress(waitsForOutages: false)
        var lines: [Line] = []
        if let url = setup.configuration.tenant.resolvedTokenURL, setup.configuration.tenant.clientID != nil {
            if let problem = await egress.probeToken() {
                lines.append(
                    Line(
                        verdict: .problem,
                        what: "token endpoint",
                        finding: "\(problem); check tenant in the configuration, and the client's grant"
                    )
                )
            } else {
                lines.append(Line(verdict: .fine, what: "token endpoint", finding: "\(url) gave a token"))
            }
        } else {
            lines.append(
                Line(
                    verdict: .warning,
                    what: "token endpoint",
                    finding: "none: set tenant.domain and tenant.client_id where rules need a token of the worker's"
                )
            )
        }
        await egress.shutdown()
        return lines + (try await DoctorHosts(setup: setup).lines())
    }

    private static func rules(_ setup: Setup, _ rules: [any Rule], _ log: Log) async -> Line {
        let loader = RuleChainLoader(
            configuration: setup.configuration.ruleSettings(file: setup.file),
            nativeRules: rules,
            egress: RefusingEgress(),
            log: log,
            metrics: setup.metrics
        )
        do throws(RuleChainRefusal) {
            let (chain, notes) = try await loader.load()
            await chain.shutdown()
            let finding =
                "\(chain.ruleNames.count) in order"
                + (notes.isEmpty ? "" : "; \(self.count(notes.count, "note")), see afterlogin check")
            return Line(verdict: .fine, what: "rules", finding: finding)
        } catch {
            return Line(
                verdict: .problem,
                what: "rules",
                finding: "\(self.count(error.problems.count, "problem")); see afterlogin check"
            )
        }
    }

    private static func count(_ number: Int, _ noun: String) -> String {
        number == 1 ? "1 \(noun)" : "\(number) \(noun)s"
    }

    private static func ruleHost(_ setup: Setup) async -> [Line] {
        do throws(RuleHostRefusal) {
            let host = try await RuleHostProbe.look(setup.configuration.rules.host)
            var lines = [Line(verdict: .fine, what: "Node", finding: host.nodeVersion)]
            let missing = host.notEnforced.joined(separator: ", ")
            guard !host.mayReadEveryFile else {
                let finding =
                    "\(RuleHostStatus.whatIsOpen): this kernel lacks \(missing); \(RuleHostStatus.whatToDo)"
                return lines + [Line(verdict: .warning, what: "confinement", finding: finding)]
            }
            lines.append(
                missing.isEmpty
                    ? Line(verdict: .fine, what: "confinement", finding: host.confinement.joined(separator: ", "))
                    : Line(
                        verdict: .warning,
                        what: "confinement",
                        finding:
                            "this kernel lacks \(missing); a newer one, or another seccomp profile of the container, has it"
                    )
            )
            return lines
        } catch {
            return [
                Line(
                    verdict: .problem,
                    what: "Node",
                    finding: "\(error.message); JavaScript rules need Node 18 or later (rules.host.node)"
                )
            ]
        }
    }
}

/// For looking at rules without running them.
struct RefusingEgress: Egress {
    func send(_ call: EgressCall) async -> EgressReply {
        .failed(HTTPFailure(kind: .cancelled, message: "", code: ""), CallOutcome())
    }
    func send(_ call: EgressCall, token name: String) async -> EgressReply { await self.send(call) }
    func managementToken() async -> ManagementTokenReply { .refused("") }
}
