import AfterloginHTTPServer
import AfterloginJSON

/// The control API:
///
/// ```
/// GET    /control/stats            counts per endpoint, of buckets, tokens per audience, users written
/// GET    /control/faults           the faults that are on
/// PUT    /control/faults/{name}    {"delay": 100, "error": {"share": 0.1, "status": 503, "retry_after": 2}, "seconds": 30}
/// DELETE /control/faults/{name}    and /control/faults for all
/// PUT    /control/outage           nobody listens any more; DELETE: again (main, {"connection": "refused"})
/// ```
///
/// A name is an endpoint, or `main`: the port of all. A fault replaces the earlier one of that name.
extension SandboxServer {
    func control(_ request: HTTPServer.Request) -> HTTPServer.Answer {
        let parts = request.path.split(separator: "/").map(String.init)
        guard parts.first == "control", parts.count >= 2 else { return .now(Self.problem(404, "no such path")) }
        switch (request.method, parts[1], parts.count) {
        case ("GET", "stats", 2): return .now(.json(200, self.statistics.json))
        case ("GET", "faults", 2): return .now(.json(200, self.faultsAsJSON))
        case ("DELETE", "faults", 2): return self.afterwards(.init(status: 204)) { try await self.clearFaults() }
        case ("PUT", "faults", 3), ("DELETE", "faults", 3): return self.change(parts[2], request)
        case ("PUT", "outage", 2): return self.afterwards(.init(status: 204)) { try await self.refuse() }
        case ("DELETE", "outage", 2): return self.afterwards(.init(status: 204)) { try await self.accept() }
        default: return .now(Self.problem(404, "\(request.method) \(request.path) is nothing here"))
        }
    }

    private var faultsAsJSON: JSONValue { JSONValue(self.currentFaults.map { (name: $0.name, value: $0.fault.json) }) }

    private func change(_ name: String, _ request: HTTPServer.Request) -> HTTPServer.Answer {
        let endpoint = Endpoint(rawValue: name)
        guard endpoint != nil || name == "main" else {
            let known = (["main"] + Endpoint.allCases.map(\.rawValue)).joined(separator: ", ")
            return .now(Self.problem(404, "no endpoint '\(name)'; there are \(known)"))
        }
        guard request.method == "PUT" else {
            return self.afterwards(.init(status: 204)) { try await self.change(nil, on: endpoint) }
        }
        do {
            let fault = try SwitchedFault(JSONValue(parsing: request.body))
            return self.afterwards(.json(200, fault.json)) { try await self.change(fault, on: endpoint) }
        } catch {
            return .now(Self.problem(400, "\(error)"))
        }
    }

    /// The response, once that is done.
    private func afterwards(
        _ response: HTTPServer.Response,
        _ change: @escaping @Sendable () async throws -> Void
    ) -> HTTPServer.Answer {
        .later {
            do {
                try await change()
                return response
            } catch let refusal as Refusal {
                return Self.problem(409, refusal.description)
            } catch {
                return Self.problem(500, "\(error)")
            }
        }
    }

    private static func problem(_ status: Int, _ message: String) -> HTTPServer.Response {
        .json(status, ["error": .string(message)])
    }
}
