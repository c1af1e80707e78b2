import AfterloginCMicroHTTPD
import AfterloginHTTPMessages
import AfterloginSystem
import Glibc

/// One `MHD_Connection`, and the request that is on it.
///
/// All methods run on the server's thread, but `resume`, `isLate` and `hangUp`; the pointer is valid from the notification
/// that it started until the one that it closed, and while it is suspended.
@safe final class ServerConnection: Sendable {
    private struct Exchange {
        var body: [UInt8] = []
        var discardedBytes = 0
        var response: HTTPServer.Response?
        /// When the request must have arrived, or its response been taken; nil while the handler is at work.
        var deadline: ContinuousClock.Instant?
        /// It was ended before its time, and is to be chosen no more.
        var isEnding = false
    }

    /// Beyond a body that is too large, so much is read before the reply (or else a reset of the connection may overtake it).
    private static let maxDiscardedBytes = 16 << 20

    nonisolated(unsafe) private let pointer: OpaquePointer
    private let descriptor: Int32
    private let maxBodyBytes: Int
    private let transferDeadline: Duration
    private let exchange: Mutex<Exchange>

    init(_ pointer: OpaquePointer, configuration: HTTPServer.Configuration) {
        unsafe self.pointer = pointer
        self.descriptor = unsafe afterlogin_mhd_socket(pointer)
        self.maxBodyBytes = configuration.maxBodyBytes
        self.transferDeadline = configuration.transferDeadline
        self.exchange = Mutex(Exchange(deadline: .now + configuration.transferDeadline))
    }

    // MARK: Receiving

    func headersArrived() -> MHD_Result {
        guard let text = unsafe MHD_lookup_connection_value(self.pointer, .HEADER_KIND, "Content-Length"),
            let length = Int(unsafe String(cString: text)), length > 0
        else { return .YES }
        guard length <= self.maxBodyBytes + Self.maxDiscardedBytes else { return self.queue(.bodyTooLarge) }
        if length <= self.maxBodyBytes {
            // Trusted only so far: memory is taken as the bytes come.
            self.exchange.withLock { $0.body.reserveCapacity(min(length, 64 << 10)) }
        }
        return .YES
    }

    func bodyArrived(_ bytes: UnsafeRawBufferPointer) -> MHD_Result {
        self.exchange.withLock { exchange in
            if exchange.discardedBytes == 0, exchange.body.count + bytes.count <= self.maxBodyBytes {
                unsafe exchange.body.append(contentsOf: bytes)
                return .YES
            }
            exchange.discardedBytes += exchange.body.count + bytes.count
            exchange.body = []
            return exchange.discardedBytes <= self.maxBodyBytes + Self.maxDiscardedBytes ? .YES : .NO
        }
    }

    /// The request is whole: asks the handler.
    func requestArrived(method: String, path: String, daemon: Daemon) -> MHD_Result {
        let body: [UInt8]? = self.exchange.withLock { exchange in
            defer { exchange.body = [] }
            return exchange.discardedBytes == 0 ? exchange.body : nil
        }
        guard let body else { return self.queue(.bodyTooLarge) }
        let headers = HTTPFields(
            self.values(of: .HEADER_KIND).lazy.map { HTTPField($0.name, $0.value.utf8.contains(0) ? "" : $0.value) }
        )
        let query = self.values(of: .GET_ARGUMENT_KIND)
            .map { (name: decodePercents($0.name), value: decodePercents($0.value)) }
        let request = HTTPServer.Request(method: method, path: path, query: query, headers: headers, body: body)
        switch daemon.handler(request) {
        case .now(let response): return self.queue(response)
        case .later(let answer):
            if daemon.suspend(self, until: answer) { return .YES }
        case .at(let time, let response):
            if daemon.suspend(self, until: time, response) { return .YES }
        }
        return self.queue(.goingAway)
    }

