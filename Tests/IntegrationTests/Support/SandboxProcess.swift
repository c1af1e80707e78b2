import AfterloginJSON
import Foundation
import Testing

/// `afterlogin sandbox` on ports of its own.
final class SandboxProcess {
    private let process: ChildProcess
    let url: String
    /// Its control API, which speaks no TLS.
    let control: String
    /// Of the authority that its certificate comes from.
    let certificate: String

    var host: String { self.url.replacingOccurrences(of: "https://", with: "") }

    init(in folder: TemporaryFolder) throws {
        let certificate = "\(folder.path)/ca.pem"
        let process = try ChildProcess(
            Executables.afterlogin,
            [
                "sandbox", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--format", "json", "--ca-file",
                certificate,
            ]
        )
        try process.waitUntil("the sandbox is up") { process.standardOutputText.hasSuffix("\n") }
        let address = try JSONValue(parsing: Array(process.standardOutputText.utf8))
        self.url = try #require(address["url"]?.string)
        self.control = try #require(address["control"]?.string?.replacingOccurrences(of: "http://", with: ""))
        self.process = process
        self.certificate = certificate
    }

    func kill() { self.process.kill() }
}
