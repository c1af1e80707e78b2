import AfterloginHTTPMessages
import AfterloginHTTPServer
import AfterloginJSON
import AfterloginSystem

/// The Management API's users: GET, and PATCH with a merge of the first level.
///
/// Every id is somebody: the user that `SyntheticUser` makes of it, with what was written since.
final class UserDirectory: Sendable {
    private struct State {
        var written: [String: JSONValue] = [:]
        var second = 0
        var requestsInSecond = 0
    }

    /// Root fields that a PATCH may change (Management API, "Update a user").
    private static let writable: Set<String> = [
        "app_metadata", "blocked", "email", "email_verified", "family_name", "given_name", "name", "nickname",
        "phone_number", "phone_verified", "picture", "user_metadata", "username",
    ]

    private let seed: UInt64
    private let rate: Int
    private let now: @Sendable () -> Double
    private let state = Mutex(State())

    init(seed: UInt64, rate: Int, now: @escaping @Sendable () -> Double) {
        self.seed = seed
        self.rate = rate
        self.now = now
    }

    /// How many users were written to.
    var writtenCount: Int { self.state.withLock { $0.written.count } }

    func answer(_ request: HTTPServer.Request, id: String) -> HTTPServer.Response {
        let limit = self.takeFromLimit()
        var response = limit.isExceeded ? Self.error(429, "Global limit has been reached") : self.act(request, id)
        response.headers["x-ratelimit-limit"] = String(self.rate)
        response.headers["x-ratelimit-remaining"] = String(limit.remaining)
        response.headers["x-ratelimit-reset"] = String(limit.reset)
        if limit.isExceeded { response.headers["Retry-After"] = "1" }
        return response
    }

    private func act(_ request: HTTPServer.Request, _ id: String) -> HTTPServer.Response {
        switch request.method {
        case "GET": return .json(200, self.state.withLock { $0.written[id] } ?? self.untouched(id))
        case "PATCH":
            guard let changes = try? JSONValue(parsing: request.body).object, !changes.isEmpty else {
                return Self.error(400, "Payload validation error: a JSON object with fields is expected")
            }
            if let unknown = changes.members.first(where: { !Self.writable.contains($0.name) }) {
                return Self.error(400, "Payload validation error: '\(unknown.name)' is not allowed")
            }
            return .json(200, self.merge(changes, into: id))
        default: return Self.error(405, "Use GET or PATCH")
        }
    }

    private func merge(_ changes: JSONObject, into id: String) -> JSONValue {
        self.state.withLock { state in
            var user = state.written[id] ?? self.untouched(id)
            for (name, value) in changes.members {
                guard name.hasSuffix("_metadata"), let members = value.object?.members else {
                    user[name] = value
                    continue
                }
                var metadata = user[name]?.object ?? [:]
                for (name, value) in members { metadata[name] = value.isNull ? nil : value }
                user[name] = .object(metadata)
            }
            state.written[id] = user
            return user
        }
    }

    private func untouched(_ id: String) -> JSONValue {
        var writer = JSONWriter()
        SyntheticUser(id: id, seed: self.seed).write(to: &writer, loginsCount: 1)
        return (try? JSONValue(parsing: writer.bytes)) ?? .null
    }

    private func takeFromLimit() -> (isExceeded: Bool, remaining: Int, reset: Int) {
        let second = Int(self.now())
        return self.state.withLock { state in
            if state.second != second {
                state.second = second
                state.requestsInSecond = 0
            }
            state.requestsInSecond += 1
            return (
                state.requestsInSecond > self.rate, max(0, self.rate - state.requestsInSecond), second + 1
            )
        }
    }

    private static func error(_ status: Int, _ message: String) -> HTTPServer.Response {
        .json(status, ["statusCode": JSONValue(status), "message": .string(message)])
    }
}
