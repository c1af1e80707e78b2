package import JSON

/// Why a text is no fault.
package struct FaultProblem: Error, CustomStringConvertible {
    package let description: String
}

/// ```json
/// {"delay": 100, "error": {"share": 0.1, "status": 503, "retry_after": 2}, "hang": 0.01, "reset": 0.01, "outage": true}
/// {"delay": {"uniform": [50, 150]}}   {"delay": {"exponential": 100}}   {"delay": {"lognormal": [80, 0.5]}}
/// ```
///
/// Times in milliseconds; `error` may be a share alone.
extension Fault {
    /// Reads the JSON form.
    ///
    /// - Throws: `FaultProblem`: an unknown name, a share beyond 1, a negative time.
    package init(_ value: JSONValue) throws(FaultProblem) {
        self.init()
        guard let object = value.object else { throw FaultProblem(description: "a fault is an object") }
        for (name, value) in object.members {
            switch name {
            case "delay": self.delay = try Delay(value)
            case "error": try self.setError(value)
            case "hang": self.hangShare = try Self.share(value, name)
            case "reset": self.resetShare = try Self.share(value, name)
            case "outage":
                guard let isOutage = value.bool else { throw FaultProblem(description: "outage is true or false") }
                self.isOutage = isOutage
            default:
                throw FaultProblem(description: "unknown fault '\(name)'; known: delay, error, hang, reset, outage")
            }
        }
    }

    private mutating func setError(_ value: JSONValue) throws(FaultProblem) {
        guard let object = value.object else {
            self.errorShare = try Self.share(value, "error")
            return
        }
        self.errorShare = 1
        for (name, value) in object.members {
            switch name {
            case "share", "rate": self.errorShare = try Self.share(value, name)
            case "status":
                guard let status = value.int, (400...599).contains(status) else {
                    throw FaultProblem(description: "status is 400 to 599")
                }
                self.errorStatus = status
            case "retry_after":
                guard let seconds = value.int, seconds >= 0 else {
                    throw FaultProblem(description: "retry_after is in whole seconds")
                }
                self.retryAfter = seconds
            default: throw FaultProblem(description: "unknown '\(name)' in error; known: share, status, retry_after")
            }
        }
    }

    private static func share(_ value: JSONValue, _ name: String) throws(FaultProblem) -> Double {
        guard let share = value.double, (0...1).contains(share) else {
            throw FaultProblem(description: "\(name) is a share in 0 to 1")
        }
        return share
    }

    package var json: JSONValue {
        var value: JSONValue = [:]
        value["delay"] = self.delay?.json
        if self.errorShare > 0 {
            value["error"] = ["share": JSONValue(self.errorShare), "status": JSONValue(self.errorStatus)]
            value["error"]?["retry_after"] = self.retryAfter.map { JSONValue($0) }
        }
        if self.hangShare > 0 { value["hang"] = JSONValue(self.hangShare) }
        if self.resetShare > 0 { value["reset"] = JSONValue(self.resetShare) }
        if self.isOutage { value["outage"] = true }
        return value
    }
}

extension Delay {
    fileprivate init(_ value: JSONValue) throws(FaultProblem) {
        if value.number != nil {
            self = .fixed(try Self.duration(value))
            return
        }
        if let bounds = value["uniform"] {
            let (from, to) = (try Self.duration(bounds[0]), try Self.duration(bounds[1]))
            guard from <= to else { throw FaultProblem(description: "uniform is [from, to]") }
            self = .uniform(from: from, to: to)
        } else if let mean = value["exponential"] {
            self = .exponential(mean: try Self.duration(mean))
        } else if let shape = value["lognormal"] {
            guard let sigma = shape[1]?.double, (0...3).contains(sigma) else {
                throw FaultProblem(description: "lognormal is [median, sigma], sigma 0 to 3")
            }
            self = .lognormal(median: try Self.duration(shape[0]), sigma: sigma)
        } else {
            throw FaultProblem(
                description: "delay is milliseconds, or an object with uniform, exponential or lognormal"
            )
        }
    }

    private static func duration(_ value: JSONValue?) throws(FaultProblem) -> Duration {
        guard let milliseconds = value?.double, (0...3_600_000).contains(milliseconds) else {
            throw FaultProblem(description: "a delay is in milliseconds, up to an hour")
        }
        return .seconds(milliseconds / 1_000)
    }

    fileprivate var json: JSONValue {
        func milliseconds(_ duration: Duration) -> JSONValue { JSONValue(duration / .milliseconds(1)) }
        return switch self {
        case .fixed(let duration): milliseconds(duration)
        case .uniform(let from, let to): ["uniform": [milliseconds(from), milliseconds(to)]]
        case .exponential(let mean): ["exponential": milliseconds(mean)]
        case .lognormal(let median, let sigma): ["lognormal": [milliseconds(median), JSONValue(sigma)]]
        }
    }
}
