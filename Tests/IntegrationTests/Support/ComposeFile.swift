import AfterloginYAML
import Foundation
import Testing

/// `docker-compose.yml` as docker-compose itself understands it: anchors, merges and short forms resolved.
struct ComposeFile {
    struct Service {
        var command: [String]
        var environment: [String: String]
        /// Without `CMD`.
        var healthCheck: [String]
    }

    let services: [String: Service]

    static var isAvailable: Bool {
        FileManager.default.isExecutableFile(atPath: "/usr/bin/docker-compose")
    }

    init() throws {
        let compose = try ChildProcess(
            "docker-compose",
            ["-f", "\(Executables.repository)/docker-compose.yml", "config"]
        )
        let text = compose.waitForOutput()
        try #require(compose.wait() == 0, "\(compose.standardErrorText)")
        let root = try YAMLNode.parse(Array(text.utf8))
        self.services = try Dictionary(
            uniqueKeysWithValues: #require(root.member("services")?.members).map { name, node in
                let health = node.member("healthcheck")?.member("test")?.strings ?? []
                let environment = node.member("environment")?.members ?? []
                let service = Service(
                    command: node.member("command")?.strings ?? [],
                    environment: Dictionary(uniqueKeysWithValues: environment.map { ($0.0, $0.1.string ?? "") }),
                    healthCheck: health.first == "CMD" ? Array(health.dropFirst()) : health
                )
                return (name, service)
            }
        )
    }
}

extension YAMLNode {
    fileprivate var members: [(String, YAMLNode)]? {
        guard case .mapping(let members) = self.content else { return nil }
        return members.map { ($0.key.string ?? "", $0.value) }
    }

    fileprivate func member(_ name: String) -> YAMLNode? { self.members?.first { $0.0 == name }?.1 }

    fileprivate var string: String? {
        if case .scalar(let text, _) = self.content { text } else { nil }
    }

    fileprivate var strings: [String] {
        if case .sequence(let elements) = self.content { elements.compactMap(\.string) } else { [] }
    }
}
