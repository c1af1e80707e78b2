import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginRules
import FoundationEssentials

/// What kind of rule a row is measured with; each makes one call and puts its answer on the ID token.
enum BenchRule: String, CaseIterable {
    case native
    case fetch
    case axios

    /// Writes the rule's folder; nil for the native one.
    ///
    /// Packages are copied, since the rule host sees nothing outside of its folder.
    func write(to folder: String, modules: String?) throws -> String? {
        guard let source = self.source else { return nil }
        let directory = "\(folder)/rules-\(self.rawValue)"
        let files = FileManager.default
        if files.fileExists(atPath: directory) { return directory }
        try files.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try Data(source.utf8).write(to: URL(filePath: "\(directory)/points.js"))
        let sidecar = #"{ "name": "points", "order": 10, "enabled": true, "stage": "login_success" }"#
        try Data(sidecar.utf8).write(to: URL(filePath: "\(directory)/points.json"))
        if self == .axios { try Self.copyAxios(from: modules, to: directory) }
        return directory
    }

    static func copyAxios(from modules: String?, to directory: String) throws {
        guard let modules else { return }
        let files = FileManager.default
        try files.createDirectory(atPath: "\(directory)/node_modules", withIntermediateDirectories: true)
        for name in ["axios", "follow-redirects", "debug", "ms", "is-buffer"]
        where files.fileExists(atPath: "\(modules)/\(name)") {
            try files.copyItem(atPath: "\(modules)/\(name)", toPath: "\(directory)/node_modules/\(name)")
        }
    }

    private var source: String? {
        switch self {
        case .native: nil
        case .fetch:
            """
            async function points(user, context, callback) {
                const response = await fetch(`${configuration.API}/slow/${encodeURIComponent(user.user_id)}`);
                if (!response.ok) return callback(new Error(`status ${response.status}`));
                const body = await response.json();
                context.idToken['https://bench.example/points'] = body.points;
                return callback(null, user, context);
            }
            """
        case .axios:
            """
            function points(user, context, callback) {
                const axios = require('axios');
                axios.get(`${configuration.API}/slow/${encodeURIComponent(user.user_id)}`)
                    .then((response) => {
                        context.idToken['https://bench.example/points'] = response.data.points;
                        callback(null, user, context);
                    })
                    .catch((error) => callback(error));
            }
            """
        }
    }
}

/// The native rule of the bench: the same call, in Swift.
struct NativeBenchRule: Rule {
    struct UnexpectedStatus: Error { let status: Int }

    let name = "points"
    let order = 10
    let api: String

    func evaluate(_ login: inout Login, using services: any RuleServices) async throws {
        let id = login.user["user_id"]?.string ?? ""
        let response = try await services.send(HTTPRequest("GET", "\(self.api)/slow/\(id)"))
        guard response.status == 200 else { throw UnexpectedStatus(status: response.status) }
        let points = try JSONValue(parsing: response.body)["points"]
        if login.context["idToken"] == nil { login.context["idToken"] = [:] }
        login.context["idToken"]?["https://bench.example/points"] = points
    }
}
