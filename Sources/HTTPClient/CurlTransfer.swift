import AfterloginCCurl
import Glibc

/// An easy handle, used again and again, and the request that is on it.
///
/// Confined to the loop's thread. Options that never change are set once; the others by `CurlTransfer+Request.swift`.
@safe final class CurlTransfer {
    static let maxHeaderBytes = 128 << 10
    static let maxHeaderLines = 1_000
    static let trustedBytes = 1 << 20

    /// Why a callback ended the transfer; libcurl only tells that one did.
    enum Abort {
        case headersTooLarge
        case responseTooLarge
        case addressRefused
        /// The server talks another protocol from here on, though nobody asked for that.
        case protocolSwitched
    }

    let easy: UnsafeMutableRawPointer
    unowned let loop: CurlLoop
    let userAgent: String

    /// What libcurl has to say about its latest failure.
    let errorText: UnsafeMutablePointer<CChar>

    var job: Job?
    var continuation: Mailbox.Continuation?
    var headerList = HeaderList()
    var options = AppliedOptions()

    var allowsSpecialAddresses = false
    var maxResponseBytes = 0
    var abort: Abort?
    /// The address that was tried last.
    var peer: PeerAddress?
    /// The status line and headers of the latest header block.
    var headerBytes: [UInt8] = []
    var headerBytesOfAllBlocks = 0
    var headerLines = 0
    /// Whether the empty line behind the headers of the response has come: libcurl takes an end of the connection for it.
    var headersAreWhole = false
    /// The same of the latest header block, which may be one that only announces the response (1xx).
    var blockIsWhole = false
    var body: [UInt8] = []
    /// What the headers announce; nil where they don't, or where it says nothing about the decoded body.
    var announcedBytes: Int?
    /// Its place among all calls of the client.
    var number = 0
    /// Of its connection, which knows it by this; 0 before.
    var localPort = 0

    init?(loop: CurlLoop, configuration: HTTPClient.Configuration, authorities: CertificateAuthorities) {
        guard let easy = unsafe curl_easy_init() else { return nil }
        unsafe self.easy = easy
        unsafe self.errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        unsafe self.errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        self.loop = loop
        self.userAgent = configuration.userAgent
        self.headerBytes.reserveCapacity(1_024)

        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe afterlogin_curl_set_callbacks(easy, context, headerCallback, bodyCallback, socketCallback, readyCallback)
        unsafe afterlogin_curl_set_close(easy, Unmanaged.passUnretained(loop).toOpaque(), closeCallback)
        unsafe afterlogin_curl_set_pointer(easy, CURLOPT_SHARE, loop.share)
        unsafe afterlogin_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, self.errorText)
        unsafe afterlogin_curl_set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        unsafe afterlogin_curl_set_text(easy, CURLOPT_PROXY, "")
        unsafe afterlogin_curl_set_text(easy, CURLOPT_NOPROXY, "*")
        unsafe afterlogin_curl_set_number(easy, CURLOPT_NOSIGNAL, 1)
        // Without it, ending a transfer whose name is being resolved blocks the thread until the resolver answers.
        unsafe afterlogin_curl_set_number(easy, CURLOPT_QUICK_EXIT, 1)
        unsafe afterlogin_curl_set_number(easy, CURLOPT_PATH_AS_IS, 1)
        // Each transfer over TLS takes this much for what it sends (the default is 64 KB), and 16 KB for what it receives.
        unsafe afterlogin_curl_set_number(easy, CURLOPT_UPLOAD_BUFFERSIZE, 16 << 10)
        unsafe afterlogin_curl_set_number(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS)
        unsafe afterlogin_curl_set_number(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        // With a second source beside the file, libcurl would parse all authorities anew for each connection.
        unsafe afterlogin_curl_set_text(easy, CURLOPT_CAPATH, nil)
        unsafe afterlogin_curl_set_text(easy, CURLOPT_CAINFO, authorities.path)
        unsafe afterlogin_curl_set_text(easy, CURLOPT_USERAGENT, configuration.userAgent)
    }

    deinit {
        unsafe curl_easy_cleanup(self.easy)
        unsafe self.errorText.deallocate()
    }

    /// Whether any byte of the request has left.
    var sentBytes: Bool { unsafe afterlogin_curl_get_number(self.easy, CURLINFO_REQUEST_SIZE) > 0 }

    // MARK: What libcurl calls

    func headerArrived(_ line: UnsafeRawBufferPointer) -> Bool {
        // Trailers come after the body; nobody asked for them, but they count.
        self.headerBytesOfAllBlocks += line.count
        self.headerLines += 1
        guard self.headerBytesOfAllBlocks <= Self.maxHeaderBytes, self.headerLines <= Self.maxHeaderLines else {
            self.abort = .headersTooLarge
            return false
        }
        guard !self.headersAreWhole else { return true }
        self.loop.headerArrives(self, line.count)
        if self.blockIsWhole {
            self.headerBytes.removeAll(keepingCapacity: true)
            self.blockIsWhole = false
        }
        unsafe self.headerBytes.append(contentsOf: line)
        guard unsafe line.first == UInt8(ascii: "\r") || line.first == UInt8(ascii: "\n") else { return true }
        self.blockIsWhole = true
        let status = unsafe afterlogin_curl_get_number(self.easy, CURLINFO_RESPONSE_CODE)
        guard status != 101 else {
            self.abort = .protocolSwitched
            return false
        }
        self.headersAreWhole = status >= 200
        return true
    }

