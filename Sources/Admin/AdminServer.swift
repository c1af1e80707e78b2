package import AfterloginDelivery
import AfterloginHTTPMessages
import AfterloginHTTPServer
package import AfterloginObservability

/// What the admin server shows; asked at every request.
package struct AdminSource: Sendable {
    /// Why the process is to be ended and started again; nil while it is alive.
    package var stall: @Sendable () -> String?
    package var readiness: @Sendable () -> Readiness
    /// JSON.
    package var status: @Sendable () -> [UInt8]
    package var metrics: @Sendable () -> Metrics

    package init(
        stall: @escaping @Sendable () -> String? = { nil },
        readiness: @escaping @Sendable () -> Readiness,
        status: @escaping @Sendable () -> [UInt8],
        metrics: @escaping @Sendable () -> Metrics
    ) {
        self.stall = stall
        self.readiness = readiness
        self.status = status
        self.metrics = metrics
    }
}

/// Probes, metrics and status over plain HTTP: `/livez`, `/readyz`, `/metrics`, `/status`.
///
/// Meant for the machine or the pod, not for the internet: it changes nothing and shows no secret, but it says a lot.
package final class AdminServer: Sendable {
    private let server: HTTPServer

    package var port: Int { self.server.port }

    /// Listens at once.
    ///
    /// - Throws: Where the address is none, or taken.
    package init(listen: String, source: AdminSource, hosts: [String] = []) throws {
        var configuration = HTTPServer.Configuration(listen: listen)
        configuration.maxBodyBytes = 1 << 10
        configuration.maxConnections = 100
        // Neither connections that say nothing nor those that never end keep probes out.
        configuration.idleTimeout = .seconds(5)
        configuration.transferDeadline = .seconds(10)
        configuration.makesRoom = true
        self.server = try HTTPServer(configuration: configuration) { .now(Self.answer($0, source, hosts: hosts)) }
    }

    package func stop() async { await self.server.shutdown() }

    private static let index = """
        Afterlogin

        /livez    the process's threads turn, or which does not
        /readyz   logins are handled as they should be, or why not
        /metrics  Prometheus text format
        /status   JSON

        """

    /// The host that a request is for, without its port; nil where it names none, as HTTP/1.0 may.
    private static func host(of request: HTTPServer.Request) -> String? {
        guard let value = request.headers["Host"] else { return nil }
        if value.hasPrefix("["), let end = value.firstIndex(of: "]") { return String(value[...end]) }
        return value.prefix { $0 != ":" }.lowercased()
    }

    /// Whether somebody may ask by that name: an address is asked by whoever knows it, a name by whoever made it lead here.
    private static func knows(_ host: String, _ hosts: [String]) -> Bool {
        if host == "localhost" || hosts.contains(where: { $0.lowercased() == host }) { return true }
        if host.hasPrefix("[") {
            return host.dropFirst().dropLast().allSatisfy { $0.isHexDigit || $0 == ":" || $0 == "." }
        }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
    }

    static func answer(
        _ request: HTTPServer.Request,
        _ source: AdminSource,
        hosts: [String] = []
    ) -> HTTPServer.Response {
        // A page in an operator's browser may have a name of its own lead here, and would read what this says. A probe that asks by
        // a name must not end the worker: it hears whether that lives.
        if let host = self.host(of: request), request.path != "/livez", !self.knows(host, hosts) {
            return self.text(421, "asked by a name that is not in admin.hosts\n")
        }
        let isKnown = ["/", "/livez", "/readyz", "/metrics", "/status"].contains(request.path)
        guard isKnown else { return self.text(404, "there is nothing here; see /\n") }
        guard request.method == "GET" || request.method == "HEAD" else {
            var response = self.text(405, "only GET\n")
            response.headers["Allow"] = "GET, HEAD"
            return response
        }
        switch request.path {
        case "/livez":
            let stall = source.stall()
            return self.text(stall == nil ? 200 : 503, "\(TerminalText.plain(stall ?? "alive"))\n")
        case "/readyz":
            let readiness = source.readiness()
            return self.text(readiness.isReady ? 200 : 503, "\(TerminalText.plain(readiness.reason))\n")
        case "/metrics":
            let text = PrometheusText.render(source.metrics().snapshot(), process: .current)
            return self.response(200, "text/plain; version=0.0.4; charset=utf-8", Array(text.utf8))
        case "/status": return self.response(200, "application/json", source.status() + [0x0A])
        default: return self.text(200, self.index)
        }
    }

    private static func text(_ status: Int, _ text: String) -> HTTPServer.Response {
        self.response(status, "text/plain; charset=utf-8", Array(text.utf8))
    }

    private static func response(_ status: Int, _ type: String, _ body: [UInt8]) -> HTTPServer.Response {
        HTTPServer.Response(
            status: status,
            headers: ["Content-Type": type, "Cache-Control": "no-store"],
            body: body
        )
    }
}
