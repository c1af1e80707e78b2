/// What `/readyz` says.
package struct Readiness: Sendable, Hashable {
    package var isReady: Bool
    package var reason: String

    package static let ready = Self(isReady: true, reason: "ready")
    package static func notReady(_ reason: String) -> Self { Self(isReady: false, reason: reason) }
}
