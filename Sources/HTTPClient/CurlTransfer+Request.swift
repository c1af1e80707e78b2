import AfterloginCCurl
import AfterloginHTTPMessages

/// Options that stay on an easy handle from one request to the next, so that only a change is set.
struct AppliedOptions {
    enum Method: Equatable {
        case get
        case head
        case post
        /// Another method: as `get` without a body, as `post` with one.
        case custom(String, sendsBody: Bool)
    }

    var method: Method?
    var timeout: Int?
    var connectTimeout: Int?
    var decompresses: Bool?
    var waitsForMultiplexing: Bool?
}

extension CurlTransfer {
    /// Puts a request on the handle.
    ///
    /// - Throws: where it is none; nothing is sent then.
    func prepare(_ request: HTTPRequest) throws(HTTPFailure) {
        let method = try Self.method(of: request)
        let address = try RequestAddress.encode(request.url)
        let sendsBody =
            switch method {
            case .get, .head: false
            case .post: true
            case .custom(_, let sendsBody): sendsBody
            }
        try self.headerList.replace(with: request, sendsBody: sendsBody)

        guard unsafe afterlogin_curl_set_text(self.easy, CURLOPT_URL, address) == CURLE_OK else {
            throw HTTPFailure(
                kind: .invalidRequest,
                message: "the address is too long: send that in the body",
                code: "ERR_INVALID_URL"
            )
        }
        unsafe afterlogin_curl_set_pointer(self.easy, CURLOPT_HTTPHEADER, self.headerList.first)
        self.apply(method)
        if sendsBody {
            unsafe request.body.withUnsafeBytes { bytes in
                // An empty array may have no address, and libcurl would then read from a callback.
                if let start = bytes.baseAddress, unsafe !bytes.isEmpty {
                    _ = unsafe afterlogin_curl_set_body(self.easy, start, bytes.count)
                } else {
                    _ = unsafe afterlogin_curl_set_body(self.easy, "", 0)
                }
            }
        }
        self.apply(timeout: request.timeout.milliseconds, connectTimeout: request.connectTimeout.milliseconds)
        if self.options.decompresses != request.decompresses {
            self.options.decompresses = request.decompresses
            let encodings = request.decompresses ? "gzip, deflate, br" : nil
            unsafe afterlogin_curl_set_text(self.easy, CURLOPT_ACCEPT_ENCODING, encodings)
        }
        // Whether a connection is one of HTTP/2 is known after its handshake. Without TLS it is known after the first response only: if
        // that one hangs, everything else would wait for it.
        let isSecure = address.utf8.count > 8 && address.utf8.prefix(6).last == UInt8(ascii: ":")
        if self.options.waitsForMultiplexing != isSecure {
            self.options.waitsForMultiplexing = isSecure
            unsafe afterlogin_curl_set_number(self.easy, CURLOPT_PIPEWAIT, isSecure ? 1 : 0)
        }
        self.allowsSpecialAddresses = request.allowsSpecialAddresses
        self.maxResponseBytes = request.maxResponseBytes
    }

    /// What no server should be asked for through a proxy or by a page (Fetch, "forbidden method"), and the first word of HTTP/2.
    ///
    /// In any spelling: some servers know no case.
    private static let notSent: Set = ["CONNECT", "TRACE", "TRACK", "PRI"]

    private static func method(of request: HTTPRequest) throws(HTTPFailure) -> AppliedOptions.Method {
        let hasBody = !request.body.isEmpty
        switch request.method {
        case "GET" where !hasBody: return .get
        case "HEAD" where !hasBody: return .head
        case "POST": return .post
        case "PUT", "PATCH": return .custom(request.method, sendsBody: true)
        default:
            guard HTTPToken.contains(request.method), request.method.utf8.count <= 64, request.method != "HEAD",
                !Self.notSent.contains(request.method.uppercased())
            else {
                throw HTTPFailure(
                    kind: .invalidRequest,
                    message: "the method cannot be sent: use GET, POST, PUT, PATCH or DELETE",
                    code: "ERR_INVALID_HTTP_TOKEN"
                )
            }
            return .custom(request.method, sendsBody: hasBody)
        }
    }

    private func apply(_ method: AppliedOptions.Method) {
        guard self.options.method != method else { return }
        self.options.method = method
        var customMethod: String?
        switch method {
        case .get: unsafe afterlogin_curl_set_number(self.easy, CURLOPT_HTTPGET, 1)
        case .head:
            unsafe afterlogin_curl_set_number(self.easy, CURLOPT_HTTPGET, 1)
            unsafe afterlogin_curl_set_number(self.easy, CURLOPT_NOBODY, 1)
        case .post: unsafe afterlogin_curl_set_number(self.easy, CURLOPT_POST, 1)
        case .custom(let name, let sendsBody):
            unsafe afterlogin_curl_set_number(self.easy, sendsBody ? CURLOPT_POST : CURLOPT_HTTPGET, 1)
            customMethod = name
        }
        unsafe afterlogin_curl_set_text(self.easy, CURLOPT_CUSTOMREQUEST, customMethod)
    }

    private func apply(timeout: Int, connectTimeout: Int) {
        if self.options.timeout != timeout {
            self.options.timeout = timeout
            unsafe afterlogin_curl_set_number(self.easy, CURLOPT_TIMEOUT_MS, timeout)
        }
        if self.options.connectTimeout != connectTimeout {
            self.options.connectTimeout = connectTimeout
            unsafe afterlogin_curl_set_number(self.easy, CURLOPT_CONNECTTIMEOUT_MS, connectTimeout)
        }
    }

    /// Switches libcurl's limit of the whole time off, for somebody who counts it from here on.
    ///
    /// - Returns: what is left of it, in nanoseconds.
    func stopTimer() -> Int? {
        guard let timeout = self.options.timeout else { return nil }
        let elapsed = Int(unsafe afterlogin_curl_get_large(self.easy, CURLINFO_TOTAL_TIME_T))
        unsafe afterlogin_curl_set_number(self.easy, CURLOPT_TIMEOUT_MS, 0)
        self.options.timeout = nil
        return max(0, timeout * 1_000_000 - elapsed * 1_000)
    }

    /// Forgets the request, keeps the memory.
    func clear() {
        self.job = nil
        self.continuation = nil
        self.abort = nil
        self.peer = nil
        self.headerBytes.removeAll(keepingCapacity: true)
        self.headerBytesOfAllBlocks = 0
        self.headerLines = 0
        self.headersAreWhole = false
        self.blockIsWhole = false
        self.body = []
        self.announcedBytes = nil
        self.localPort = 0
        unsafe self.errorText.pointee = 0
        if case .custom(_, sendsBody: true) = self.options.method { self.forgetBody() }
        if self.options.method == .post { self.forgetBody() }
    }

    private func forgetBody() {
        // Setting the body, even none, makes the method POST: say so again next time.
        unsafe afterlogin_curl_set_pointer(self.easy, CURLOPT_COPYPOSTFIELDS, nil)
        self.options.method = nil
    }
}

extension Duration {
    /// Rounded up, at least one: libcurl takes 0 for "no limit".
    fileprivate var milliseconds: Int {
        let (seconds, attoseconds) = self.components
        guard seconds < 86_400 * 365 else { return 86_400 * 365 * 1_000 }
        return max(1, Int(seconds) * 1_000 + Int((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000))
    }
}
