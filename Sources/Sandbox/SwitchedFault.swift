package import AfterloginJSON

/// A fault as it is switched on: with an end of its own, perhaps.
package struct SwitchedFault: Sendable, Hashable {
    package var fault: Fault
    /// After which it ends by itself; nil: never.
    package var seconds: Double?

    /// Reads the JSON form of a fault, with `seconds` beside the others.
    ///
    /// - Throws: `FaultProblem` where it says something else.
    package init(_ value: JSONValue) throws(FaultProblem) {
        var value = value
        if let seconds = value["seconds"] {
            guard let seconds = seconds.double, seconds > 0, seconds <= 86_400 else {
                throw FaultProblem(description: "seconds is how long the fault lasts: above 0, up to a day")
            }
            self.seconds = seconds
            value["seconds"] = nil
        }
        self.fault = try Fault(value)
    }

    package var json: JSONValue {
        var value = self.fault.json
        value["seconds"] = self.seconds.map { JSONValue($0) }
        return value
    }
}
