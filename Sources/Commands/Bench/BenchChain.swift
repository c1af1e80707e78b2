import AfterloginHTTPMessages
import AfterloginJSON
import AfterloginRules
import FoundationEssentials

/// A chain as people have it, with each kind of rule.
///
/// A guard that lets the login through, and a rule that asks for its own token and sends one POST with a JSON body.
struct BenchChain {
    static let clientID = "sandbox-client"
    static let clientSecret = "sandbox-secret"
    static let audience = "https://profiles.example/api"

    var rule: BenchRule
    /// JavaScript rules that let the login through; a native chain has one.
    var guards = 1

    /// What the worker is told besides.
    func settings(sandbox url: String) -> [String] {
        [
            "tenant.token_url=\(url)/oauth/token", "tenant.client_id=\(Self.clientID)",
            "tenant.client_secret=\(Self.clientSecret)", "tokens.bench.audience=\(Self.audience)",
            "configuration.TOKEN_URL=\(url)/oauth/token", "configuration.CLIENT_ID=\(Self.clientID)",
            "configuration.CLIENT_SECRET=\(Self.clientSecret)", "configuration.AUDIENCE=\(Self.audience)",
        ]
    }

    /// Writes the folder of the rules; nil for the native ones.
    func write(to folder: String, modules: String?) throws -> String? {
        guard let source = self.source else { return nil }
        let directory = "\(folder)/chain-\(self.rule.rawValue)-\(self.guards)"
        let files = FileManager.default
        if files.fileExists(atPath: directory) { return directory }
        try files.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let guards = (1...self.guards).map { ("guard-\($0)", $0, Self.guardSource) }
        for (name, order, text) in guards + [("send", 1_000, source)] {
            try Data(text.utf8).write(to: URL(filePath: "\(directory)/\(name).js"))
            let sidecar = #"{ "name": "\#(name)", "order": \#(order), "enabled": true, "stage": "login_success" }"#
            try Data(sidecar.utf8).write(to: URL(filePath: "\(directory)/\(name).json"))
        }
        if self.rule == .axios { try BenchRule.copyAxios(from: modules, to: directory) }
        return directory
    }

    private static let guardSource = """
        function guard(user, context, callback) {
            if (user.blocked) return callback(new UnauthorizedError('blocked'));
            return callback(null, user, context);
        }
        """

    private var source: String? {
        switch self.rule {
        case .native: nil
        case .fetch:
            """
            async function send(user, context, callback) {
                const answer = await fetch(configuration.TOKEN_URL, {
                    method: 'POST',
                    headers: { 'content-type': 'application/json' },
                    body: JSON.stringify({
                        grant_type: 'client_credentials',
                        client_id: configuration.CLIENT_ID,
                        client_secret: configuration.CLIENT_SECRET,
                        audience: configuration.AUDIENCE,
                    }),
                });
                if (!answer.ok) return callback(new Error(`token: ${answer.status}`));
                const token = await answer.json();
                const response = await fetch(`${configuration.API}/slow/${encodeURIComponent(user.user_id)}`, {
                    method: 'POST',
                    headers: { 'content-type': 'application/json', authorization: `Bearer ${token.access_token}` },
                    body: JSON.stringify({ email: user.email, name: user.name, client: context.clientID }),
                });
                if (!response.ok) return callback(new Error(`status ${response.status}`));
                const body = await response.json();
                context.idToken['https://bench.example/points'] = body.points;
                return callback(null, user, context);
            }
            """
        case .axios:
            """
            async function send(user, context, callback) {
                const axios = require('axios');
                try {
                    const token = await axios.post(configuration.TOKEN_URL, {
                        grant_type: 'client_credentials',
                        client_id: configuration.CLIENT_ID,
                        client_secret: configuration.CLIENT_SECRET,
                        audience: configuration.AUDIENCE,
                    });
                    const response = await axios.post(
                        `${configuration.API}/slow/${encodeURIComponent(user.user_id)}`,
                        { email: user.email, name: user.name, client: context.clientID },
                        { headers: { authorization: `Bearer ${token.data.access_token}` } },
                    );
                    context.idToken['https://bench.example/points'] = response.data.points;
                    return callback(null, user, context);
                } catch (error) {
                    return callback(error);
                }
            }
            """
        }
    }
}

/// The guard of the native chain.
struct NativeBenchGuard: Rule {
    let name = "guard"
    let order = 10

    func evaluate(_ login: inout Login, using services: any RuleServices) async throws {
        guard login.user["blocked"]?.bool != true else { throw Denial("blocked") }
    }
}

/// The rule behind it: a token by name, and the POST.
struct NativeBenchSend: Rule {
    let name = "send"
    let order = 20
    let api: String

    func evaluate(_ login: inout Login, using services: any RuleServices) async throws {
        let id = login.user["user_id"]?.string ?? ""
        let body: JSONValue = [
            "email": login.user["email"] ?? .null, "name": login.user["name"] ?? .null,
            "client": login.context["clientID"] ?? .null,
        ]
        let request = HTTPRequest(
            "POST",
            "\(self.api)/slow/\(id)",
            headers: [HTTPField("content-type", "application/json")],
            body: body.serialized()
        )
        let response = try await services.send(request, token: "bench")
        guard response.status == 200 else { throw NativeBenchRule.UnexpectedStatus(status: response.status) }
        let points = try JSONValue(parsing: response.body)["points"]
        if login.context["idToken"] == nil { login.context["idToken"] = [:] }
        login.context["idToken"]?["https://bench.example/points"] = points
    }
}