    private func values(of kind: MHD_ValueKind) -> [(name: String, value: String)] {
        var values: [(name: String, value: String)] = []
        unsafe withUnsafeMutablePointer(to: &values) { values in
            _ = unsafe MHD_get_connection_values(
                self.pointer,
                kind,
                { context, kind, name, value in
                    guard let context = unsafe context, let name = unsafe name else { return .YES }
                    let values = unsafe context.assumingMemoryBound(to: [(name: String, value: String)].self)
                    unsafe values.pointee.append(
                        (String(cString: name), value.map { unsafe String(cString: $0) } ?? "")
                    )
                    return .YES
                },
                values
            )
        }
        return values
    }

    // MARK: Answering

    func suspend() {
        self.exchange.withLock { $0.deadline = nil }
        unsafe MHD_suspend_connection(self.pointer)
    }

    /// From any thread, once per `suspend`.
    func resume(with response: HTTPServer.Response) {
        self.exchange.withLock { $0.response = response }
        unsafe MHD_resume_connection(self.pointer)
    }

    func takeResponse() -> HTTPServer.Response? { self.exchange.withLock { $0.response.take() } }

    func queue(_ response: HTTPServer.Response) -> MHD_Result {
        if response.resets {
            self.reset()
            return .NO
        }
        self.exchange.withLock { $0.deadline = .now + self.transferDeadline }
        let announced = response.body.count + response.padding
        let sent = response.isTruncated ? announced / 2 : announced
        let reply = unsafe response.body.withUnsafeBytes { bytes in
            guard sent != bytes.count else {
                return unsafe MHD_create_response_from_buffer(
                    bytes.count,
                    UnsafeMutableRawPointer(mutating: bytes.baseAddress),
                    .RESPMEM_MUST_COPY
                )
            }
            return unsafe afterlogin_mhd_make_response(
                bytes.baseAddress,
                bytes.count,
                UInt64(announced),
                UInt64(sent)
            )
        }
        guard let reply = unsafe reply else { return .NO }
        defer { unsafe MHD_destroy_response(reply) }
        for header in response.headers where !Self.isOwnedByServer(header) {
            guard !header.value.utf8.contains(0),
                unsafe MHD_add_response_header(reply, header.name, header.value) == .YES
            else { return self.queue(HTTPServer.Response(status: 500)) }
        }
        return unsafe MHD_queue_response(self.pointer, UInt32(clamping: response.status), reply)
    }

    private static func isOwnedByServer(_ field: HTTPField) -> Bool {
        field.isNamed("content-length") || field.isNamed("transfer-encoding") || field.isNamed("date")
    }

    func requestEnded() { self.exchange.withLock { $0 = Exchange(deadline: .now + self.transferDeadline) } }

    // MARK: Ending

    /// When its time is over; nil while the handler is at work, and where it ends already.
    var endsAt: ContinuousClock.Instant? { self.exchange.withLock { $0.isEnding ? nil : $0.deadline } }

    /// Somebody else needs its place.
    func endEarly() {
        self.exchange.withLock { $0.isEnding = true }
        self.hangUp()
    }

    func isLate(at now: ContinuousClock.Instant) -> Bool {
        self.exchange.withLock { $0.deadline.map { $0 < now } ?? false }
    }

    /// Makes libmicrohttpd see the end of the connection; only while the daemon lists it, or the descriptor may be another's.
    func hangUp() { Glibc.shutdown(self.descriptor, Int32(SHUT_RDWR)) }

    /// Sends RST at once (Linux: `connect` to no address), before libmicrohttpd can close in good order.
    private func reset() {
        var nowhere = sockaddr()
        nowhere.sa_family = sa_family_t(AF_UNSPEC)
        unsafe Glibc.connect(self.descriptor, &nowhere, socklen_t(MemoryLayout<sockaddr>.size))
    }
}

extension HTTPServer.Response {
    fileprivate static let bodyTooLarge = Self(status: 413)
    fileprivate static let goingAway = Self(status: 503, headers: ["Connection": "close"])
}
