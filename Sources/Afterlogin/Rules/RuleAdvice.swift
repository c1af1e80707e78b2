/// What the sources of JavaScript rules give away before they run.
enum RuleAdvice {
    /// Whether the Management API token must be there before the rule starts: it is a plain property in Auth0.
    static func readsAccessToken(_ source: String) -> Bool {
        // Not `\b`: to Unicode `accessToken.length` is one word.
        source.contains(/auth0\s*(\.\s*accessToken(?![\w$])|\[\s*['"]accessToken['"]\s*\])/)
            || source.contains(/\{([^}]*[^\w$}])?accessToken(?![\w$])[^}]*\}\s*=\s*auth0(?![\w$])/)
    }

    /// Whether it may write the metadata of another account, which is a PATCH with the worker's token.
    ///
    /// Any id but `user.user_id` as it came may be another's.
    static func mayWriteToOthers(_ source: String, idMayChange: Bool) -> Bool {
        source.contains(/update(User|App)Metadata\s*\((?!\s*user\s*\.\s*user_id\s*[,)])/)
            || idMayChange && source.contains(/update(User|App)Metadata/)
    }

    /// Whether it may put another id in the place of `user.user_id`.
    static func changesID(_ source: String) -> Bool { source.contains(/user_id['"`]?\s*\]?\s*=[^=]/) }

    /// The names of `configuration.NAME` and `configuration['NAME']`, with the line of the first use.
    static func configurationReads(_ source: String) -> [(name: String, line: Int, column: Int)] {
        var found: [(name: String, line: Int, column: Int)] = []
        let pattern = /\bconfiguration\s*(?:\.\s*([A-Za-z_$][\w$]*)|\[\s*['"]([^'"\]]+)['"]\s*\])/
        for (line, text) in source.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            for match in text.matches(of: pattern) {
                guard let name = (match.output.1 ?? match.output.2).map(String.init) else { continue }
                guard !found.contains(where: { $0.name == name }) else { continue }
                let column = text.utf8.distance(from: text.startIndex, to: match.range.lowerBound) + 1
                found.append((name, line + 1, column))
            }
        }
        return found
    }

    static func notes(_ entries: [RuleDirectory.Entry], configured: Set<String>) -> [RuleProblem] {
        var notes: [RuleProblem] = []
        for entry in entries {
            for read in self.configurationReads(entry.source) where !configured.contains(read.name) {
                notes.append(
                    RuleProblem(
                        file: entry.file,
                        line: read.line,
                        column: read.column,
                        reason: "reads configuration.\(read.name), which the configuration does not set"
                    )
                )
            }
        }
        guard let expensive = entries.firstIndex(where: { self.callsOut($0.source) }) else { return notes }
        for guardRule in entries[(expensive + 1)...] where self.isCheapGuard(guardRule.source) {
            notes.append(
                RuleProblem(
                    file: guardRule.file,
                    reason:
                        "denies logins without calling anything: put it before \(entries[expensive].name), which makes calls"
                )
            )
        }
        return notes
    }

    private static func callsOut(_ source: String) -> Bool {
        source.contains(
            /\bfetch\s*\(|\brequire\s*\(\s*['"](node:)?(https?|axios|request|request-promise|node-fetch|got|superagent|auth0)\b/
        )
    }

    private static func isCheapGuard(_ source: String) -> Bool {
        source.contains("UnauthorizedError") && !self.callsOut(source)
    }
}
