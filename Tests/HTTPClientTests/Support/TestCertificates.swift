import Glibc

/// Certificates of an authority of their own, made by the `openssl` command in a temporary folder.
final class TestCertificates: Sendable {
    let folder: String
    var authority: String { "\(self.folder)/ca.pem" }

    init() async throws {
        var template = Array("/tmp/afterlogin-certificates-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ChildProgram.Failed(description: "no folder: \(errno)") }
        self.folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        try await self.shell(
            "openssl req -x509 \(Self.newKey) -keyout ca.key -out ca.pem -days 2 -subj '/CN=Authority of a test'"
        )
    }

    deinit { _ = ["ca.pem", "ca.key", "ca.srl"].map { unlink("\(self.folder)/\($0)") } + [rmdir(self.folder)] }

    private static let newKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

    /// Key and certificate of a server in one PEM text.
    func makeServer(names: String, days: Int = 2, isSelfSigned: Bool = false) async throws -> String {
        let signing =
            isSelfSigned
            ? "openssl x509 -req -in s.csr -signkey s.key"
            : "openssl x509 -req -in s.csr -CA ../ca.pem -CAkey ../ca.key"
        let bytes = try await self.shell(
            """
            d=$(mktemp -d ./s-XXXXXX); cd "$d"
            openssl req \(Self.newKey) -keyout s.key -out s.csr -subj /CN=server
            echo 'subjectAltName=\(names)' > names
            \(signing) -set_serial 0x$(openssl rand -hex 8) -days \(days) -extfile names -out s.pem
            cat s.key s.pem >&3; cd ..; rm -r "$d"
            """
        )
        return String(decoding: bytes, as: UTF8.self)
    }

    @discardableResult
    private func shell(_ script: String) async throws -> [UInt8] {
        try await ChildProgram.output(
            of: ["sh", "-c", "set -e; exec 3>&1 >/dev/null 2>&1; cd '\(self.folder)'; \(script)"]
        )
    }
}
