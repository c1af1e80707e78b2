import AfterloginCCurl
import AfterloginHTTPMessages
import Glibc

extension CurlTransfer {
    /// Says in our words, and in Node's, what libcurl's code means.
    func failure(_ code: CURLcode) -> HTTPFailure {
        let sentBytes = self.sentBytes
        let (kind, name) = self.meaning(of: code, sentBytes: sentBytes)
        let address = self.peer?.numeric
        var failure = HTTPFailure(kind: kind, message: "", code: name, address: address, port: self.peer?.port)
        failure.sentBytes = sentBytes
        failure.message = self.message(kind, code)
        return failure
    }

    private func meaning(of code: CURLcode, sentBytes: Bool) -> (HTTPFailure.Kind, String) {
        switch self.abort {
        case .headersTooLarge: return (.headersTooLarge, "HPE_HEADER_OVERFLOW")
        case .responseTooLarge: return (.responseTooLarge, "ERR_RESPONSE_TOO_LARGE")
        case .addressRefused: return (.addressRefused, "EACCES")
        case .protocolSwitched: return (.badResponse, "HPE_INVALID_CONSTANT")
        case nil: break
        }
        let number = Int32(truncatingIfNeeded: unsafe afterlogin_curl_get_number(self.easy, CURLINFO_OS_ERRNO))
        switch code {
        case CURLE_URL_MALFORMAT: return (.invalidRequest, "ERR_INVALID_URL")
        case CURLE_COULDNT_RESOLVE_HOST: return (.nameNotFound, "ENOTFOUND")
        case CURLE_COULDNT_CONNECT:
            switch number {
            case ECONNREFUSED: return (.connectionRefused, "ECONNREFUSED")
            case ETIMEDOUT: return (.connectTimeout, "ETIMEDOUT")
            // Accepted and reset before libcurl looked.
            case ECONNRESET: return (.connectionReset, "ECONNRESET")
            default: return (.other, Self.name(of: number) ?? "ECONNREFUSED")
            }
        case CURLE_OPERATION_TIMEDOUT: return (sentBytes ? .timeout : .connectTimeout, "ETIMEDOUT")
        // The only word of libcurl's about bad chunks is its text.
        case CURLE_RECV_ERROR where self.detail(code).hasSuffix("in chunked-encoding"):
            return (.badResponse, "HPE_INVALID_CHUNK_SIZE")
        case CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE, CURLE_RECV_ERROR, CURLE_SEND_ERROR:
            return (.connectionReset, number == EPIPE ? "EPIPE" : "ECONNRESET")
        case CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CIPHER:
            return number == ECONNRESET ? (.connectionReset, "ECONNRESET") : (.tls, "EPROTO")
        case CURLE_PEER_FAILED_VERIFICATION: return (.certificate, self.certificateProblem)
        case CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR: return (.certificate, "ERR_TLS_CA")
        case CURLE_HTTP2, CURLE_HTTP2_STREAM: return (.badResponse, "ERR_HTTP2_STREAM_ERROR")
        case CURLE_WEIRD_SERVER_REPLY, CURLE_UNSUPPORTED_PROTOCOL: return (.badResponse, "HPE_INVALID_CONSTANT")
        case CURLE_BAD_CONTENT_ENCODING, CURLE_WRITE_ERROR: return (.badResponse, "Z_DATA_ERROR")
        // libcurl's own limit of one header line, for which older versions have no code of their own.
        case CURLE_OUT_OF_MEMORY where sentBytes && !self.headersAreWhole:
            return (.headersTooLarge, "HPE_HEADER_OVERFLOW")
        case CURLE_OUT_OF_MEMORY: return (.other, "ENOMEM")
        default: return (.other, "ERR_HTTP")
        }
    }

    /// OpenSSL's verdict, as Node names it; names that do not match are libcurl's own finding.
    private var certificateProblem: String {
        switch unsafe afterlogin_curl_get_number(self.easy, CURLINFO_SSL_VERIFYRESULT) {
        // The name is compared before the verdict is read; until then it is 1, "unspecified".
        case 0, 1: "ERR_TLS_CERT_ALTNAME_INVALID"
        case 2: "UNABLE_TO_GET_ISSUER_CERT"
        case 9: "CERT_NOT_YET_VALID"
        case 10: "CERT_HAS_EXPIRED"
        case 18: "DEPTH_ZERO_SELF_SIGNED_CERT"
        case 19: "SELF_SIGNED_CERT_IN_CHAIN"
        // Node goes on after "issuer not found", and ends with this one.
        case 20, 21: "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
        case 23: "CERT_REVOKED"
        case 24, 79: "INVALID_CA"
        case 26: "INVALID_PURPOSE"
        case 62: "ERR_TLS_CERT_ALTNAME_INVALID"
        default: "CERT_UNTRUSTED"
        }
    }

    private static func name(of number: Int32) -> String? {
        switch number {
        case EHOSTUNREACH: "EHOSTUNREACH"
        case ENETUNREACH: "ENETUNREACH"
        case EADDRNOTAVAIL: "EADDRNOTAVAIL"
        case ECONNRESET: "ECONNRESET"
        case EACCES: "EACCES"
        case EPERM: "EPERM"
        case EMFILE, ENFILE: "EMFILE"
        default: nil
        }
    }

    private func message(_ kind: HTTPFailure.Kind, _ code: CURLcode) -> String {
        let place = self.job.map { Self.place(of: $0.request.url) } ?? "the server"
        let peer = self.peer.flatMap { peer in peer.numeric.map { " (\($0) port \(peer.port))" } } ?? ""
        let limit = self.job?.request.maxResponseBytes ?? 0
        return switch kind {
        case .nameNotFound: "the name of \(place) cannot be resolved"
        case .addressRefused: "\(place) has a private or special address\(peer), which is not allowed"
        case .connectionRefused: "\(place)\(peer) refuses connections"
        case .connectTimeout: "no connection to \(place)\(peer) in time (egress.timeout)"
        case .timeout: "no whole response from \(place)\(peer) in time (egress.timeout)"
        case .connectionReset: "\(place)\(peer) closed the connection before its response was whole"
        case .responseTooLarge: "the response of \(place) is larger than \(limit) bytes (egress.max_response)"
        case .headersTooLarge: "the headers of \(place) are larger than \(Self.maxHeaderBytes) bytes, or too many"
        case .certificate:
            "the certificate of \(place)\(peer) is not trusted: \(self.detail(code)); "
                + "an authority of your own goes into egress.ca_file"
        case .tls, .badResponse, .other, .invalidRequest, .cancelled: "\(place)\(peer): \(self.detail(code))"
        }
    }

    private func detail(_ code: CURLcode) -> String {
        let detail = unsafe String(cString: self.errorText)
        return detail.isEmpty ? unsafe String(cString: curl_easy_strerror(code)) : detail
    }

    /// Host and port of an address, without user, path and query.
    private static func place(of address: String) -> String {
        guard let scheme = address.firstRange(of: "://") else { return "the server" }
        var authority = address[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" && $0 != "\\" }
        if let at = authority.lastIndex(of: "@") { authority = authority[authority.index(after: at)...] }
        return String(authority.prefix(256))
    }
}

extension HTTPFailure {
    static let shutDown = HTTPFailure(kind: .cancelled, message: "the HTTP client is shut down", code: "ABORT_ERR")

    static func cancelled(sentBytes: Bool) -> HTTPFailure {
        HTTPFailure(kind: .cancelled, message: "the request was cancelled", code: "ABORT_ERR", sentBytes: sentBytes)
    }
}
