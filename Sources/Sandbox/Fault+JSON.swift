package import AfterloginJSON

/// Why a text does not describe a fault.
package struct FaultProblem: Error, CustomStringConvertible {
    package let description: String
}

/// ```json
/// {"delay": 100, "error": {"share": 0.1, "status": 503, "retry_after": 2}, "hang": 0.01, "reset": 0.01, "outage": true}
/// {"delay": {"uniform": [50, 150]}}   {"delay": {"exponential": 100}}   {"delay": {"lognormal": [80, 0.5]}}
/// {"truncate": 1}   {"size": 10000000}   {"connection": "blackhole"}
/// {"bucket": {"capacity": 100, "rate": 100, "status": 429, "retry_after": 1}}
/// ```
///
/// Times in milliseconds, but `retry_after` in seconds; `error` may be a share alone. A bucket's `retry_after` is the time
/// until it lets one through where it is left out, and `false` sends none.
extension Fault {
    /// Reads the JSON form.
    ///
    /// - Throws: `FaultProblem`: an unknown name, a share beyond 1, a negative time.
    package init(_ value: JSONValue) throws(FaultProblem) {
        self.init()
        guard let object = value.object else {
            throw FaultProblem(description: "write a fault as an object: {\"error\": 0.2}")
        }
        for (name, value) in object.members {
            switch name {
            case "delay": self.delay = try Delay(value)
            case "error": try self.setError(value)
            case "hang": self.hangShare = try Self.share(value, name)
            case "reset": self.resetShare = try Self.share(value, name)
            case "truncate": self.truncateShare = try Self.share(value, name)
            case "bucket": self.bucket = try Bucket(value)
            case "size":
                guard let size = value.int, (0...Self.maxSize).contains(size) else {
                    throw FaultProblem(description: "size is in bytes, 0 to \(Self.maxSize)")
                }
                self.size = size
            case "connection":
                guard let connection = value.string.flatMap({ Connection(rawValue: $0) }) else {
                    let known = Connection.allCases.map(\.rawValue).joined(separator: ", ")
                    throw FaultProblem(description: "connection is one of \(known)")
                }
                self.connection = connection
            case "outage":
                guard let isOutage = value.bool else { throw FaultProblem(description: "outage is true or false") }
                self.isOutage = isOutage
            default:
                throw FaultProblem(description: "unknown fault '\(name)'; known: \(Self.known)")
            }
        }
    }

    private static let known = "delay, error, hang, reset, truncate, outage, bucket, size, connection, seconds"
    /// A gigabyte.
    private static let maxSize = 1 << 30

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
                self.errorStatus = try Self.status(value)
            case "retry_after":
                self.retryAfter = try Self.retryAfter(value)
            default: throw FaultProblem(description: "unknown '\(name)' in error; known: share, status, retry_after")
            }
        }
    }

    fileprivate static func retryAfter(_ value: JSONValue) throws(FaultProblem) -> Int {
        guard let seconds = value.int, (0...86_400).contains(seconds) else {
            throw FaultProblem(description: "retry_after is in whole seconds, up to a day")
        }
        return seconds
    }

    fileprivate static func status(_ value: JSONValue) throws(FaultProblem) -> Int {
        guard let status = value.int, (400...599).contains(status) else {
            throw FaultProblem(description: "status is 400 to 599")
        }
        return status
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
        if self.truncateShare > 0 { value["truncate"] = JSONValue(self.truncateShare) }
        if self.isOutage { value["outage"] = true }
        value["bucket"] = self.bucket?.json
        if self.size > 0 { value["size"] = JSONValue(self.size) }
        value["connection"] = self.connection.map { .string($0.rawValue) }
        return value
    }
}

extension Fault.Bucket {
    fileprivate init(_ value: JSONValue) throws(FaultProblem) {
        guard let object = value.object else {
            throw FaultProblem(description: "write bucket as an object: {\"capacity\": 100, \"rate\": 100}")
        }
        guard let capacity = value["capacity"]?.int, (1...1_000_000).contains(capacity) else {
            throw FaultProblem(description: "a bucket has a capacity in requests, 1 to 1000000")
        }
        guard let rate = value["rate"]?.double, rate > 0, rate <= 1_000_000 else {
            throw FaultProblem(description: "a bucket has a rate in requests per second, above 0, up to 1000000")
        }
        self.init(capacity: capacity, rate: rate)
        for (name, value) in object.members {
            switch name {
            case "capacity", "rate": break
            case "status": self.status = try Fault.status(value)
            case "retry_after": self.hint = value.bool == false ? .none : .seconds(try Fault.retryAfter(value))
            default:
                throw FaultProblem(
                    description: "unknown '\(name)' in bucket; known: capacity, rate, status, retry_after"
                )
            }
        }
    }

    fileprivate var json: JSONValue {
        var value: JSONValue = [
            "capacity": JSONValue(self.capacity), "rate": JSONValue(self.rate), "status": JSONValue(self.status),
        ]
        switch self.hint {
        case .untilRefilled: break
        case .seconds(let seconds): value["retry_after"] = JSONValue(seconds)
        case .none: value["retry_after"] = false
        }
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
