import AfterloginCCurl
import AfterloginHTTPMessages
import Glibc

/// One file with the certificate authorities to trust: the system's, and the extra ones.
///
/// libcurl parses a file once and keeps the result for all connections, but only if there is no second source beside it;
/// so the two are joined, in memory.
final class CertificateAuthorities: Sendable {
    /// Nil where there are none at all: every certificate fails then.
    let path: String?
    private let descriptor: Int32?

    init(extraFile: String?) throws(HTTPFailure) {
        let system =
            unsafe afterlogin_curl_system_authorities().map { unsafe String(cString: $0) }
            ?? "/etc/ssl/certs/ca-certificates.crt"
        guard let extraFile else {
            self.path = unsafe access(system, R_OK) == 0 ? system : nil
            self.descriptor = nil
            return
        }
        guard let extra = Self.read(extraFile) else {
            throw Self.failure("cannot read the certificate authority file \(extraFile): \(Self.lastError)")
        }
        guard Self.holdsCertificate(extra) else {
            throw Self.failure(
                "no PEM certificate (-----BEGIN CERTIFICATE-----) in the certificate authority file \(extraFile)"
            )
        }
        let descriptor = unsafe afterlogin_curl_memory_file("certificate-authorities")
        guard descriptor >= 0 else { throw Self.failure("no descriptor left for certificate authorities") }
        for bytes in [extra, [UInt8(ascii: "\n")], Self.read(system) ?? []] {
            guard Self.write(bytes, to: descriptor) else {
                let reason = Self.lastError
                close(descriptor)
                throw Self.failure("cannot keep the certificate authorities: \(reason)")
            }
        }
        self.descriptor = descriptor
        self.path = "/proc/self/fd/\(descriptor)"
    }

    deinit {
        if let descriptor { close(descriptor) }
    }

    private static func failure(_ message: String) -> HTTPFailure {
        HTTPFailure(kind: .certificate, message: message, code: "ERR_TLS_CA")
    }

    private static var lastError: String { unsafe String(cString: strerror(errno)) }

    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0 { return bytes }
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
        }
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private static func holdsCertificate(_ bytes: [UInt8]) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        return text.split(separator: "\n").contains { $0.hasPrefix("-----BEGIN ") && $0.contains("CERTIFICATE-----") }
    }
}
