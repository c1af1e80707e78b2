import AfterloginCCurl
package import AfterloginHTTPMessages
import AfterloginSystem
import Synchronization

/// libcurl's multi interface on one thread (`afterlogin.http`).
///
/// Redirects are not followed; proxies, cookies and `.netrc` of the environment have no effect. Cancelling the task cancels
/// the transfer. Connections are kept and shared, HTTP/2 is used where the server offers it.
package final class HTTPClient: HTTPSender {
    /// What all requests have in common.
    package struct Configuration: Sendable {
        /// An extra certificate authority file (PEM), besides the system's.
        package var caFile: String?
        /// Further requests to that host wait for one of these.
        package var maxConnectionsPerHost = 256
        /// Calls under way at a time; others wait for one of these to end.
        ///
        /// By default what the limit of descriptors leaves.
        package var maxCalls = DescriptorPlan.current.calls
        /// Of all requests and responses in memory together; beyond it calls wait, and reading pauses.
        package var maxBytesInFlight = 128 << 20
        /// Sent where a request brings none of its own.
        package var userAgent = "afterlogin"

        /// The defaults.
        package init() {}
    }

    private let mailbox: Mailbox

    /// Starts the thread.
    ///
    /// - Throws: where the extra certificate authority cannot be read, or the system has no descriptor left.
    package init(configuration: Configuration = Configuration()) throws(HTTPFailure) {
        _ = Self.globalInitialization
        let authorities = try CertificateAuthorities(extraFile: configuration.caFile)
        let mailbox = try Mailbox()
        self.mailbox = mailbox
        NamedThread.start("afterlogin.http") {
            CurlLoop(configuration: configuration, authorities: authorities, mailbox: mailbox).run()
        }
    }

    deinit { self.mailbox.close() }

    /// Sends a request once, and waits for the whole response.
    ///
    /// A request on a kept connection that turns out closed before any byte of a response came is sent again on a new one: by libcurl where it
    /// notices in time, else here where the method is safe (RFC 9112, 9.3.1).
    package func send(_ request: HTTPRequest) async throws(HTTPFailure) -> HTTPResponse {
        var isFirst = true
        while true {
            let job = Job(request)
            let result = await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    self.mailbox.post(.start(job, continuation))
                }
            } onCancel: {
                job.isCancelled.store(true, ordering: .releasing)
                self.mailbox.post(.cancel(job))
            }
            guard isFirst, case .failure(let failure) = result, Self.metAClosedConnection(failure),
                ["GET", "HEAD", "OPTIONS"].contains(request.method)
            else { return try result.get() }
            isFirst = false
        }
    }

    /// A failure without an address is that of a connection which was there before.
    private static func metAClosedConnection(_ failure: HTTPFailure) -> Bool {
        failure.kind == .connectionReset && failure.address == nil
    }

    /// Calls back from the thread: a sign that it turns.
    ///
    /// At once after `shutdown`.
    package func ping(_ answer: @escaping @Sendable () -> Void) { self.mailbox.post(.ping(answer)) }

    /// Cancels what is in flight and ends the thread.
    package func shutdown() async {
        await withCheckedContinuation { continuation in
            self.mailbox.close { continuation.resume() }
        }
    }

    private static let globalInitialization = curl_global_init(Int(CURL_GLOBAL_ALL))
}
