import HTTPServer
import JSON

/// The control API:
///
/// ```
/// GET    /control/stats              counts per endpoint, tokens per audience, users written
/// GET    /control/faults             the faults that are on
/// PUT    /control/faults/{endpoint}  {"delay": 100, "error": {"share": 0.1, "status": 503, "retry_after": 2}, …}
/// DELETE /control/faults/{endpoint}  and /control/faults for all
/// PUT    /control/outage             nobody listens any more; DELETE: again
/// ```
extension SandboxServer {
    func control(_ request: HTTPServer.Request) -> HTTPServer.Answer {
        let parts = request.path.split(separator: "/").map(String.init)
        guard parts.first == "control", parts.count >= 2 else { return .now(Self.problem(404, "no such path")) }
        switch (request.method, parts[1], parts.count) {
        case ("GET", "stats", 2): return .now(.json(200, self.statistics.json))
        case ("GET", "faults", 2): return .now(.json(200, self.faultsAsJSON))
        case ("DELETE", "faults", 2):
            self.faults.clear()
            return .now(.init(status: 204))
        case ("PUT", "faults", 3), ("DELETE", "faults", 3): return .now(self.change(parts[2], request))
        case ("PUT", "outage", 2):
            return .later {
                await self.refuse()
                return .init(status: 204)
            }
        case ("DELETE", "outage", 2):
            do {
                try self.accept()
                return .now(.init(status: 204))
            } catch {
                return .now(Self.problem(500, "\(error)"))
            }
        default: return .now(Self.problem(404, "\(request.method) \(request.path) is nothing here"))
        }
    }

    private var faultsAsJSON: JSONValue {
        let faults = self.faults.faults.sorted { $0.key.rawValue < $1.key.rawValue }
        return JSONValue(faults.map { (name: $0.key.rawValue, value: $0.value.json) })
    }

    private func change(_ name: String, _ request: HTTPServer.Request) -> HTTPServer.Response {
        guard let endpoint = Endpoint(rawValue: name) else {
            let known = Endpoint.allCases.map(\.rawValue).joined(separator: ", ")
            return Self.problem(404, "no endpoint '\(name)'; there are \(known)")
        }
        guard request.method == "PUT" else {
            self.faults.set(nil, on: endpoint)
            return .init(status: 204)
        }
        do {
            let fault = try Fault(JSONValue(parsing: request.body))
            self.faults.set(fault, on: endpoint)
            return .json(200, fault.json)
        } catch {
            return Self.problem(400, "\(error)")
        }
    }

    private static func problem(_ status: Int, _ message: String) -> HTTPServer.Response {
        .json(status, ["error": .string(message)])
    }
}
