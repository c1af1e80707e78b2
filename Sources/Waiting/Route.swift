/// The destinations that one call touches.
package struct Route: Sendable, Hashable {
    /// Whose answers it gets: a rule's at a host, or a grant's.
    package let answers: Destination
    /// What it connects to; nil where the answers' destination stands for that too.
    package let connection: Destination?

    /// A rule's call.
    package static func call(rule: String, host: String, port: Int) -> Route {
        Route(
            answers: .answers(rule: rule, host: host, port: port),
            connection: .connection(host: host, port: port)
        )
    }

    /// The worker's own request for a token, and a rule's call that needs one.
    package static func grant(_ name: String) -> Route { Route(answers: .grant(name), connection: nil) }

    /// Which of the two a call that came to this failed at; nil where it failed at neither.
    package func destination(failing ending: CallEnding) -> Destination? {
        switch ending.failure {
        case .connection: self.connection ?? self.answers
        case .answer, .application: self.answers
        case nil: nil
        }
    }
}
