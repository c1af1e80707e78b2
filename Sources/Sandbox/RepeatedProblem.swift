/// What is worth a line of a problem that is looked at again and again: its beginning and its end.
///
/// Pure. While a broker is away its client tells now this and now that, and nothing in between: each kind is said once,
/// and the end only after it has been calm for a while.
package struct RepeatedProblem {
    /// Looks without a problem that make an end.
    package static let calmLooks = 3

    private var said: Set<String> = []
    private var calm = 0

    package init() {}

    /// The line that is due after a look; nil: nothing new.
    ///
    /// - Parameter problem: What the look found, by its kind and in words.
    /// - Returns: The line.
    package mutating func line(_ problem: (kind: String, message: String)?) -> String? {
        guard let problem else {
            guard !self.said.isEmpty else { return nil }
            self.calm += 1
            guard self.calm >= Self.calmLooks else { return nil }
            self = Self()
            return "logins are written again"
        }
        self.calm = 0
        return self.said.insert(problem.kind).inserted ? "logins can't be written: \(problem.message)" : nil
    }
}