    enum BodyAction {
        case take
        case pause
        case end
    }

    func bodyArrived(_ bytes: UnsafeRawBufferPointer) -> BodyAction {
        if self.body.isEmpty {
            let length = unsafe Int(afterlogin_curl_get_large(self.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T))
            let isDecoding = self.isDecoding
            guard length <= self.maxResponseBytes || isDecoding else {
                self.abort = .responseTooLarge
                return .end
            }
            self.announcedBytes = length > bytes.count && !isDecoding ? length : nil
        }
        guard self.body.count + bytes.count <= self.maxResponseBytes else {
            self.abort = .responseTooLarge
            return .end
        }
        guard self.loop.bodyArrives(self, bytes.count) else { return .pause }
        self.reserve(bytes.count)
        unsafe self.body.append(contentsOf: bytes)
        return .take
    }

    /// What is announced is trusted up to a megabyte, and beyond when that has come.
    ///
    /// (An array that grows by itself takes up to twice what it holds, and no budget counts that.)
    private func reserve(_ count: Int) {
        guard let announced = self.announcedBytes else { return }
        if self.body.isEmpty {
            self.body.reserveCapacity(min(announced, Self.trustedBytes))
        } else if self.body.count + count > self.body.capacity {
            self.body.reserveCapacity(max(announced, self.body.count + count))
        }
    }

    /// The announced length of an encoded body says nothing about that of the decoded one.
    private var isDecoding: Bool {
        guard self.options.decompresses == true else { return false }
        return String(decoding: self.headerBytes, as: UTF8.self).lowercased().contains("content-encoding:")
    }

    /// A new connection is about to be made.
    func socketWanted(_ address: UnsafeMutablePointer<curl_sockaddr>) -> Int32 {
        let peer = unsafe PeerAddress(address)
        self.peer = peer
        guard self.allowsSpecialAddresses || !peer.isSpecial else {
            self.abort = .addressRefused
            errno = EACCES
            return -1
        }
        let descriptor = unsafe socket(
            address.pointee.family,
            address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue),
            address.pointee.protocol
        )
        if descriptor >= 0 {
            // An earlier address of the same host may have been refused.
            if self.abort == .addressRefused { self.abort = nil }
            self.loop.socketOpened(descriptor)
        }
        return descriptor
    }

    /// The request is about to be sent, perhaps on a connection that another request opened with more rights.
    func requestReady(address: UnsafePointer<CChar>, localPort: Int) -> Bool {
        self.localPort = localPort
        // Another address of the same host may have been refused while this one connected.
        self.abort = nil
        guard !self.allowsSpecialAddresses else { return true }
        guard let peer = unsafe PeerAddress(numeric: address), !peer.isSpecial else {
            self.abort = .addressRefused
            return false
        }
        return true
    }
}

private func transfer(_ context: UnsafeMutableRawPointer) -> CurlTransfer {
    unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
}

private func headerCallback(
    bytes: UnsafeMutablePointer<CChar>?,
    size: Int,
    count: Int,
    context: UnsafeMutableRawPointer?
) -> Int {
    guard let context = unsafe context else { return 0 }
    let line = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
    return unsafe transfer(context).headerArrived(line) ? line.count : 0
}

private func bodyCallback(
    bytes: UnsafeMutablePointer<CChar>?,
    size: Int,
    count: Int,
    context: UnsafeMutableRawPointer?
) -> Int {
    guard let context = unsafe context else { return 0 }
    let chunk = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
    switch unsafe transfer(context).bodyArrived(chunk) {
    // An empty write is not the end: libcurl makes one for an empty decoded body.
    case .take: return chunk.count
    case .pause: return Int(CURL_WRITEFUNC_PAUSE)
    case .end: return chunk.count + 1
    }
}

private func socketCallback(
    context: UnsafeMutableRawPointer?,
    purpose: curlsocktype,
    address: UnsafeMutablePointer<curl_sockaddr>?
) -> curl_socket_t {
    guard let context = unsafe context, let address = unsafe address else { return -1 }
    return unsafe transfer(context).socketWanted(address)
}

private func readyCallback(
    context: UnsafeMutableRawPointer?,
    remoteAddress: UnsafeMutablePointer<CChar>?,
    localAddress: UnsafeMutablePointer<CChar>?,
    remotePort: Int32,
    localPort: Int32
) -> Int32 {
    guard let context = unsafe context, let remoteAddress = unsafe remoteAddress else { return CURL_PREREQFUNC_ABORT }
    return unsafe transfer(context).requestReady(address: remoteAddress, localPort: Int(localPort))
        ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
}

private func closeCallback(context: UnsafeMutableRawPointer?, descriptor: curl_socket_t) -> Int32 {
    guard let context = unsafe context else { return close(descriptor) }
    return unsafe Unmanaged<CurlLoop>.fromOpaque(context).takeUnretainedValue().socketUnwanted(descriptor)
}
