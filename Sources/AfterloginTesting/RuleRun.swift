public import Afterlogin

/// What a rule made of a login.
public struct RuleRun: Sendable {
    /// How the rule ended.
    public enum Outcome: Sendable {
        /// The chain goes on.
        case completed
        /// The login is denied, with this message.
        case denied(String)
        /// The rule threw this. In the worker it runs again where a call of it failed in a way that may pass.
        case failed(any Error)
        /// What the rule needs is away: in the worker its login waits, and whatever the rule made of it is dropped.
        case waits
    }

    /// How the rule ended.
    public let outcome: Outcome
    /// The user as the rule left it.
    public let user: JSONValue
    /// The context as the rule left it.
    public let context: JSONValue
    /// What is published as changes of `user_metadata`; a key that is deleted is `.null`.
    public let userMetadata: JSONObject
    /// The same of `app_metadata`.
    public let appMetadata: JSONObject

    /// Whether the chain goes on.
    public var isCompleted: Bool { if case .completed = self.outcome { true } else { false } }
}

extension Rule {
    /// Runs the rule for one login, as the worker does, and says what it made of it.
    ///
    /// - Parameters:
    ///   - user: the user's profile; `user_id` is the only member that every login has.
    ///   - context: what is known of the login itself.
    ///   - services: what answers the rule's requests; by default each of them throws.
    /// - Returns: how the rule ended, and what it wrote.
    public func run(
        user: JSONValue,
        context: JSONValue = .object(JSONObject()),
        using services: ScriptedServices = ScriptedServices()
    ) async -> RuleRun {
        var login = Login(id: "test", time: "2026-01-01T00:00:00Z", user: user, context: context)
        let before = login
        var outcome = RuleRun.Outcome.completed
        do {
            try await self.evaluate(&login, using: services)
        } catch let denial as Denial {
            outcome = .denied(denial.message)
        } catch {
            outcome = .failed(error)
        }
        if services.wasAway { (outcome, login) = (.waits, before) }
        return RuleRun(
            outcome: outcome,
            user: login.user,
            context: login.context,
            userMetadata: Self.changes(login.metadata.user),
            appMetadata: Self.changes(login.metadata.app)
        )
    }

    private static func changes(_ part: MetadataChanges.Part) -> JSONObject {
        var changes = JSONObject()
        for (name, value) in part.set { changes[name] = value.value }
        for name in part.removed { changes[name] = .null }
        return changes
    }
}
