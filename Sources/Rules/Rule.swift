public import AfterloginHTTPMessages
public import AfterloginJSON

/// A login rule written in Swift; it runs in the same chain as JavaScript rules.
public protocol Rule: Sendable {
    /// Unique in the chain.
    var name: String { get }
    /// The rule's place in the chain: ascending, unique among native and JavaScript rules.
    var order: Int { get }

    /// Runs for one login. Throw `Denial` to stop the chain on purpose, anything else to fail.
    ///
    /// The rule is run again, from the login as it was before, when a retryable call failed inside and this throws.
    /// It must honour cancellation: at `rules.timeout` its task is cancelled and the login fails without waiting for it.
    ///
    /// - Parameters:
    ///   - login: what earlier rules left; changes flow to later rules and into the result.
    ///   - services: the worker's egress path, with its allow-list, tokens, retries and limits.
    /// - Throws: `Denial` for a verdict, any other error for a fault.
    func evaluate(_ login: inout Login, using services: any RuleServices) async throws
}

/// A verdict: this login is not wanted.
///
/// Not a fault, and never retried.
public struct Denial: Error, Sendable {
    /// What the result says to its reader.
    public var message: String

    /// Creates a verdict with the message that the result carries.
    public init(_ message: String) { self.message = message }
}

/// A login as a rule sees it.
public struct Login: Sendable {
    /// The event's id, unique per login.
    public let id: String
    /// When the login happened, as RFC 3339 text.
    public let time: String
    /// The user's profile, an object.
    public var user: JSONValue { didSet { self.userIsChanged = true } }
    /// What is known of the login itself (client, connection, protocol, request), an object.
    public var context: JSONValue { didSet { self.contextIsChanged = true } }
    /// Whether a rule wrote to it; what was only read keeps its bytes.
    private(set) var userIsChanged = false
    private(set) var contextIsChanged = false
    package var metadata: MetadataChanges

    /// Creates a login, for tests of rules.
    public init(id: String, time: String, user: JSONValue, context: JSONValue = .object(JSONObject())) {
        self.init(id: id, time: time, user: user, context: context, metadata: MetadataChanges())
    }

    package init(id: String, time: String, user: JSONValue, context: JSONValue, metadata: MetadataChanges) {
        self.id = id
        self.time = time
        self.user = user
        self.context = context
        self.metadata = metadata
    }

    /// Merges first-level keys into the user's `user_metadata`; `.null` deletes a key.
    ///
    /// Published as `changes` of the result; `user` stays as it is, as in Auth0.
    public mutating func updateUserMetadata(_ changes: JSONObject) { self.metadata.user.merge(changes) }

    /// Merges first-level keys into the user's `app_metadata`; `.null` deletes a key.
    ///
    /// Published as `changes` of the result; `user` stays as it is, as in Auth0.
    public mutating func updateAppMetadata(_ changes: JSONObject) { self.metadata.app.merge(changes) }
}

/// What the worker offers to a native rule.
public protocol RuleServices: Sendable {
    /// Sends a request by the egress path. A response of any status is a response, not an error.
    ///
    /// - Parameter request: address, headers and body; its time limit is shortened to the rule's.
    /// - Returns: the response, its body whole.
    /// - Throws: `HTTPFailure` when no response came, also for a host that is not in `egress.allow`.
    func send(_ request: HTTPRequest) async throws -> HTTPResponse

    /// The same, with a bearer token of `tokens` in the configuration.
    ///
    /// - Parameters:
    ///   - request: as above; its `Authorization` is replaced.
    ///   - name: the key under `tokens`.
    /// - Returns: the response, its body whole.
    /// - Throws: `HTTPFailure` when no response came or no token of that name is configured.
    func send(_ request: HTTPRequest, token name: String) async throws -> HTTPResponse

    /// Writes a line to the worker's log, redacted, with the rule's name.
    func log(_ message: String)
}
